"""The bench on a tiny network: what is measured, how it adds up, who takes turns, what the loops learn."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from striate.errors import RecipeError
from striate.events import ignore
from striate.runs.recipe import SPEED
from striate.training import bench as benches
from striate.training.bench import (
    NETWORKS,
    SETTINGS,
    Bare,
    Bench,
    Network,
    Setting,
    Side,
    bench,
    find,
    rounds,
)

SECONDS = 5.0


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


TINY = Network("tiny", tiny, batch=8, channels=3, size=8, classes=4)


@pytest.fixture(scope="module")
def found() -> Bench:
    return bench([TINY], SECONDS, ignore)


def test_the_document_has_the_keys_that_scripts_read(found: Bench) -> None:
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert list(told) == ["machine", "limits", "step"]
    assert {"processor", "cores", "torch"} <= set(told["machine"])
    assert min(told["limits"][name] for name in ("float32", "bfloat16", "bandwidth")) > 0
    (row,) = told["step"]
    assert {"network", "images_per_second", "ratio_to_plain", "ratio_to_best"} <= set(row)
    assert row["network"] == "tiny"
    assert all(row["ours"][name] is not None for name in SPEED)  # the settings of a long training, all chosen


def test_the_best_setting_is_never_slower_than_plain(found: Bench) -> None:
    (row,) = found.step
    assert row.rounds >= benches.ROUNDS
    assert set(row.tried) == {str(setting) for setting in SETTINGS}
    assert "plain" in row.tried
    assert row.best_setting in row.tried
    assert 0 < row.ratio_to_best <= row.ratio_to_plain
    assert row.images_per_second > 0


def test_each_distinct_operator_is_measured_once(found: Bench) -> None:
    operators = {(each.what, each.input, each.output): each for each in found.step[0].operators}
    assert {key: each.count for key, each in operators.items()} == {
        ("Conv2d 3x3", (3, 8, 8), (8, 8, 8)): 1,
        ("Conv2d 3x3", (8, 8, 8), (8, 8, 8)): 2,
        ("BatchNorm2d", (8, 8, 8), (8, 8, 8)): 1,
        ("Linear", (8,), (4,)): 1,
    }
    assert all(min(each.forward, each.backward, each.share) > 0 for each in operators.values())
    twice = operators["Conv2d 3x3", (8, 8, 8), (8, 8, 8)]
    operations = 2 * 8 * 8 * 9 * 64 * 8 * 3
    assert twice.flops == pytest.approx(operations / (twice.forward + twice.backward))
    assert twice.seconds == pytest.approx(2 * (twice.forward + twice.backward))


def test_the_mean_is_geometric(found: Bench) -> None:
    rows = [dataclasses.replace(found.step[0], ratio_to_plain=ratio) for ratio in (1.0, 4.0)]
    assert dataclasses.replace(found, step=tuple(rows)).mean("ratio_to_plain") == pytest.approx(2.0)


def test_the_bare_loop_learns_as_the_textbook_says() -> None:
    """One step of gradient descent, written out; the settings change rounding at most."""
    x, y = benches.batch_of(TINY).inputs, benches.batch_of(TINY).targets
    model = benches.seeded(TINY)
    nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    expected = [
        parameter - 0.01 * parameter.grad for parameter in model.parameters() if parameter.grad is not None
    ]
    for setting in SETTINGS:
        bare = Bare(TINY, setting)
        bare()
        learned = [parameter for group in bare.rule.param_groups for parameter in group["params"]]
        assert bare.x.is_contiguous(memory_format=torch.channels_last) == setting.channels_last
        for mine, known in zip(learned, expected, strict=True):
            torch.testing.assert_close(mine, known, rtol=0, atol=1e-3 if setting.bf16 else 1e-6)


def test_our_step_learns_the_same_as_the_bare_loop() -> None:
    """In whatever settings were chosen: the way of three steps differs by rounding, of 8 bits at most."""
    start = list(benches.seeded(TINY).parameters())
    bare = Bare(TINY, Setting())
    with benches.ours(TINY) as (side, recipe):
        for _ in range(3):
            bare()
            side.step()
        mine = list(side.step.func.model.parameters())  # type: ignore[attr-defined]
    theirs = [parameter for group in bare.rule.param_groups for parameter in group["params"]]
    moved, apart = (
        sum(float((a - b).detach().square().sum()) for a, b in zip(theirs, others, strict=True)) ** 0.5
        for others in (start, mine)
    )
    assert moved > 0
    assert apart < (1e-4 if recipe.precision == "float32" else 0.1) * moved


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


def test_all_take_turns_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = Clock(), list[str]()
    monkeypatch.setattr("striate.training.bench.time", clock)

    def side(name: str, seconds: float) -> Side:
        def step() -> None:
            clock.now += seconds
            order.append(name)

        return Side(step)

    taken = rounds({"a": side("a", 1), "b": side("b", 2)}, end=3 + 3 + 7 * 3)
    assert taken == {"a": [1] * 7, "b": [2] * 7}
    assert order[4:8] == ["a", "b", "b", "a"]  # after two turns each to warm up, another begins each round
    late = rounds({"a": side("a", 1)}, end=0)
    assert len(late["a"]) == benches.ROUNDS  # fewer say nothing
    short = rounds({"a": side("a", 0.01)}, end=1e9)
    assert len(short["a"]) == benches.MOST
    assert short["a"][0] == pytest.approx(0.01)
    assert order.count("a") > benches.MOST * 10  # a short step is timed many times in a turn


def test_a_side_that_needs_it_is_warmed_outside_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, costs = Clock(), iter([10.0, 1.0, 1.0])
    monkeypatch.setattr("striate.training.bench.time", clock)

    def step() -> None:
        clock.now += next(costs)

    assert Side(step, warm=True).turn(2) == 1.0


def test_when_the_time_is_up_no_other_setting_is_tried() -> None:
    assert list(benches.heats(TINY, SETTINGS, end=0.0)) == [Setting()]
    assert SETTINGS[0] == Setting()
    assert len(set(SETTINGS)) == 8


def test_the_networks_are_those_of_the_table() -> None:
    shapes = {name: (each.batch, each.channels, each.size, each.classes) for name, each in NETWORKS.items()}
    assert shapes == {
        "lenet5": (128, 1, 28, 10),
        "resnet20": (128, 3, 32, 10),
        "resnet18": (128, 3, 64, 1000),
        "alexnet": (128, 3, 128, 1000),
        "googlenet": (64, 3, 128, 1000),
    }
    assert [network.name for network in find(None)] == list(NETWORKS)
    assert [network.name for network in find("resnet18")] == ["resnet18"]
    with pytest.raises(RecipeError, match="resnet81") as error:
        find("resnet81")
    assert error.value.hint == "Did you mean resnet18?"
