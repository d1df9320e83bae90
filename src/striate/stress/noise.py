"""Pictures with noise: (N, C, H, W) in 0..1 in, the same shape out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.stress import chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def noise(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Add normal noise to every value. level: its standard deviation, of a range of 0..1."""
    return pictures + level * chance.normal("noise", keys, tuple(pictures.shape[1:])).to(pictures)
