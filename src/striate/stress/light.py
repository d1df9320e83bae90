"""Pictures in other light: (N, C, H, W) in 0..1 in, the same shape out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.stress import chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def darkness(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Take light away. level: the share taken, 0 to 1."""
    return pictures * (1 - level)


def colour_cast(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Multiply each channel by a gain of its own, as another light source does; the direction is drawn per picture.

    level: the largest gain or loss in stops (1 stop is a factor of 2); the gains' logarithms sum to 0.
    """
    way = 2 * chance.uniform("colour_cast", keys, pictures.shape[1]) - 1
    way = way - way.mean(1, keepdim=True)
    gains = torch.exp2(level * way / way.abs().amax(1, keepdim=True).clamp_min(1e-6))
    return pictures * gains[:, :, None, None].to(pictures)


def one_channel(channels: int) -> str:
    """Why a colour cast is none for grey pictures; empty for others."""
    return "grey pictures have no colour" if channels == 1 else ""
