"""Striate: from a folder of pictures to a convolutional network that its owner understands.

>>> import striate
>>> run = striate.train("photos/", model="resnet20")  # doctest: +SKIP
>>> run.predict(["new.jpg"])  # doctest: +SKIP

Public names are found on first use, so that importing striate imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate import explain, scan, stress
    from striate.api import (
        check,
        encode,
        evaluate,
        inspect,
        load,
        predict,
        reconstruct,
        train,
        train_several,
    )
    from striate.errors import StriateError
    from striate.runs.folder import Run
    from striate.runs.recipe import Recipe

__version__ = "0.1.0"
__all__ = [
    "Recipe",
    "Run",
    "StriateError",
    "__version__",
    "check",
    "encode",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "predict",
    "reconstruct",
    "scan",
    "stress",
    "train",
    "train_several",
]

_HOMES = {
    "Recipe": "striate.runs.recipe",
    "Run": "striate.runs.folder",
    "StriateError": "striate.errors",
    "check": "striate.api",
    "encode": "striate.api",
    "evaluate": "striate.api",
    "inspect": "striate.api",
    "load": "striate.api",
    "predict": "striate.api",
    "reconstruct": "striate.api",
    "train": "striate.api",
    "train_several": "striate.api",
}
_MODULES = {"explain", "scan", "stress"}  # functions on networks and tensors


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"striate.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
