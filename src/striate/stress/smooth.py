"""Convolution with a Gaussian for any standard deviation and any size, as one matrix a side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def smoothed(x: Tensor, sigma: float, *, reflect: bool = False, truncate: float = 4.0) -> Tensor:
    """Convolve (..., H, W) with a Gaussian.

    sigma: in pixels; 0 leaves x as it is.   reflect: whether x goes on mirrored beyond its border; otherwise
    the border's own values go on.   truncate: where the Gaussian ends, in standard deviations.

    >>> smoothed(torch.eye(3), 0.5)[1].sum() <= 1
    tensor(True)
    """
    if sigma == 0:
        return x
    down, right = (_gaussian(size, sigma, reflect, truncate).to(x) for size in x.shape[-2:])
    return down @ x @ right.T


def _gaussian(size: int, sigma: float, reflect: bool, truncate: float) -> Tensor:
    """Give the matrix (size, size) whose row i holds the weights of the pixels that make up pixel i."""
    reach = int(truncate * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    reached = torch.arange(size)[:, None] + offsets
    if reflect:
        reached = reached.remainder(2 * size)
        reached = torch.minimum(reached, 2 * size - 1 - reached)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, reached.clamp(0, size - 1), (weights / weights.sum()).expand(size, -1))
