"""timm's and torchvision's networks, as timm:NAME and torchvision:NAME, where those packages are installed.

They are code from outside striate, which imports neither unless it is asked for one of their names.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

import torch

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

HUBS = ("timm", "torchvision")


def find(hub: str, name: str) -> Callable[..., nn.Module]:
    """Look up a builder, with random first weights, of the classes and channels that it is called with.

    hub: timm or torchvision.   name: what the hub calls the network.
    Raises ModelError: the package is missing or does not work, or has no network of this name.
    """
    return _timm(name) if hub == "timm" else _torchvision(name)


def _timm(name: str) -> Callable[..., nn.Module]:
    timm = _package("timm")
    _check("timm", name.partition(".")[0], timm.list_models())  # behind the point: which weights it has

    def build(classes: int = 1000, channels: int = 3) -> nn.Module:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels)
        return network

    return build


def _torchvision(name: str) -> Callable[..., nn.Module]:
    models = _package("torchvision").models
    _check("torchvision", name, models.list_models(module=models))  # those that classify pictures

    def build(classes: int = 1000, channels: int = 3) -> nn.Module:
        if channels != 3:
            raise ModelError(
                f"torchvision's networks take pictures of 3 channels. Received: {channels}.",
                "Networks of striate and of timm take any number.",
            )
        network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
        return network

    return build


def _package(hub: str) -> Any:
    try:
        return importlib.import_module(hub)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == hub:
            raise ModelError(
                f"{hub} is not installed.", "Install it with: pip install 'striate[hub]'"
            ) from error
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise ModelError(
            f"{hub} is installed but cannot be imported: {what}",
            f"It must be a build for this torch, {torch.__version__}, from the place that torch came from.",
        ) from error


def _check(hub: str, name: str, known: list[str]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {', '.join(near)}?" if near else f"It has {len(known)}, such as {known[0]}."
    raise ModelError(f"{hub} has no network {name!r}.", hint)
