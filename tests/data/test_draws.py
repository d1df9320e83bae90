"""Draws: uniform, independent of each other, and of everything but their key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.draws import occurrences, permutation, uniform, weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = st.integers(0, 2**63 - 1)


@given(
    seed=WORDS, epoch=st.integers(0, 10_000), samples=st.lists(st.integers(0, 2**50), min_size=1, max_size=20)
)
def test_a_draw_depends_on_its_key_alone(seed: int, epoch: int, samples: list[int]) -> None:
    together = uniform(seed, epoch, np.array(samples), 6)
    alone = [uniform(seed, epoch, np.array([sample]), 6)[0] for sample in samples]
    assert np.array_equal(together, alone)
    assert np.array_equal(together[:, :2], uniform(seed, epoch, np.array(samples), 2))
    assert together.min() >= 0
    assert together.max() < 1


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (1, 0), (2**63 - 1, 7)])
def test_draws_are_uniform(seed: int, epoch: int) -> None:
    draws = uniform(seed, epoch, np.arange(5000), 20)
    for values in (draws.ravel(), draws[:, 0], draws[:, 19]):
        counts, _ = np.histogram(values, 64, (0, 1))
        expected = len(values) / 64
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 63 + 5 * np.sqrt(2 * 63)  # five standard deviations above its mean


def test_neighbours_are_not_correlated() -> None:
    def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
        return abs(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))

    samples = np.arange(4000)
    draws = uniform(3, 5, samples, 10)
    limit = 5 / np.sqrt(draws.size)
    assert correlation(draws[1:], draws[:-1]) < limit  # samples
    assert correlation(draws[:, 1:], draws[:, :-1]) < limit  # draws
    assert correlation(draws, uniform(3, 6, samples, 10)) < limit  # epochs
    assert correlation(draws, uniform(4, 5, samples, 10)) < limit  # seeds
    assert correlation(draws, uniform(5, 3, samples, 10)) < limit  # seed and epoch exchanged
    assert correlation(draws[1:, :-1], draws[:-1, 1:]) < limit  # one sample's next draw, the next sample's


def test_no_two_keys_share_their_draws() -> None:
    draws = np.stack([uniform(seed, epoch, np.arange(200), 20) for seed in range(5) for epoch in range(5)])
    assert len(np.unique(draws)) == draws.size


@given(seed=WORDS, epoch=st.integers(0, 100), n=st.integers(1, 300))
def test_permutation_holds_everything_once(seed: int, epoch: int, n: int) -> None:
    assert np.array_equal(np.sort(permutation(seed, epoch, n)), np.arange(n))


def test_permutations_of_epochs_differ() -> None:
    first, second, other_seed = permutation(0, 0, 1000), permutation(0, 1, 1000), permutation(1, 0, 1000)
    for order in (second, other_seed):
        assert np.mean(first == order) < 0.02
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.15


def test_weighted_draws_follow_the_weights() -> None:
    weights = np.repeat([0.0, 1.0, 3.0], 4000)
    shares = np.bincount(weighted(0, 0, weights) // 4000, minlength=3) / 12_000
    assert shares[0] == 0
    assert abs(shares[2] - 0.75) < 0.02


def test_occurrences_count_what_came_before() -> None:
    values = np.random.default_rng(0).integers(0, 9, 100)
    assert occurrences(values).tolist() == [int((values[:i] == v).sum()) for i, v in enumerate(values)]
