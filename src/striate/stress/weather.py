"""Pictures in snow, frost and fog: (N, C, H, W) in 0..1 in, the same shape out.

Frost is computed: the published corruption lays photographs of frosted glass over a picture, which are not
shipped here. So figures for frost compare networks with one another, not with published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.stress import chance
from striate.stress.blur import trailed, zoomed
from striate.stress.severity import constants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

# mean and standard deviation of the flakes, their enlargement, the value below which there is none,
# radius and standard deviation of their fall, share of the picture's own colour
SNOW = (
    (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
)
# weight of the picture, weight of the frost
FROST = (
    ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
)
# thickness, how much finer structure is weaker
FOG = (
    ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
)
ICE = (0.86, 0.94, 1.0)  # colour of frost in red, green and blue
LUMINANCE = (0.299, 0.587, 0.114)


def snow(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Whiten the picture and let two layers of flakes fall before it, one the other turned by 180 degrees."""
    mean, spread, size, least, radius, sigma, own = constants(pictures, severity, *SNOW)
    flakes = mean + spread * chance.normal("snow", keys, (1, *pictures.shape[2:]))
    flakes = zoomed(flakes, size)
    flakes = torch.where(flakes < least, 0, flakes).clamp(0, 1)
    angles = chance.uniform("snow", keys, 1)[:, 0] * 90 - 135
    fallen = trailed(flakes, radius, sigma, angles).to(pictures.device)
    white = torch.maximum(pictures, _grey(pictures) * 1.5 + 0.5)
    return own * pictures + (1 - own) * white + fallen + fallen.flip(2, 3)


def frost(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Add a layer of ice crystals: ridges of fractal noise, computed and not photographed."""
    own, ice = constants(pictures, severity, *FROST)
    return own * pictures + ice * _crystals(pictures, keys)


def fog(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Lay a fractal cloud over the picture and bring its brightest value back to what it was."""
    thickness, decay = constants(pictures, severity, *FOG)
    height, width = pictures.shape[2:]
    cloud = plasma(max(height, width), decay, keys, "fog")[:, None, :height, :width].to(pictures)
    brightest = pictures.amax((1, 2, 3), keepdim=True)
    return (pictures + thickness * cloud) * brightest / (brightest + thickness)


def plasma(side: int, decay: float, keys: NDArray[np.uint64], name: str) -> Tensor:
    """Make a fractal cloud by the diamond-square algorithm (Fournier, Fussell and Carpenter 1982).

    side: pixels, made a power of two.   decay: each finer octave is weaker by its square.
    Returns: (N, side, side) in 0..1, periodic.
    """
    side = 1 << max(1, (side - 1).bit_length())
    drawn = 2 * chance.uniform(name, keys, side * side).view(-1, side, side) - 1
    cloud = torch.zeros_like(drawn)
    step, height = side, 1.0
    while step > 1:
        half = step // 2
        corners = cloud[:, ::step, ::step]
        ahead = corners + corners.roll(-1, 1)
        middle = (ahead + ahead.roll(-1, 2)) / 4 + height * drawn[:, half::step, half::step]
        cloud[:, half::step, half::step] = middle
        beside = corners + corners.roll(-1, 2) + middle + middle.roll(1, 1)
        cloud[:, ::step, half::step] = beside / 4 + height * drawn[:, ::step, half::step]
        below = corners + corners.roll(-1, 1) + middle + middle.roll(1, 2)
        cloud[:, half::step, ::step] = below / 4 + height * drawn[:, half::step, ::step]
        step, height = half, height / decay**2
    least, most = cloud.amin((1, 2), keepdim=True), cloud.amax((1, 2), keepdim=True)
    return (cloud - least) / (most - least)


def _crystals(pictures: Tensor, keys: NDArray[np.uint64]) -> Tensor:
    """Ridges where two clouds cross their middle, in the colour of ice: (N, 1 or C, H, W) in 0..1."""
    height, width = pictures.shape[2:]
    ridges = [1 - (2 * plasma(max(height, width), 1.3, keys, f"frost {k}") - 1).abs() for k in (0, 1)]
    ice = torch.maximum(*ridges)[:, None, :height, :width].pow(3).to(pictures)
    return ice * _weights(pictures, ICE, 1.0)


def _grey(pictures: Tensor) -> Tensor:
    return (pictures * _weights(pictures, LUMINANCE, 1 / pictures.shape[1])).sum(1, keepdim=True)


def _weights(pictures: Tensor, colour: tuple[float, ...], otherwise: float) -> Tensor:
    """Give weights (1, C, 1, 1) of the channels: those of red, green and blue where there are three."""
    channels = pictures.shape[1]
    values = colour if channels == len(colour) else (otherwise,) * channels
    return torch.tensor(values).view(1, -1, 1, 1).to(pictures)
