"""What is done to a padded batch is what is done to each sequence alone, before it was padded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.errors import ModelError
from striate.ops import sequence

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def batch(steps: list[int], *, beyond: int = 2) -> tuple[Tensor, Tensor]:
    """Make sequences of these lengths with no step of zeros, padded to the longest and a bit beyond."""
    drawn = torch.Generator().manual_seed(len(steps) + sum(steps))
    n = torch.tensor(steps)
    x = torch.randn(len(steps), 3, max(steps) + beyond, generator=drawn, dtype=torch.float64)
    return sequence.masked(x, n), n


@given(LENGTHS)
def test_lengths_are_found_again(steps: list[int]) -> None:
    x, n = batch(steps)
    assert sequence.lengths(x).tolist() == steps
    assert sequence.true_steps(n, x.shape[2]).sum(dim=2).squeeze(1).tolist() == steps


def test_zeros_that_something_follows_are_true_steps_and_silence_is_one_step() -> None:
    x = torch.zeros(3, 2, 6)
    x[0, 1, 4] = -1e-30  # however little
    x[1, 0, 0] = torch.nan
    assert sequence.lengths(x).tolist() == [5, 1, 1]


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4, 4), (2, 3, 0)])
def test_what_is_no_batch_of_sequences_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"\(N, C, L\)"):
        sequence.lengths(torch.zeros(shape))


@pytest.mark.parametrize(
    ("pooled", "alone"),
    [
        (sequence.mean_over_time, lambda x: x.mean(dim=1)),
        (sequence.max_over_time, lambda x: x.amax(dim=1)),
        (sequence.last_step, lambda x: x[:, -1]),
    ],
)
@given(steps=LENGTHS)
def test_each_is_that_of_the_sequence_alone(
    pooled: Callable[[Tensor, Tensor], Tensor], alone: Callable[[Tensor], Tensor], steps: list[int]
) -> None:
    x, n = batch(steps)
    right = torch.stack([alone(one[:, :length]) for one, length in zip(x, steps, strict=True)])
    # Whatever lies in the padding by then (a bias, a previous layer's state) makes no difference.
    x = torch.where(sequence.true_steps(n, x.shape[2]), x, 1e9).requires_grad_()
    torch.testing.assert_close(pooled(x, n), right)
    (slope,) = torch.autograd.grad(pooled(x, n).sum(), x)
    assert torch.equal(sequence.masked(slope, n), slope)
    torch.testing.assert_close(slope.sum(dim=2), torch.ones(len(steps), 3, dtype=torch.float64))


@given(LENGTHS)
def test_backwards_is_each_sequence_flipped(steps: list[int]) -> None:
    x, n = batch(steps)
    turned = sequence.backwards(x, n)
    for one, back, length in zip(x, turned, steps, strict=True):
        assert torch.equal(back[:, :length], one[:, :length].flip(1))
        assert torch.equal(back[:, length:], one[:, length:])
    assert torch.equal(sequence.backwards(turned, n), x)
