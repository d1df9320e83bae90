"""Minutes into steps, on a clock that the test holds."""

from __future__ import annotations

import pytest

from striate.events import Event, Note, ignore
from striate.training.budget import Budget


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    held = Clock()
    monkeypatch.setattr("striate.training.budget.time", held)
    return held


def train(clock: Clock, budget: Budget, costs: list[float]) -> float:
    """Do steps at a cost that changes at each tenth of the first plan; give the seconds they took."""
    began, step, steps, plan = clock.now, 0, budget.steps, budget.steps
    while step < steps:
        clock.now += costs[min(len(costs) - 1, step * len(costs) // plan)]
        step += 1
        steps = budget.replan(step, steps)
    return clock.now - began


def test_a_steady_machine_keeps_the_plan(clock: Clock) -> None:
    told: list[Event] = []
    budget = Budget(100, 0.1, told.append)
    assert budget.steps == 1000
    assert train(clock, budget, [0.101]) == pytest.approx(100, abs=2)
    assert told == []


@pytest.mark.parametrize(
    "costs", [[0.2], [0.05], [0.1, 0.2], [0.1, 0.1, 0.1, 0.05], [0.05, 0.2, 0.05, 0.2], [0.1] * 9 + [0.3]]
)
def test_a_machine_that_changes_ends_on_time_all_the_same(clock: Clock, costs: list[float]) -> None:
    told: list[Event] = []
    assert train(clock, Budget(100, 0.1, told.append), costs) == pytest.approx(100, rel=0.08)
    assert all(isinstance(event, Note) for event in told)


def test_a_large_change_is_told(clock: Clock) -> None:
    told: list[Event] = []
    train(clock, Budget(100, 0.1, told.append), [0.2])
    assert told


def test_time_that_is_already_over_still_makes_a_step(clock: Clock) -> None:
    budget = Budget(-5, 0.1, ignore)
    assert budget.steps == 1
    assert train(clock, budget, [0.1]) == pytest.approx(0.1)
