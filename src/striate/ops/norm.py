"""Local response normalisation, as the network of 2012 had it; batch normalisation took its place in 2015."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.errors import ModelError
from striate.ops.window import check_maps

if TYPE_CHECKING:
    from torch import Tensor


def local_response(
    x: Tensor, *, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Tensor:
    """Damp each unit by the activity of its neighbours in the maps beside it, at the same place.

        b_i = a_i / (k + alpha sum over j of a_j^2)^beta,   j from max(0, i - n/2) to min(C - 1, i + n/2)

    x: the maps a, (N, C, H, W) or (N, C, L); n: maps in the sum, odd.   Returns: the maps b, (N, C, H, W).
    torch's alpha is n times this one: it takes the mean of the n squares where the paper takes the sum.
    Raises ModelError if n is even, or for another shape.
    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.

    >>> local_response(torch.tensor([[[3.0], [4.0]]]), n=3, k=0.0, alpha=1.0, beta=0.5).flatten().tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    check_maps(x)
    if n < 1 or n % 2 == 0:
        raise ModelError(
            f"n is not odd: it counts a map and as many on each side. Received: n={n}", "the paper has n=5"
        )
    squares = x * x
    # The sum over a band of neighbours, with the maps that are not there left out at both ends.
    maps = range(x.shape[1])
    near = [squares[:, max(0, i - n // 2) : i + n // 2 + 1].sum(dim=1) for i in maps]
    return x / (k + alpha * torch.stack(near, dim=1)) ** beta
