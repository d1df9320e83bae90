"""Every file's smallest network, at its smallest input, learns 32 pictures by heart within a few steps."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from striate.data.batches import Batch
from striate.models.registry import MODELS, build
from striate.training import task as tasks
from striate.training.optim import initialise
from striate.training.step import training_step

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse")


class Setting(NamedTuple):
    """How a network is trained: side of the pictures, rate of Adam, and steps, about thrice what it took."""

    size: int
    rate: float
    steps: int
    small: bool = False
    init: str = "default"


# From the small weights of their papers AlexNet and ZFNet take far longer to start.
NETWORKS = {
    "mlp": Setting(8, 1e-3, 60),
    "lenet5": Setting(12, 3e-3, 120),
    "alexnet": Setting(63, 1e-4, 40, init="he_normal"),
    "zfnet": Setting(53, 1e-4, 40, init="he_normal"),
    "vgg11": Setting(32, 3e-4, 60, small=True),
    "nin": Setting(8, 2e-4, 105),
    "googlenet": Setting(15, 1e-3, 15),
    "bn_inception": Setting(7, 1e-3, 15),
    "inception_v3": Setting(75, 1e-3, 15),
    "resnet20": Setting(8, 1e-2, 40),
    "densenet40": Setting(4, 1e-2, 20),
    "convnetjs": Setting(8, 3e-3, 60),
    "fastnet": Setting(8, 1e-3, 60),
    "unshared": Setting(8, 3e-3, 50),
}


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> tuple[Tensor, Tensor]:
    """Give four pictures of each of eight classes of CIFAR-10, (32, 3, 32, 32), and their classes."""
    with zipfile.ZipFile(shared_data / "cifar10-jpeg.zip") as archive:
        names = [f"train/{name}/{i:04}.jpg" for name in CLASSES for i in range(4)]
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    return x, torch.arange(len(CLASSES)).repeat_interleave(4)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On maps of a few pixels threads mostly wait for each other, for seconds where others use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NETWORKS)
def test_32_pictures_are_learnt_by_heart(name: str, pictures: tuple[Tensor, Tensor]) -> None:
    setting, (x, y) = NETWORKS[name], pictures
    channels, size = MODELS[name].input[0], setting.size
    if channels == 1:
        x = x.mean(1, keepdim=True)
    x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    torch.manual_seed(0)
    model = build(name, classes=len(CLASSES), channels=channels, size=size, small=setting.small)
    initialise(model, setting.init, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):  # made to keep a network from what is asked of it here
            module.p = 0.0
    task, batch = tasks.untrained("classification", CLASSES), Batch(x, y, None, None, np.arange(32))
    optimiser = torch.optim.Adam(model.parameters(), lr=setting.rate)
    for step in range(setting.steps):
        _, right = training_step(model, task, batch, optimiser, precision="float32", clip=1.0)
        assert step or right < 20, "known before it was learnt"
        if right == 32:
            return
    pytest.fail(f"{right:.0f} of 32 after {setting.steps} steps")
