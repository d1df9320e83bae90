"""Random numbers that depend on what they are for, never on when they are drawn.

Every number is a hash of (seed, epoch, sample, draw). There is no state to save or to share, so the batch
size, the order and the number of workers cannot change a draw, and resuming needs no bookkeeping. It costs
about 10 ns a number. Source: SplitMix64 of Steele, Lea and Flood 2014, its start hashed from the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, epoch: int, samples: NDArray[Any], n: int) -> NDArray[np.float64]:
    """Draw n numbers for each sample.

    seed, epoch: integers, 0 <= value < 2**64.   samples: (N,) integers >= 0, the samples' own numbers.
    Returns: (N, n) in [0, 1).

    >>> both = uniform(0, 3, np.array([7, 8]), 2)
    >>> np.array_equal(both[1:], uniform(0, 3, np.array([8]), 2))
    True
    """
    state = np.zeros(1, np.uint64)
    for part in (np.uint64(seed), np.uint64(epoch), samples.astype(np.uint64)):
        state = _mixed((state + GOLDEN) ^ part)
    bits = _mixed(state[:, None] + GOLDEN * np.arange(1, n + 1, dtype=np.uint64))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # the 53 bits that a float64 holds


def permutation(seed: int, epoch: int, n: int) -> NDArray[np.intp]:
    """Order n samples for one epoch: each has a number of its own, and they are sorted by it."""
    return np.argsort(uniform(seed, epoch, np.arange(n), 1)[:, 0], kind="stable")


def weighted(seed: int, epoch: int, weights: NDArray[Any]) -> NDArray[np.intp]:
    """Draw len(weights) samples with replacement, each as often as its weight says.

    weights: (n,) >= 0, not all zero.   Returns: (n,) indices into weights.
    """
    edges = np.cumsum(weights, dtype=np.float64)
    chosen = uniform(seed, epoch, np.arange(len(weights)), 1)[:, 0] * edges[-1]
    rows: NDArray[np.intp] = np.searchsorted(edges, chosen, side="right")
    return rows


def occurrences(values: NDArray[Any]) -> NDArray[np.intp]:
    """Count how often each value came before.

    >>> occurrences(np.array([5, 2, 5, 5]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    counts = np.empty(len(values), np.intp)
    counts[order] = np.arange(len(values)) - first
    return counts


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
