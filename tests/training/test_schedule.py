"""The learning rate's shape, and the pictures' side over a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.training.schedule import Plateau, rate

NAMES = ["constant", "step", "linear", "cosine", "one-cycle", "plateau"]
share = st.floats(0, 1)


@given(st.sampled_from(NAMES), share, st.floats(0, 0.9))
def test_a_rate_is_a_share_of_the_peak(name: str, progress: float, warmup: float) -> None:
    assert 0 <= rate(name, progress, warmup) <= 1


@pytest.mark.parametrize("name", ["constant", "step", "linear", "cosine", "plateau"])
def test_warm_up_rises_in_a_line_to_the_peak(name: str) -> None:
    assert [rate(name, p, 0.2) for p in (0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])
    assert rate(name, 0.2, 0.2) == 1


def test_known_values() -> None:
    assert [rate("step", p, 0) for p in (0.49, 0.5, 0.75)] == [1, 0.1, 0.01]
    assert [rate("linear", p, 0.2) for p in (0.1, 0.2, 0.6, 1)] == pytest.approx([0.5, 1, 0.5, 0])
    assert rate("cosine", 0.25, 0) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert rate("one-cycle", 0, 0) == pytest.approx(1 / 25)
    assert rate("one-cycle", 0.3, 0) == 1
    assert rate("one-cycle", 1, 0) == pytest.approx(1e-5)
    assert rate("constant", 0.9, 0.1) == 1


def test_plateau_cuts_after_five_epochs_without_a_better_loss() -> None:
    plateau = Plateau()
    for loss in (1.0, 0.9, 0.95, 0.95, 0.95, 0.95):
        plateau.see(loss)
    assert plateau.factor == 1
    plateau.see(0.9)
    assert plateau.factor == pytest.approx(0.1)
    plateau.see(0.5)
    assert (plateau.best, plateau.waited) == (0.5, 0)
