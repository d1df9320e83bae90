"""Where the time goes: on a clock that the test holds, every moment belongs to the part that it should."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from striate.runs.recipe import Recipe
from striate.training.machine import Limits
from striate.training.profile import Profile, Row, advice, profile, summed
from striate.training.roofline import inspected, least
from striate.training.watch import Watch

from .test_loop import make_job

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    held = Clock()
    monkeypatch.setattr("striate.training.watch.time", held)
    return held


class _Takes(torch.autograd.Function):
    """The identity, which takes time on the held clock."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, clock: Clock, forward: float, backward: float) -> Tensor:
        ctx.clock, ctx.seconds = clock, backward
        clock.now += forward
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        ctx.clock.now += ctx.seconds
        return gradients[0], None, None, None


class Takes(nn.Module):
    def __init__(self, clock: Clock, forward: float, backward: float) -> None:
        super().__init__()
        self.arguments = clock, forward, backward

    def forward(self, x: Tensor) -> Tensor:
        return _Takes.apply(x, *self.arguments)  # type: ignore[no-any-return, no-untyped-call]


class Block(nn.Module):
    """Two layers, and something between them that is no layer."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.first, self.last = clock, Takes(clock, 1, 2), Takes(clock, 4, 8)

    def forward(self, x: Tensor) -> Tensor:
        between: Tensor = _Takes.apply(self.first(x), self.clock, 16, 32)  # type: ignore[no-untyped-call]
        return self.last(between)  # type: ignore[no-any-return]


def one_step(model: nn.Module, clock: Clock) -> None:
    """Before the network 64 seconds, the loss 128 and 256, the update 512."""
    clock.now += 64
    y = model(torch.ones(3, requires_grad=True))
    _Takes.apply(y, clock, 128, 256).sum().backward()  # type: ignore[no-untyped-call]
    clock.now += 512


def test_every_second_belongs_to_its_part(clock: Clock) -> None:
    model = nn.Sequential(Block(clock))
    watch = Watch(model, CPU)
    watch.start()
    clock.now += 1024
    watch.mark("data")
    with watch.layers():
        one_step(model, clock)
        watch.mark("update")
    assert {part: seconds for part, seconds in watch.parts.items() if seconds} == {
        ("data", ""): 1024,
        ("rest", ""): 64,
        ("forward", "0.first"): 1,
        ("forward", "0"): 16,
        ("forward", "0.last"): 4,
        ("loss", ""): 128 + 256,
        ("backward", "0.last"): 8,
        ("backward", "0"): 32,
        ("backward", "0.first"): 2,
        ("update", ""): 512,
    }
    assert sum(watch.parts.values()) == clock.now - 1000


def test_a_compiled_network_is_one_layer(clock: Clock) -> None:
    model = nn.Sequential(Block(clock))
    watch = Watch(model, CPU, whole=True)
    watch.start()
    with watch.layers():
        one_step(model, clock)
        watch.mark("update")
    assert watch.parts["forward", ""] == 1 + 4 + 16
    assert watch.parts["backward", ""] == 2 + 8 + 32
    assert {name for _, name in watch.parts} == {""}


def test_a_step_after_the_block_is_not_watched() -> None:
    """The nodes that add gradients up live on while a graph does, and hooks on them would."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    watch = Watch(model, CPU)
    watch.start()
    with watch.layers():
        held = model(torch.ones(1, 3))
        held.sum().backward()
    before = dict(watch.parts)
    assert ("backward", "0") in before
    model(torch.ones(1, 3)).sum().backward()
    assert watch.parts == before
    assert held.grad_fn is not None


def test_a_layer_that_raises_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(5, 2))
    watch = Watch(model, CPU)
    watch.start()
    with pytest.raises(RuntimeError), watch.layers():
        model(torch.ones(1, 3))
    watch.start()
    with watch.layers():
        model[0](torch.ones(1, 3)).sum().backward()
    assert {name for _, name in watch.parts} == {"", "0"}


LIMITS = Limits("a machine", 2, float32=1e9, bfloat16=2e9, bandwidth=1e8)


def test_the_least_time_of_a_convolution_is_its_arithmetic() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    limits = Limits("much memory", 2, float32=1e9, bfloat16=2e9, bandwidth=1e15)
    counted = inspected(model, (2, 8, 8), 5)
    assert counted is not None
    first, second = counted.layers
    operations = 2 * 4 * 4 * 9 * 64 * 5
    assert least(second, counted, limits, "float32", backward=False) == pytest.approx(operations / 1e9)
    assert least(second, counted, limits, "float32", backward=True) == pytest.approx(3 * operations / 1e9)
    assert least(second, counted, limits, "bfloat16", backward=True) == pytest.approx(3 * operations / 2e9)
    # Half the channels; and the first owes no gradient of its input: two products instead of three.
    assert least(first, counted, limits, "float32", backward=True) == pytest.approx(operations / 1e9)


def test_the_least_time_of_a_pass_over_memory_is_its_bytes() -> None:
    counted = inspected(nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Flatten()), (2, 8, 8), 5)
    assert counted is not None
    values = 4 * 64 * 5
    assert least(counted.layers[1], counted, LIMITS, "float32", backward=False) == pytest.approx(
        8 * values / 1e8
    )
    # Back: the input and the gradient are read, a gradient is written.
    assert least(counted.layers[1], counted, LIMITS, "bfloat16", backward=True) == pytest.approx(
        10 * values / 1e8
    )
    assert least(counted.layers[2], counted, LIMITS, "float32", backward=True) == 0  # a view


def test_the_faster_half_of_the_steps_is_added_up() -> None:
    counted = inspected(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)), (2, 8, 8), 5)
    norm = ("forward", "1.normalised")  # as the fused form calls it
    steps: list[dict[tuple[str, str], float]] = [
        {("data", ""): 1, ("forward", "0"): 2, ("backward", "0"): 4, norm: 8, ("update", ""): 16},
        {("data", ""): 3, ("forward", "0"): 4, ("backward", "0"): 4, norm: 8, ("update", ""): 16},
        {("data", ""): 100, ("forward", "0"): 100},
    ]
    found = summed(steps, counted, LIMITS, batch=5, precision="float32")
    assert (found.steps, found.data, found.update, found.rest, found.loss) == (3, 2, 16, 0, 0)
    convolution, joined = found.layers
    assert (convolution.name, convolution.kind, convolution.forward, convolution.backward) == (
        "0",
        "Conv2d",
        3,
        4,
    )
    assert (joined.name, joined.kind, joined.forward, joined.backward) == (
        "1.normalised",
        "BatchNorm2d",
        8,
        0,
    )
    assert (convolution.multiplies, joined.multiplies) == (True, False)
    assert found.seconds == 33 == found.data + found.update + sum(row.seconds for row in found.layers)


def made(recipe: Recipe, **parts: float) -> str:
    """The advice for a step of parts of a second that can do no better, but for those given."""
    seconds = defaultdict(lambda: 1.0, parts)
    rows = (
        Row("conv", "Conv2d", seconds["conv"], 0.0, 1.0, multiplies=True),
        Row("bn", "BatchNorm2d", seconds["bn"], 0.0, 1.0),
        Row("act", "relu", 1.0, 0.0, 1.0),
    )
    names = ("data", "augmentation", "rest", "loss", "update")
    data, augmentation, rest, loss, update = own = [seconds[name] for name in names]
    whole = sum(own) + sum(row.seconds for row in rows)
    found = Profile(
        8, 3, "float32", whole, whole, data, augmentation, rest, loss, update, 1.0, rows, LIMITS
    )  # fmt: skip
    return advice(found, recipe)


@pytest.mark.parametrize(
    ("slow", "told"),
    [
        ("data", "59 % of the step is preparing the pictures: a smaller --size"),
        ("augmentation", "59 % of the step is augmentation: fewer kinds in --augment"),
        (
            "update",
            "59 % of the step is the update of the weights, at 10 % of the memory limit: a larger --batch",
        ),
        ("conv", "59 % of the step is convolutions, at 10 % of the matrix limit: --tune full tries"),
        ("bn", "65 % of the step is batch norm and ReLU, at 18 % of the memory limit: --tune full tries"),
    ],
)
def test_the_advice_names_what_loses_most(slow: str, told: str) -> None:
    assert made(Recipe(tune="auto"), **{slow: 10.0}).startswith(told)


def test_a_compiled_network_gets_no_advice_about_layers() -> None:
    assert made(Recipe(compile=True), conv=10.0).startswith("A compiled network has no layers")


def test_what_was_tried_is_not_advised_again() -> None:
    assert "--tune" not in made(Recipe(tune="full"), conv=10.0)
    assert "--tune" not in made(Recipe(tune="full"), bn=10.0)
    assert "--tune" not in made(Recipe(kernels="striate"), bn=10.0)


def test_a_profile_of_a_job_adds_up_and_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in job.model.state_dict().items()}
    found = profile(job)
    assert all(torch.equal(tensor, before[name]) for name, tensor in job.model.state_dict().items())
    parts = (found.data, found.augmentation, found.rest, found.loss, found.update)
    assert min(parts) >= 0
    layers = sum(row.forward + row.backward for row in found.layers)
    assert sum(parts) + layers == pytest.approx(found.seconds, rel=1e-6)
    assert 0.2 < found.seconds / found.unwatched < 5  # the same step; how near is no test's business
    names = {row.name.removesuffix(".normalised") for row in found.layers}
    assert {"0", "1", "3", "6"} <= names <= {"", *"0123456"}
    assert all(row.forward > 0 for row in found.layers)
    assert all(row.least for row in found.layers if row.multiplies)
    assert found.advice.endswith(".")
    kept = json.loads(json.dumps(found.json(), allow_nan=False))
    assert [row["name"] for row in kept["layers"]] == [row.name for row in found.layers]
    assert kept["limits"]["bandwidth"] == found.limits.bandwidth
    assert math.isfinite(found.update_least)
