"""Where the time of a training step goes, layer by layer, and which one change would help most."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from striate.data.augment import Augment
from striate.data.batches import ahead
from striate.training import machine
from striate.training.defaults import fast
from striate.training.loop import workers
from striate.training.roofline import inspected, least
from striate.training.stepper import stepper
from striate.training.watch import Watch, watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch.optim import Optimizer

    from striate.data.batches import Batch
    from striate.runs.recipe import Recipe
    from striate.summary.result import Inspected, Layer
    from striate.training.loop import Job
    from striate.training.machine import Limits
    from striate.training.watch import Part


# What people call the layers, and the functions in a network's own forward.
WORDS = {
    "Conv2d": "convolutions", "Linear": "dense layers", "BatchNorm2d": "batch norm", "ReLU": "ReLU",
    "relu": "ReLU", "relu_": "ReLU", "add": "additions", "MaxPool2d": "pooling", "AvgPool2d": "pooling",
    "max_pool2d": "pooling", "avg_pool2d": "pooling", "cat": "joining maps", "Dropout": "dropout",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One layer, in seconds a step.

    name: its path in the network; "" is what the network's own forward does between its layers.
    least: what the machine's limits allow for its arithmetic and its bytes; None where they are not known.
    multiplies: its arithmetic is multiply-adds, and not a pass over memory.
    """

    name: str
    kind: str
    forward: float
    backward: float
    least: float | None = None
    multiplies: bool = False

    @property
    def seconds(self) -> float:
        """Both ways."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Profile:
    """Where a step's time goes, in seconds: means over the faster half of the steps that were measured.

    seconds: of a watched step; data, augmentation, rest, loss, update and the layers add up to it.
    unwatched: of the steps in between, which nobody watched.   steps: watched.
    update_least: what the machine's limits allow for the update.
    """

    batch: int
    steps: int
    precision: str
    seconds: float
    unwatched: float
    data: float
    augmentation: float
    rest: float
    loss: float
    update: float
    update_least: float
    layers: tuple[Row, ...]
    limits: Limits
    advice: str = ""

    def json(self) -> dict[str, Any]:
        """Give everything as plain values, as profile.json holds it."""
        return dataclasses.asdict(self)


def profile(job: Job) -> Profile:
    """Measure some training steps of a job, on its real batches and a copy of its network.

    Takes seconds: at most 10 steps are watched. Leaves the job as it was.
    """
    batches, unchanged = job.batches(), dataclasses.replace(job, augment=Augment()).batches()
    model, recipe = copy.deepcopy(job.model), fast(job.recipe)
    threads = workers(job.device, recipe)
    taken: list[dict[Part, float]] = []
    unwatched: list[float] = []
    unaugmented: list[float] = []

    def make(number: int) -> Batch:
        return batches.at(*divmod(number, batches.steps))

    with stepper(model, job.task, recipe, make(0).inputs) as step:
        watch = Watch(step.runs, job.device, whole=bool(recipe.compile))
        for parts, other in watched(step, ahead(make, itertools.count(), threads), watch):
            taken.append(parts)
            unwatched.append(other)
            started = watch.now()
            unchanged.at(*divmod(len(taken), batches.steps))
            unaugmented.append(watch.now() - started)
        moved = _moved(step.optimiser)
        limits = machine.limits(1.0, job.device)  # on as many threads as the step
    found = summed(
        taken,
        inspected(job.model, job.preprocess.shape, batches.batch),
        limits,
        batch=batches.batch,
        precision=job.precision,
    )
    # Threads augment beside the step: what it notices of them is waiting.
    fetching = found.data if threads else min(found.data, _faster(unaugmented))
    found = dataclasses.replace(
        found,
        data=fetching,
        augmentation=found.data - fetching,
        unwatched=_faster(unwatched),
        update_least=moved / limits.bandwidth,
    )
    return dataclasses.replace(found, advice=advice(found, job.recipe))


def summed(
    taken: Sequence[Mapping[Part, float]],
    counted: Inspected | None,
    limits: Limits,
    *,
    batch: int,
    precision: str,
) -> Profile:
    """Add the parts of some steps up to a profile; the slower half of the steps is left out."""
    kept = sorted(taken, key=lambda parts: sum(parts.values()))[: (len(taken) + 1) // 2]
    mean: dict[Part, float] = defaultdict(float)
    for parts in kept:
        for part, seconds in parts.items():
            mean[part] += seconds / len(kept)
    names = dict.fromkeys(name for part, name in mean if part in {"forward", "backward"})
    dtype = "float32" if precision == "float32" else "bfloat16"
    rows = []
    for name in names:
        own = [] if counted is None else _rows(name, counted)
        backward = mean["backward", name]
        rows.append(
            Row(
                name,
                ", ".join(dict.fromkeys(layer.kind for layer in own)),
                mean["forward", name],
                backward,
                sum(least(layer, counted, limits, dtype, backward=backward > 0) for layer in own)
                if counted is not None and own
                else None,
                any(layer.multiply_adds for layer in own),
            )
        )
    return Profile(
        batch=batch,
        steps=len(taken),
        precision=precision,
        seconds=sum(mean.values()),
        unwatched=0.0,
        data=mean["data", ""],
        augmentation=0.0,
        rest=mean["rest", ""],
        loss=mean["loss", ""],
        update=mean["update", ""],
        update_least=0.0,
        layers=tuple(rows),
        limits=limits,
    )


def _rows(name: str, counted: Inspected) -> list[Layer]:
    """Find the rows of a layer; those around it where a faster form has put it, as in ``bn1.normalised``."""
    while not (found := [layer for layer in counted.layers if layer.module == name]) and name:
        name = name.rpartition(".")[0]
    return found


def _moved(optimiser: Optimizer) -> int:
    """Count the bytes of an update: the gradient is read, the weight and its state are read and written."""
    moved = 0
    for group in optimiser.param_groups:
        for weight in group["params"]:
            state = sum(
                value.numel()
                for value in optimiser.state.get(weight, {}).values()
                if isinstance(value, torch.Tensor) and value.shape == weight.shape
            )
            moved += (3 * weight.numel() + 2 * state) * weight.element_size()
    return moved


def _faster(seconds: Sequence[float]) -> float:
    """Give the mean of the faster half."""
    kept = sorted(seconds)[: (len(seconds) + 1) // 2]
    return sum(kept) / len(kept)


def advice(found: Profile, recipe: Recipe) -> str:
    """Say in a sentence what loses most against the machine's limits, and what would help there."""
    if recipe.compile:
        return "A compiled network has no layers to tell apart: without --compile they are shown."
    products = [row for row in found.layers if row.multiplies]
    passes = [row for row in found.layers if not row.multiplies]
    bigger = "a larger --batch updates the weights less often"
    parts = (
        ("preparing the pictures", found.data, 0.0, "", "a smaller --size has less to move"),
        ("augmentation", found.augmentation, 0.0, "", "fewer kinds in --augment cost less"),
        ("the update of the weights", found.update, found.update_least, "memory", bigger),
        (*_group(products), "matrix", _for_products(found, recipe)),
        (*_group(passes), "memory", _for_passes(recipe)),
    )
    what, seconds, least, limit, remedy = max(parts, key=lambda part: part[1] - part[2])
    if found.seconds - found.data < 100e-6 * len(found.layers):
        remedy = "a larger --batch: the calls themselves cost more than what they compute"
    share = f"{seconds / found.seconds:.0%} of the step is {what}"
    at = f", at {least / seconds:.0%} of the {limit} limit" if least else ""
    return f"{share}{at}: {remedy}.".replace("%", " %")


def _group(rows: Sequence[Row]) -> tuple[str, float, float]:
    """Name some layers by the kinds that take most, with their seconds, and the least of them."""
    kinds: dict[str, float] = defaultdict(float)
    for row in rows:
        words = list(dict.fromkeys(WORDS.get(kind, kind) for kind in row.kind.split(", ") if kind))
        for word in words or ["the network's own code"]:
            kinds[word] += row.seconds / max(1, len(words))
    most = sorted(kinds, key=lambda word: -kinds[word])[:2]
    return " and ".join(most), sum(row.seconds for row in rows), sum(row.least or 0.0 for row in rows)


def _for_products(found: Profile, recipe: Recipe) -> str:
    if recipe.tune != "full":
        gain = found.limits.bfloat16 / found.limits.float32
        short = f" (bfloat16 has {gain:.1f} times the rate here)" if gain > 1.2 else ""
        return f"--tune full tries other kernels, layouts and numbers{short}"
    return "what is left is less arithmetic: half the --size is a quarter of it"


def _for_passes(recipe: Recipe) -> str:
    if recipe.kernels == "striate" or recipe.tune == "full":  # ours join the passes already
        return "what is left is less to move: half the --size is a quarter of it"
    return "--tune full tries kernels that join these passes, and numbers of half the bytes"
