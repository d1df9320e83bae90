"""Settings that follow from the data and the machine: chosen once, explained, written into the recipe.

:func:`choose` fills what the user left open; :func:`seconds_per_step` measures; :class:`Budget` turns
minutes into a number of steps and keeps the promise when the machine changes its speed.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data import augment as augmentation
from striate.errors import RecipeError
from striate.events import Choice, Emit, Note
from striate.training import optim
from striate.training.schedule import GROWTH, side
from striate.training.step import training_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from striate.data.batches import Batch
    from striate.data.sources import Source
    from striate.data.store import Survey
    from striate.runs.recipe import Recipe
    from striate.training.task import Task

PHOTO_SIDE = 64  # pictures with a longer short side than this are photographs


@dataclass(frozen=True)
class Facts:
    """What the choices depend on."""

    pictures: int  # for training and validation
    short_side: float  # median, pixels
    aspect: float  # median of longer over shorter side
    channels: int
    classes: tuple[str, ...]

    @classmethod
    def of(cls, source: Source, survey: Survey) -> Facts:
        """Read them off a surveyed data set."""
        sizes = np.asarray(survey.sizes, float)
        return cls(
            pictures=sum(sample.split in {None, "train"} for sample in source.samples),
            short_side=float(np.median(sizes.min(1))),
            aspect=float(np.median(sizes.max(1) / sizes.min(1))),
            channels=survey.channels,
            classes=source.classes,
        )

    @property
    def photos(self) -> bool:
        """Photographs, or already small pictures."""
        return self.short_side > PHOTO_SIDE

    @property
    def signs(self) -> bool:
        """Digits, letters or other one-character names: a mirrored sign is another sign."""
        return bool(self.classes) and all(len(name) == 1 for name in self.classes)


# What trains each network well (docs/performance.md): optimiser, peak rate, decay, batch, smoothing, EMA.
GOOD: dict[str, dict[str, Any]] = {
    "mlp": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.01, "batch": 128, "label_smoothing": 0.0},
    "lenet5": {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.01, "batch": 128, "label_smoothing": 0.0},
    "resnet20": {
        "optimizer": "nesterov",
        "lr": 0.2,
        "weight_decay": 5e-4,
        "batch": 128,
        "label_smoothing": 0.0,
    },
    "resnet18": {
        "optimizer": "nesterov",
        "lr": 0.05,
        "weight_decay": 5e-4,
        "batch": 32,
        "label_smoothing": 0.1,
    },
}
GOOD_FOR_OTHERS = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.01,
    "batch": 64,
    "label_smoothing": 0.0,
}


def choose(recipe: Recipe, facts: Facts) -> tuple[Recipe, list[Choice]]:
    """Fill every setting that is None; give a line of explanation for each that a person would ask about."""
    found: dict[str, Any] = {}
    choices: list[Choice] = []

    def pick(name: str, value: Any, reason: str = "") -> Any:
        given = getattr(recipe, name)
        if given is not None:
            return given
        found[name] = value
        if reason:
            choices.append(Choice(name, str(value), reason))
        return value

    colour = (
        "grey" if facts.channels == 1 else "colour" if facts.channels == 3 else f"{facts.channels}-channel"
    )
    kind = f"{colour} pictures, {facts.short_side:.0f} pixels"
    device = _device(recipe.device)
    if facts.photos:
        model = pick("model", "resnet18", f"photographs ({kind})")
    elif facts.channels == 1:
        model = pick("model", "lenet5", f"small {kind}")
    else:
        model = pick("model", "resnet20", f"small {kind}")
    size = pick("size", *_size(model, facts, device))
    pick("fit", *_fit(facts))
    good = GOOD.get(model, GOOD_FOR_OTHERS)
    # A small set is seen in small batches: the number of updates decides, not their width.
    batch = pick(
        "batch",
        min(good["batch"], max(8, 2 ** round(math.log2(facts.pictures / 40)))) if facts.pictures > 40 else 8,
    )
    scale = min(1.0, batch / good["batch"]) if recipe.batch is None else batch / good["batch"]
    own_rule = recipe.optimizer is not None and recipe.optimizer != good["optimizer"]
    optimizer = pick("optimizer", good["optimizer"])
    pick("lr", _rate(optimizer) if own_rule else float(f"{good['lr'] * math.sqrt(scale):.2g}"))
    pick("weight_decay", good["weight_decay"])
    pick("label_smoothing", good["label_smoothing"] if recipe.task == "classification" else 0.0)
    pick("ema", 0.0)
    if recipe.steps is None and recipe.minutes is None:
        pick("epochs", *_epochs(facts))
    why = "mirrored and cut" if facts.photos else "mirrored and shifted"
    if facts.signs:
        why = "one-character names: a mirrored digit or letter would be another"
    asked = pick("augment", "light", why)
    augment = augmentation.parse(asked, flips=not facts.signs, photos=facts.photos, grey=facts.channels == 1)
    found["augment"] = str(augment)
    grows = facts.photos and size >= 96
    pick("progressive", grows, "smaller pictures first: more epochs in the same time" if grows else "")
    precision, why = _precision(device)
    pick("precision", precision, why)
    found["device"] = device
    return recipe.replace(**found), choices


def _size(model: str, facts: Facts, device: str) -> tuple[int, str]:
    if model in {"lenet5", "mlp"}:
        return 28, "what the network was made for"
    if not facts.photos:
        small = 32 if facts.short_side <= 40 else 64
        return small, "the pictures' own size, about"
    if device == "cuda":
        return min(224, _multiple(facts.short_side)), "a GPU has time for it"
    return min(
        128, _multiple(facts.short_side)
    ), "what a CPU has time for; --size 224 sees more, 3 times slower"


def _multiple(pixels: float) -> int:
    return max(32, int(pixels) // 32 * 32)


def _fit(facts: Facts) -> tuple[str, str]:
    if facts.aspect < 1.05:
        return "crop", ""
    if facts.aspect <= 1.8:
        return "squash", f"typical proportions 1:{facts.aspect:.2f}; nothing is cut off"
    return "crop", f"typical proportions 1:{facts.aspect:.2f}; squashing would distort too much"


def _epochs(facts: Facts) -> tuple[int, str]:
    if facts.photos:
        return 30, "photographs; --minutes sets a time instead"
    return min(
        60, max(15, round(90_000 / facts.pictures))
    ), f"{facts.pictures:,} pictures; --minutes sets a time instead"


def _rate(optimizer: str) -> float:
    return {
        "sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.01,
        "adadelta": 1.0, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
    }[optimizer]  # fmt: skip


def _device(asked: str) -> str:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (asked == "cuda" and not cuda) or (asked == "mps" and not mps):
        raise RecipeError(
            f"--device {asked}: this machine has none that torch can use.", "Use --device auto or cpu."
        )
    return asked


def _precision(device: str) -> tuple[str, str]:
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16", "the GPU multiplies it natively"
    if device == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False):
        return "bfloat16", "the processor multiplies it in AMX tiles"
    return "float32", ""


def sides(size: int, *, progressive: bool) -> list[int]:
    """Give every picture side that a run at ``size`` trains with."""
    return sorted({side(size, until - 1e-6, progressive=progressive) for until, _ in GROWTH})


def seconds_per_step(
    model: nn.Module, task: Task, make: Callable[[int], Batch], recipe: Recipe, sizes: Sequence[int]
) -> dict[int, float]:
    """Measure a training step at each picture size, on a copy of the network; the median of a few.

    make: gives the first batch of the run at a size.
    """
    copied = copy.deepcopy(model)
    optimiser = optim.optimizer(copied, recipe, next(copied.parameters()).device)
    found = {}
    for size in sizes:
        times: list[float] = []
        while len(times) < 4 and (len(times) < 2 or sum(times) < 4):
            started = time.perf_counter()
            batch = make(size)
            loss, _ = training_step(
                copied, task, batch, optimiser, precision=str(recipe.precision), clip=recipe.clip
            )
            loss.item()
            times.append(time.perf_counter() - started)
        found[size] = statistics.median(times[1:])  # the first step prepares the kernels
    return found


class Budget:
    """A deadline, kept by planning the number of steps and planning again when the machine's speed changes.

    The number stays what it was while the predicted end is within 2 % of the time: on a steady machine a
    recipe that holds the number repeats the run exactly.
    """

    tolerance = 0.02

    def __init__(
        self, seconds: float, costs: dict[int, float], size: int, progressive: bool, emit: Emit
    ) -> None:
        self.seconds, self.costs, self.size, self.progressive, self.emit = (
            seconds,
            costs,
            size,
            progressive,
            emit,
        )
        self.began = self.looked = time.monotonic()
        self.worked = 0.0  # predicted seconds of the steps done
        self.pace = 1.0  # real seconds for a predicted one
        self.steps = self._steps(0, seconds)

    def replan(self, step: int, steps: int) -> int:
        """Take note of a finished step; return the planned number of steps, changed if need be."""
        self.worked += self.costs[side(self.size, (step - 1) / steps, progressive=self.progressive)]
        now = time.monotonic()
        if now - self.looked < min(5.0, self.seconds / 50):
            return steps
        self.looked, elapsed = now, now - self.began
        trust = self.seconds / 20  # the first measurement counts as much as this many seconds of work
        self.pace = (trust + elapsed) / (trust + self.worked)
        left = self.seconds - elapsed
        if abs(self._work(step, steps) * self.pace - left) < self.tolerance * self.seconds:
            return steps
        changed = max(step, self._steps(step, left / self.pace))
        self.emit(Note(f"The machine's speed changed: {changed} steps instead of {steps} fit the time."))
        return changed

    def seconds_left(self) -> float:
        """Time until the deadline."""
        return max(0.0, self.seconds - (time.monotonic() - self.began))

    def _work(self, step: int, steps: int) -> float:
        """Predicted seconds from ``step`` to the end of ``steps``."""
        total, start = 0.0, 0.0
        for until, _ in GROWTH:
            first, last = max(step, math.ceil(start * steps)), math.ceil(until * steps)
            cost = self.costs[side(self.size, start, progressive=self.progressive)]
            total += max(0, last - first) * cost
            start = until
        return total

    def _steps(self, step: int, seconds: float) -> int:
        """Largest number of steps whose rest after ``step`` fits into the seconds."""
        low, high = step + 1, step + 2 + int(max(0.0, seconds) / min(self.costs.values())) * 2
        while low < high:
            middle = (low + high + 1) // 2
            if self._work(step, middle) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low
