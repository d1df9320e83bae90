"""What this machine can do, what a network's operators make of it, and our step against a bare PyTorch loop.

The loops take turns in one process, so that a machine that changes its speed changes it for all of them; a
ratio is the median over the rounds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from striate.data.batches import Batch
from striate.errors import RecipeError, did_you_mean
from striate.events import Working
from striate.models import registry
from striate.runs.recipe import SPEED, Recipe
from striate.training import machine
from striate.training import task as tasks
from striate.training.operators import Operator, operators
from striate.training.stepper import built, placed
from striate.training.tune import tuned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import nn

    from striate.events import Emit
    from striate.training.machine import Limits

ROUNDS, MOST = 5, 21  # of the long comparison: at least, and at most
TURN = 0.15  # seconds of a turn, or one step
NEAR, FINALISTS = 1.15, 2  # PyTorch settings this near to the fastest stay, but so many at most
LONG = 3600.0  # seconds of the training that our settings are chosen for
HOPELESS = 2.0  # times as slow as the fastest so far: not timed twice


@dataclass(frozen=True)
class Network:
    """A network as it is measured, on batches (batch, channels, size, size)."""

    name: str
    build: Callable[[], nn.Module]
    batch: int
    channels: int
    size: int
    classes: int


def _known(name: str, batch: int, channels: int, size: int, classes: int) -> Network:
    build = partial(registry.build, name, classes=classes, channels=channels, size=size)
    return Network(name, build, batch, channels, size, classes)


NETWORKS = {
    network.name: network
    for network in (
        _known("lenet5", 128, 1, 28, 10),
        _known("resnet20", 128, 3, 32, 10),
        _known("resnet18", 128, 3, 64, 1000),
        _known("alexnet", 128, 3, 128, 1000),  # torchvision's form, as the next
        _known("googlenet", 64, 3, 128, 1000),
    )
}


def find(name: str | None) -> list[Network]:
    """Give the network of a name, or all that are measured. Raises RecipeError for any other name."""
    if name is None:
        return list(NETWORKS.values())
    if name not in NETWORKS:
        raise RecipeError(f"--network: {name!r} is none that is measured.", did_you_mean(name, NETWORKS))
    return [NETWORKS[name]]


@dataclass(frozen=True)
class Setting:
    """What a PyTorch user can set about a step; bf16 is autocast."""

    channels_last: bool = False
    bf16: bool = False
    fused: bool = False
    compile: bool = False

    def __str__(self) -> str:
        on = [field.name for field in dataclasses.fields(self) if getattr(self, field.name)]
        return " ".join(on) or "plain"


PLAIN = Setting()
# What usually wins comes first, behind what must be there.
SETTINGS = (PLAIN, *itertools.starmap(Setting, [*itertools.product((True, False), repeat=3)][:-1]))


@dataclass(frozen=True)
class Compared:
    """Our step against PyTorch's, on one network.

    images_per_second: ours; plain and best: PyTorch's, in float32 with nothing set, and as best_setting says.
    ratio_to_plain, ratio_to_best: of images a second, medians over the rounds.   ours: our step's settings.
    tried: seconds of a step of each PyTorch setting, before the long comparison.
    """

    network: str
    batch: int
    size: int
    images_per_second: float
    ratio_to_plain: float
    ratio_to_best: float
    plain: float
    best: float
    best_setting: str
    rounds: int
    ours: dict[str, Any]
    tried: dict[str, float]
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Bench:
    """What was measured on this machine."""

    machine: dict[str, Any]
    limits: Limits
    step: tuple[Compared, ...]

    def json(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return dataclasses.asdict(self)

    def mean(self, ratio: str) -> float:
        """Give the geometric mean of ratio_to_plain or ratio_to_best over the networks."""
        return statistics.geometric_mean(getattr(row, ratio) for row in self.step)


def bench(networks: Sequence[Network], seconds: float, emit: Emit, *, compiled: bool = False) -> Bench:
    """Measure the machine, then each network.

    seconds: for everything, about; each network has its share of what is left, and five rounds at least.
    compiled: let PyTorch compile its fastest setting, too.
    """
    end = time.monotonic() + seconds
    limits = machine.limits(min(2.0, seconds / 10))
    rows = []
    for number, network in enumerate(networks):
        emit(Working(f"measuring {network.name}", number, len(networks), "networks"))
        share = (end - time.monotonic()) / (len(networks) - number)
        rows.append(compared(network, limits, share, compiled=compiled))
    return Bench(machine.describe(), limits, tuple(rows))


def compared(network: Network, limits: Limits, seconds: float, *, compiled: bool = False) -> Compared:
    """Find PyTorch's fastest settings, then let plain, them and ours take turns."""
    end = time.monotonic() + seconds
    tried = heats(network, SETTINGS, end - seconds / 2)
    if compiled:
        tried |= heats(network, [dataclasses.replace(min(tried, key=tried.__getitem__), compile=True)], end)
    order = sorted(tried, key=tried.__getitem__)
    near = [setting for setting in order if tried[setting] < NEAR * tried[order[0]]]
    with ours(network) as (mine, recipe):
        sides = {"": mine}
        for setting in dict.fromkeys([PLAIN, *near[:FINALISTS]]):
            sides[str(setting)] = Side(Bare(network, setting))
        taken = rounds(sides, end)
    speed = {side: network.batch / statistics.median(times) for side, times in taken.items()}
    ratios = {
        side: statistics.median(a / b for a, b in zip(times, taken[""], strict=True))
        for side, times in taken.items()
        if side
    }
    best = min(ratios, key=ratios.__getitem__)
    shape = (network.channels, network.size, network.size)
    return Compared(
        network=network.name,
        batch=network.batch,
        size=network.size,
        images_per_second=speed[""],
        ratio_to_plain=ratios[str(PLAIN)],
        ratio_to_best=ratios[best],
        plain=speed[str(PLAIN)],
        best=speed[best],
        best_setting=best,
        rounds=len(taken[""]),
        ours={name: getattr(recipe, name) for name in SPEED},
        tried={str(setting): tried[setting] for setting in order},
        operators=tuple(
            operators(network.build(), shape, network.batch, limits, recipe.precision or "float32")
        ),
    )


@dataclass(frozen=True)
class Side:
    """Who takes turns: a step, and what is set in the whole process while it does.

    warm: the turn's first step is not timed, as it gets the memory that the others gave back.
    """

    step: Callable[[], object]
    around: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    warm: bool = False

    def turn(self, times: int) -> float:
        """Give the seconds of a step, over some in a row."""
        with self.around():
            if self.warm:
                self.step()
            started = time.perf_counter()
            for _ in range(times):
                self.step()
            return (time.perf_counter() - started) / times


class Bare:
    """The loop that everybody writes, in one setting of PyTorch: a call is a step on the same batch."""

    def __init__(self, network: Network, setting: Setting) -> None:
        self.setting, self.batch = setting, batch_of(network)
        layout = torch.channels_last if setting.channels_last else torch.contiguous_format
        self.x = self.batch.inputs.contiguous(memory_format=layout)
        model = seeded(network).to(memory_format=layout)  # type: ignore[call-overload]
        self.rule = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=setting.fused)
        self.model = torch.compile(model) if setting.compile else model

    def __call__(self) -> None:
        """Do a step."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.setting.bf16):
            loss = F.cross_entropy(self.model(self.x), self.batch.targets)
        self.rule.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.rule.step()


@contextlib.contextmanager
def ours(network: Network) -> Iterator[tuple[Side, Recipe]]:
    """Give our step on the same batch, in the settings that a long ``striate train`` chooses here."""
    model, batch = seeded(network), batch_of(network)
    inputs = batch.inputs.contiguous(memory_format=torch.channels_last)  # as data.batches makes them
    batch = dataclasses.replace(batch, inputs=inputs)
    task = tasks.untrained("classification", tuple(map(str, range(network.classes))))
    asked = Recipe(
        batch=network.batch,
        optimizer="momentum",
        lr=0.01,
        weight_decay=0.0,
        label_smoothing=0.0,
        device="cpu",
    )
    recipe, *_ = tuned(model, task, batch, asked, steps=None, seconds=LONG)
    with built(model, task, recipe, inputs) as step:
        yield Side(partial(step, batch), partial(placed, recipe), recipe.heap != "system"), recipe


def seeded(network: Network) -> nn.Module:
    """Build a network, always with the same first weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network.build().train()


def batch_of(network: Network) -> Batch:
    """Draw a batch, always the same one."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(network.batch, network.channels, network.size, network.size, generator=draw)
    y = torch.randint(network.classes, (network.batch,), generator=draw)
    return Batch(x, y, None, None, np.arange(network.batch))


def heats(network: Network, settings: Iterable[Setting], end: float) -> dict[Setting, float]:
    """Time two steps of each setting, or one where it is hopeless: the faster one's seconds.

    Once the time is up no other setting is tried; the first always is.
    """
    found: dict[Setting, float] = {}
    for setting in settings:
        if found and time.monotonic() > end:
            break
        side = Side(Bare(network, setting))
        side.step()  # prepares the kernels, or compiles
        found[setting] = side.turn(1)
        if found[setting] < HOPELESS * min(found.values()):
            found[setting] = min(found[setting], side.turn(1))
    return found


def rounds(sides: Mapping[str, Side], end: float) -> dict[str, list[float]]:
    """Let the sides take turns until the time is up: seconds of a step, a number a round for each.

    Each round begins with another side, so that none always follows the same one.
    """
    steps = {}
    for name, side in sides.items():
        side.turn(1)
        steps[name] = math.ceil(TURN / side.turn(1))
    taken: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for number in range(MOST):
        began = time.monotonic()
        first = number % len(order)
        for name in order[first:] + order[:first]:
            taken[name].append(sides[name].turn(steps[name]))
        if number + 1 >= ROUNDS and 2 * time.monotonic() - began > end:  # another round would be late
            break
    return taken
