"""Pictures in other light: (N, C, H, W) in 0..1 in, the same shape out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.stress import chance
from striate.stress.severity import constants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

ADDED = (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)
KEPT = (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)


def darkness(pictures: Tensor, level: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Take light away. level: the share taken, 0 to 1."""
    return pictures * (1 - level)


def colour_cast(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Multiply each channel by a gain of its own, as coloured light does; the colour is drawn per picture.

    level: the largest gain or loss in stops (1 stop is a factor of 2); the gains' logarithms sum to 0.
    """
    way = 2 * chance.uniform("colour_cast", keys, pictures.shape[1]) - 1
    way = way - way.mean(1, keepdim=True)
    gains = torch.exp2(level * way / way.abs().amax(1, keepdim=True).clamp_min(1e-6))
    return pictures * gains[:, :, None, None].to(pictures)


def one_channel(channels: int) -> str:
    """Say why a colour cast is none for grey pictures; nothing for others."""
    return "grey pictures have no colour" if channels == 1 else ""


def brightness(pictures: Tensor, severity: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Add to the value of hue, saturation and value: every pixel is scaled until its largest channel fits."""
    value = pictures.amax(1, keepdim=True)
    brighter = (value + constants(pictures, severity, *ADDED)).clamp_max(1)
    return torch.where(value > 0, pictures * brighter / value.clamp_min(1e-12), brighter)


def contrast(pictures: Tensor, severity: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Draw every value towards the mean of its channel."""
    mean = pictures.mean((2, 3), keepdim=True)
    return mean + (pictures - mean) * constants(pictures, severity, *KEPT)
