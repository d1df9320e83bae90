"""The draws of a distortion: they depend on the seed, the distortion and the picture, never on the batch.

A picture's key stands for seed and picture; the name of the distortion keeps two distortions apart. The
severity takes no part: a shift of 3 pixels goes the way that the shift of 2 went.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data import draws

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def keys(seed: int, rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Give each picture its key, from which all its draws follow.

    seed: integer >= 0.   rows: (N,) integers >= 0, the pictures' own numbers, whatever batch they are in.
    Returns: (N,) uint64.

    >>> bool((keys(0, np.array([3, 5]))[1:] == keys(0, np.array([5]))).all())
    True
    """
    return (draws.uniform(seed, 0, rows, 1)[:, 0] * 2.0**53).astype(np.uint64)


def uniform(name: str, keys: NDArray[np.uint64], n: int) -> Tensor:
    """Draw n numbers in [0, 1) for each picture: (N, n) float32, on the CPU."""
    bits = np.floor(draws.uniform(zlib.crc32(name.encode()), 0, keys, n) * 2.0**24)  # rounding would reach 1
    return torch.from_numpy(bits.astype(np.float32)) * 2.0**-24


def generators(name: str, keys: NDArray[np.uint64]) -> list[np.random.Generator]:
    """Make a random generator for each picture, where the draws are many and not uniform."""
    word = zlib.crc32(name.encode())
    return [np.random.Generator(np.random.Philox(key=np.array([key, word], np.uint64))) for key in keys]


def normal(name: str, keys: NDArray[np.uint64], shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal numbers for each picture: (N, *shape) float32, on the CPU."""
    drawn = [one.standard_normal(shape, dtype=np.float32) for one in generators(name, keys)]
    return torch.from_numpy(np.stack(drawn)) if drawn else torch.empty(0, *shape)
