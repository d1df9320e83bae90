"""The published ImageNet weights of the networks that we share with torchvision, by name.

Source: torchvision 0.28, the IMAGENET1K_V1 weights and what their metadata say of preparation. The end of
each file's name is the beginning of its SHA-256.
"""

from __future__ import annotations

import os
from pathlib import Path

from striate.data.preprocess import Preprocess
from striate.download import Remote, fetch
from striate.errors import ModelError
from striate.events import Emit, ignore

HOME = "https://download.pytorch.org/models/"
FILES = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg11_bn": "vgg11_bn-6002323d.pth",
    "vgg13_bn": "vgg13_bn-abd245e5.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
    "googlenet": "googlenet-1378be20.pth",
    "googlenet_heads": "googlenet-1378be20.pth",
    "inception_v3": "inception_v3_google-0cc3c7bd.pth",
    "inception_v3_heads": "inception_v3_google-0cc3c7bd.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "densenet121": "densenet121-a639ec97.pth",
}
CLASSES = 1000


def preparation(model: str) -> Preprocess:
    """Say how pictures were prepared for a network's published weights.

    The Inception files come from a house that scaled to -1..1; torchvision converts inside the network.
    """
    scaled = model.startswith(("googlenet", "inception_v3"))
    return Preprocess(
        channels=3,
        size=299 if model.startswith("inception_v3") else 224,
        interpolation="bilinear",
        low=(0.0,) * 3,
        high=(255.0,) * 3,
        mean=(0.5,) * 3 if scaled else (0.485, 0.456, 0.406),
        std=(0.5,) * 3 if scaled else (0.229, 0.224, 0.225),
    )


def hub_folder() -> Path:
    """Name the folder where torch's hub keeps weights (TORCH_HOME, or XDG_CACHE_HOME/torch)."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def file_of(model: str, *, offline: bool = False, emit: Emit = ignore) -> Path:
    """Give the file of a network's weights in torch's hub cache, fetched there and checked where it lacks.

    Raises ModelError where none are published, DownloadError that names the file and where to put it.
    """
    if model not in FILES:
        raise ModelError(
            f"No ImageNet weights are published for {model}.", f"They are for {', '.join(FILES)}."
        )
    name = FILES[model]
    digest = name.removesuffix(".pth").rpartition("-")[2]
    (path,) = fetch([Remote(HOME + name, None, digest)], hub_folder(), offline=offline, emit=emit)
    return path
