"""Sequences of unequal lengths in one batch: zeros fill the ends, and no answer is to depend on them.

Shapes: N sequences of C channels and L steps, time last. What follows the last step that is not all zero is
padding, and only that; so zeros within a sequence, or before its first sound, are part of it.
All are differentiable in x, and none waits for a value, so that a graph can be captured on any device.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


def _one_call(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let what follows torch's functions (the rows of inspect, torch.fx) see one call, not its parts."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if has_torch_function(args):
            return handle_torch_function(called, args, *args, **kwargs)
        return function(*args, **kwargs)

    return called


@_one_call
def lengths(x: Tensor) -> Tensor:
    """Count each sequence's true steps: those up to the last one that is not all zero.

    x: (N, C, L).   Returns: (N,) int64, from 1 (an all-zero sequence is one step) to L.
    Raises ModelError for other shapes, and for L = 0.

    >>> lengths(torch.tensor([[[0.0, 2.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 3.0]]])).tolist()
    [2, 4]
    """
    if x.dim() != 3 or x.shape[2] < 1:
        raise ModelError(
            f"a batch of sequences is (N, C, L), L at least 1. Received: {tuple(x.shape)}",
            "Give sequences: channels first, time last; pictures are (N, C, H, W).",
        )
    places = torch.arange(1, x.shape[2] + 1, device=x.device)
    return (places * (x != 0).any(dim=1)).amax(dim=1).clamp(min=1)


def true_steps(n: Tensor, steps: int) -> Tensor:
    """Mark the steps that are the sequence's own.

    n: (N,) lengths; steps: L.   Returns: (N, 1, L) bool, True for the first n.

    >>> true_steps(torch.tensor([1, 3]), 3).tolist()
    [[[True, False, False]], [[True, True, True]]]
    """
    return torch.arange(steps, device=n.device) < n[:, None, None]


@_one_call
def masked(x: Tensor, n: Tensor) -> Tensor:
    """Put zeros where the padding is: what a layer's bias wrote there goes.

    x: (N, C, L); n: (N,) lengths.   Returns: (N, C, L).

    >>> masked(torch.tensor([[[5.0, 6.0, 7.0]]]), torch.tensor([2])).tolist()
    [[[5.0, 6.0, 0.0]]]
    """
    return x.masked_fill(~true_steps(n, x.shape[2]), 0.0)


@_one_call
def mean_over_time(x: Tensor, n: Tensor) -> Tensor:
    """Average each channel over the true steps.

    x: (N, C, L); n: (N,) lengths, at least 1.   Returns: (N, C).

    >>> mean_over_time(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([2])).tolist()
    [[2.0]]
    """
    return masked(x, n).sum(dim=2) / n[:, None]


@_one_call
def max_over_time(x: Tensor, n: Tensor) -> Tensor:
    """Give each channel's largest value over the true steps: was the pattern anywhere?

    x: (N, C, L); n: (N,) lengths, at least 1.   Returns: (N, C).
    Source: Collobert et al. 2011, Natural language processing (almost) from scratch, section 3.3.2.

    >>> max_over_time(torch.tensor([[[-1.0, -3.0, 0.0]]]), torch.tensor([2])).tolist()
    [[-1.0]]
    """
    # max and not amax: the gradient goes to the first of equals, as in max_pool.
    return x.masked_fill(~true_steps(n, x.shape[2]), -torch.inf).max(dim=2).values


@_one_call
def last_step(x: Tensor, n: Tensor) -> Tensor:
    """Give each channel's value at the last true step.

    x: (N, C, L); n: (N,) lengths, at least 1.   Returns: (N, C).

    >>> last_step(torch.tensor([[[1.0, 3.0, 9.0]]]), torch.tensor([2])).tolist()
    [[3.0]]
    """
    return x.gather(2, (n - 1)[:, None, None].expand(-1, x.shape[1], 1)).squeeze(2)


@_one_call
def backwards(x: Tensor, n: Tensor) -> Tensor:
    """Turn time round within each sequence; the padding stays where it is.

    x: (N, C, L); n: (N,) lengths.   Returns: (N, C, L). Twice gives x again.

    >>> backwards(torch.tensor([[[1.0, 2.0, 3.0, 0.0]]]), torch.tensor([3])).tolist()
    [[[3.0, 2.0, 1.0, 0.0]]]
    """
    place = torch.arange(x.shape[2], device=x.device).expand(x.shape[0], -1)
    mirrored = n[:, None] - 1 - place
    # Where the mirror would be before the first step, the place is padding and keeps what it has.
    source = torch.where(mirrored >= 0, mirrored, place)
    return x.gather(2, source[:, None, :].expand_as(x))
