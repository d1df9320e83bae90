"""A network to look at: where it comes from, what it is given, and how it is trained."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import ModelError, RunError
from striate.models import registry
from striate.runs.folder import Run
from striate.runs.load import chosen_of, load, outputs_of, own, preprocess_of
from striate.summary.inspect import check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

KINDS = ("features", "channels and length", "channels, height and width")  # of inputs, by their axes


@dataclass(frozen=True)
class Network:
    """A network and the shape of its input, without the batch.

    model: a module, or what registry builds one from.   pictures: in an epoch; 0 where no data are known.
    """

    model: Any
    name: str
    shape: tuple[int, ...]
    classes: int | None = None
    batch: int = 32
    optimizer: str = "momentum"
    pictures: int = 0
    small: bool = False  # the stem for small pictures
    every: bool = False  # an answer at every step of a sequence
    rate: int | None = None  # samples a second, of a sound

    @property
    def wanted(self) -> dict[str, Any]:
        """What a builder may ask for; an input of one axis has neither channels nor size."""
        channels, size = (self.shape[0], self.shape[-1]) if len(self.shape) > 1 else (None, None)
        asked = {"classes": self.classes, "channels": channels, "small": self.small, "every": self.every}
        return asked | ({"length": size, "rate": self.rate} if len(self.shape) == 2 else {"size": size})

    def build(self) -> nn.Module:
        """Build the network with its numbers; a module that somebody owns is copied."""
        return own(self.model, **self.wanted)

    def shapes(self) -> nn.Module:
        """Build the network to be read only; without its numbers, where its code allows that."""
        from torch import nn

        from striate.summary.meta import unallocated

        found = registry.find(self.model) if isinstance(self.model, str) else self.model
        if isinstance(found, nn.Module):
            return found
        try:
            with unallocated() as mark:
                built = registry.build(self.model, **self.wanted)
                tensors = (*built.parameters(), *built.buffers())
                return mark(built) if tensors and all(tensor.is_meta for tensor in tensors) else built
        except ModelError:  # it may look at values while it is built
            return registry.build(self.model, **self.wanted)

    def explain(self, error: ModelError) -> ModelError:
        """Say more of a failure where the network was built for an input that its builder cannot serve."""
        from torch import nn

        found = registry.find(self.model) if isinstance(self.model, str) else self.model
        asks = {} if isinstance(found, nn.Module) else inspect.signature(found).parameters
        given = "x".join(map(str, self.shape))
        if len(self.shape) == 2 and "channels" in asks:
            hint = f"Channels come first: if {given} are height and width, give 1x{given} or 3x{given}."
            return ModelError(error.message, hint)
        if len(set(self.shape[1:])) > 1 and "size" in asks:
            side = self.shape[-1]
            square = "x".join(map(str, (self.shape[0], *[side] * (len(self.shape) - 1))))
            return ModelError(
                f"{self.name} is built for pictures of one size, {square}. Received: {given}.",
                f"Give a square, such as {square}.",
            )
        return error


def find(
    model: nn.Module | Run | str | Path,
    shape: Sequence[int] | None,
    *,
    classes: int | None,
    trust: bool,
    stem: str | None = None,
) -> Network:
    """Find what somebody means by a network.

    model: a module, a name of ours, ``package.module:name``, or a run (folder).
    shape: without the batch; a network of ours and a run know their own.
    trust: allow a run whose model is code from outside striate.   stem: "small" for pictures of 32 pixels.
    Raises ModelError or RunError where there is no such network, or no shape.

    >>> find("lenet5", None, classes=None, trust=False).shape
    (1, 28, 28)
    """
    from torch import nn

    if isinstance(model, nn.Module):
        kind = type(model).__name__
        return Network(model, kind, _given(shape, kind))
    if isinstance(model, Run):
        return _of_run(model, shape, classes, stem)
    name = str(model)
    ours = registry.known(name)
    if isinstance(model, Path) or (ours is None and _is_path(name)):
        return _of_run(load(name, trust=trust), shape, classes, stem)
    if shape is None and ours is not None:
        shape = ours.input
    registry.find(name)
    return Network(name, name, _given(shape, name), classes, small=stem == "small")


def _of_run(run: Run, shape: Sequence[int] | None, classes: int | None, stem: str | None) -> Network:
    info, recipe, preprocess, model = run.info, run.recipe, preprocess_of(run), chosen_of(run)
    try:
        outputs, pictures = outputs_of(info, preprocess), int(info["data"]["pictures"]["train"])
        known, every = preprocess.shape, info["task"] == "next-step"
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{run.path / 'run.json'} is damaged: {error}.", "Restore the file or train again."
        ) from error
    return Network(
        model,
        f"{run.path} ({info['model']})",
        known if shape is None else check_shape(shape),
        classes or outputs,
        recipe.batch or 32,
        recipe.optimizer or "momentum",
        pictures,
        (stem or recipe.stem) == "small",
        every,
        getattr(preprocess, "rate", 0) or None,
    )


def _is_path(name: str) -> bool:
    # A word alone that is no folder is rather a name with a slip in it.
    return os.path.isdir(name) or (":" not in name and bool({"/", os.sep} & set(name)))  # noqa: PTH112


def _given(shape: Sequence[int] | None, name: str) -> tuple[int, ...]:
    if shape is None:
        raise ModelError(
            f"The input of {name} is not known.",
            "Give its shape without the batch: --input 3x224x224 (in Python, input_shape=(3, 224, 224)).",
        )
    return check_shape(shape)
