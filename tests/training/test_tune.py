"""The search finds what is faster and only that; what changes the gradient is dropped, whatever its speed."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from striate.data.batches import Batch
from striate.events import Tried
from striate.runs.recipe import SPEED, Recipe
from striate.training import machine, stepper, tune
from striate.training import task as tasks
from striate.training.defaults import fast

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = tasks.untrained("classification", ("a", "b"))
START = fast(
    Recipe(device="cpu", threads=4, precision="float32", optimizer="nesterov", lr=0.1, weight_decay=0.0)
)


@dataclass
class Fake:
    """A machine on which each setting multiplies the time of a step, and time passes only in its steps."""

    factors: dict[str, float]
    off: dict[str, float] = field(default_factory=dict)  # the gradient's error
    compiling: float = 0.0
    now: float = 0.0
    held: set[Recipe] = field(default_factory=set)

    def cost(self, recipe: Recipe) -> float:
        return math.prod(self.factors.get(str(getattr(recipe, name)), 1.0) for name in SPEED)

    def errors(self, recipe: Recipe) -> tuple[float, float]:
        self.held.add(recipe)
        self.now += self.cost(recipe)
        error = max(self.off.get(str(getattr(recipe, name)), 0.0) for name in SPEED)
        if math.isinf(error):
            raise RuntimeError("not on this machine")
        return error, 0.0

    def preparing(self, recipe: Recipe) -> float:
        assert recipe.compile
        return self.compiling

    def turn(self, recipe: Recipe) -> float:
        self.held.add(recipe)
        self.now += self.cost(recipe)
        return self.cost(recipe)

    def forget(self, recipe: Recipe) -> None:
        self.held.discard(recipe)


KNOWN: list[tuple[str, Any]] = [
    ("threads", 2), ("threads", 1), ("precision", "bfloat16"), ("layout", "contiguous"), ("compile", True),
]  # fmt: skip


def searched(
    lab: Fake, seconds: float = 1e6, left: float = 1e6, share: float = math.inf
) -> tuple[Recipe, list[Tried]]:
    return tune.search(
        START, KNOWN, lab, seconds=seconds, share=share, step=1.0, left=left, clock=lambda: lab.now
    )


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ({}, {}),
        ({"bfloat16": 0.5}, {"precision": "bfloat16"}),
        ({"2": 0.9, "1": 0.5}, {"threads": 1}),  # the better of two that both win
        ({"2": 0.5, "1": 0.9}, {"threads": 2}),
        ({"bfloat16": 0.98, "contiguous": 1.01}, {}),  # a gain that may be chance
        ({"1": 0.8, "bfloat16": 2.0, "contiguous": 0.7}, {"threads": 1, "layout": "contiguous"}),
    ],
)
def test_what_is_faster_is_taken(factors: dict[str, float], expected: dict[str, Any]) -> None:
    lab = Fake(factors)
    best, tries = searched(lab)
    assert best == START.replace(**expected)
    taken = {tried.setting: tried.value for tried in tries if tried.verdict == "taken"}
    assert taken == {name: str(value) for name, value in expected.items()}
    assert len(tries) == len(KNOWN)
    assert lab.held <= {best}  # nothing that lost is held in memory


def test_the_table_says_how_many_times_as_fast() -> None:
    _, tries = searched(Fake({"bfloat16": 0.5}))
    row = next(tried for tried in tries if tried.value == "bfloat16")
    assert (row.seconds, row.times, row.error, row.verdict) == (0.5, 2.0, 0.0, "taken")


@pytest.mark.parametrize("off", [0.2, math.nan])
def test_a_candidate_with_another_gradient_is_dropped_however_fast(off: float) -> None:
    best, tries = searched(Fake({"bfloat16": 0.01}, {"bfloat16": off}))
    assert best == START
    assert [tried.verdict for tried in tries if tried.value == "bfloat16"] == ["wrong"]


def test_short_numbers_may_be_off_by_more_than_long_ones() -> None:
    best, _ = searched(Fake({"bfloat16": 0.5, "contiguous": 0.5}, {"bfloat16": 0.05, "contiguous": 0.0}))
    assert (best.precision, best.layout) == ("bfloat16", "contiguous")
    best, _ = searched(Fake({"contiguous": 0.5}, {"contiguous": 0.05}))
    assert best == START


def test_a_candidate_that_fails_is_told_and_dropped() -> None:
    best, tries = searched(Fake({"contiguous": 0.1}, {"contiguous": math.inf}))
    assert best == START
    assert [tried.verdict for tried in tries if tried.value == "contiguous"] == ["fails"]


@pytest.mark.parametrize(("compiling", "taken"), [(399.0, True), (401.0, False)])
def test_compiling_has_to_pay_for_itself(
    compiling: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Compiling(Fake):
        def cost(self, recipe: Recipe) -> float:
            return 0.6 if recipe.compile else 1.0

    best, _ = searched(Compiling({}, compiling=compiling), left=1000)  # each step saves 0.4 s
    assert best.compile is taken


def test_no_comparison_is_begun_that_does_not_fit_the_time() -> None:
    lab = Fake({})
    _, tries = searched(lab, seconds=20.0)
    assert 0 < len(tries) < len(KNOWN)
    assert lab.now <= 20.0
    assert searched(Fake({"1": 0.1}), seconds=5.0) == (START, [])


def test_a_gain_that_most_turns_do_not_show_may_be_chance() -> None:
    class Noisy(Fake):
        turns = 0

        def cost(self, recipe: Recipe) -> float:
            self.turns += 1
            return 1.0 if recipe.layout != "contiguous" else 0.8 if self.turns % 3 else 1.3

    best, tries = searched(Noisy({}))
    assert best == START
    assert "may be chance" in {tried.verdict for tried in tries}


def test_a_run_that_has_become_short_is_tuned_no_longer() -> None:
    slow, quick = Fake({}), Fake({"2": 0.01})  # the first candidate makes the run a hundredth
    assert len(searched(slow, left=1000, share=0.05)[1]) == len(KNOWN)
    assert len(searched(quick, left=1000, share=0.05)[1]) == 1
    assert quick.now < slow.now


# ---- which candidates there are ------------------------------------------------------------------------


def test_what_the_user_says_is_not_varied() -> None:
    cpu = torch.device("cpu")
    everything = {name for name, _ in tune.candidates(Recipe(device="cpu", optimizer="sgd"), cpu)}
    assert {"kernels", "layout", "fused", "compile"} <= everything
    for name in everything - {"threads"}:
        decided = Recipe(device="cpu", optimizer="sgd").replace(**{name: getattr(START, name)})
        assert name not in {tried for tried, _ in tune.candidates(decided, cpu)}
    assert tune.candidates(START, cpu) == []


def test_fewer_threads_are_tried_never_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(machine, "cores", lambda: 6)
    known = tune.candidates(Recipe(device="cpu"), torch.device("cpu"))
    assert [value for name, value in known if name == "threads"] == [3, 1]


# ---- on a real network ---------------------------------------------------------------------------------


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 36, 2),
    )


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.randn(16, 3, 8, 8), torch.arange(16) % 2, None, None, np.arange(16))


ASKED = Recipe(device="cpu", optimizer="nesterov", lr=0.1, weight_decay=0.0, threads=1, kernels="library")


def test_a_real_search_leaves_the_network_and_the_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "SECONDS", {"full": 2.0})
    model, pictures = network(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    recipe, table, choices = tune.tuned(model, TASK, pictures, ASKED.replace(tune="full"), steps=10)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(getattr(recipe, name) is not None for name in SPEED)
    assert (recipe.threads, recipe.kernels) == (1, "library")
    assert table is not None
    # Dropout or not, another layout computes the same.
    (row,) = (tried for tried in table.tries if tried.setting == "layout")
    assert row.error is not None
    assert row.error < 1e-5
    assert [choice.name for choice in choices] == [t.setting for t in table.tries if t.verdict == "taken"]


def test_a_kernel_that_is_wrong_is_found_out_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "SECONDS", {"full": 0.1})

    @contextlib.contextmanager
    def faulty(model: nn.Module, *_: object) -> Iterator[nn.Module]:
        """Kernels of ours that forget a tenth of the first gradient."""
        first = next(model.parameters())
        handle = first.register_hook(lambda gradient: 0.9 * gradient)  # type: ignore[no-untyped-call]
        yield model
        handle.remove()

    monkeypatch.setattr(stepper, "lowered", faulty)
    asked = ASKED.replace(tune="full", kernels=None)
    recipe, _, _ = tune.tuned(network(), TASK, batch(), asked, steps=10)
    assert recipe.kernels == "library"


@pytest.mark.parametrize(("settings", "steps"), [({"tune": "off"}, 10**6), ({"tune": "auto"}, 100), ({}, 0)])
def test_nothing_is_measured_where_it_is_off_or_the_run_is_short(
    settings: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "Bench", None)
    asked = ASKED.replace(**settings)
    assert tune.tuned(network(), TASK, batch(), asked, steps=steps) == (fast(asked), None, [])


def test_a_network_of_which_no_copies_fit_the_memory_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "Bench", None)
    monkeypatch.setattr(tune, "free_memory", lambda: 12 * 4 * 600)  # bytes; it has 834 weights of 4
    assert tune.tuned(network(), TASK, batch(), ASKED, steps=10**6) == (fast(ASKED), None, [])


def test_what_a_run_has_decided_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "Bench", None)
    assert tune.tuned(network(), TASK, batch(), START, steps=10**6) == (START, None, [])
