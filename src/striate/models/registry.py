"""From a name to a network: ours by name, anybody's as ``package.module:function``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from striate.errors import ModelError, did_you_mean
from striate.models.lenet import lenet5
from striate.models.mlp import mlp
from striate.models.resnet import resnet18, resnet20

Builder = Callable[..., nn.Module]

MODELS: dict[str, Builder] = {"mlp": mlp, "lenet5": lenet5, "resnet20": resnet20, "resnet18": resnet18}


def build(model: str | Builder, *, classes: int, channels: int, size: int) -> nn.Module:
    """Build a network by name, by ``package.module:function``, or from a function.

    The function is called with whichever of classes, channels and size its signature names (none is fine).
    Raises ModelError when it cannot be found, raises, or returns no nn.Module.
    """
    builder = find(model) if isinstance(model, str) else model
    offered = {"classes": classes, "channels": channels, "size": size}
    try:
        named = inspect.signature(builder).parameters
        built = builder(**{name: value for name, value in offered.items() if name in named})
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"The model {model} raised {type(error).__name__}: {_one_line(error)}",
            "It is called with those of classes, channels and size that it names; --debug shows more.",
        ) from error
    if not isinstance(built, nn.Module):
        raise ModelError(
            f"The model {model} returned {type(built).__name__}, not an nn.Module.", "Return the network."
        )
    return built


def is_ours(model: str) -> bool:
    """Tell whether opening this model runs no code but striate's own."""
    return model in MODELS


def find(name: str) -> Builder:
    """Look a model's function up; modules are found from the current folder. Raises ModelError."""
    if name in MODELS:
        return MODELS[name]
    module_name, colon, function_name = name.partition(":")
    if not colon or not function_name or not module_name:
        raise ModelError(
            f"Unknown model {name!r}.", f"{did_you_mean(name, MODELS)} Yours: package.module:function."
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"Cannot import {module_name!r} for the model: {type(error).__name__}: {_one_line(error)}",
            f"It is looked for from the current folder, {here}.",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise ModelError(
            f"{module_name} has no function {function_name!r}.", did_you_mean(function_name, names)
        )
    builder: Builder = function
    return builder


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "no message")[:200]
