"""Pictures shifted, scaled, turned, sheared and bent: (N, C, H, W) in 0..1 in, the same shape out.

What comes in from outside has the mean colour of the picture's border: a black background stays black, and no
mirrored second object appears, as it would with reflection. Angles and offsets are in pixels of the picture, so
a rotation stays one where height and width differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.stress import chance
from striate.stress.blur import smoothed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WAYS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # (down, right)


def shift(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Move each picture by whole pixels in one of eight directions, drawn per picture.

    level: pixels, in each of the one or two axes that the direction has.
    """
    by = round(level)
    height, width = pictures.shape[2:]
    drawn = (chance.uniform("shift", keys, 1)[:, 0] * len(WAYS)).long()
    filled = border(pictures).expand_as(pictures).clone()
    for way, (down, right) in enumerate(WAYS):
        of = (drawn == way).to(pictures.device)
        y, x = _overlap(height, down * by), _overlap(width, right * by)
        filled[of, :, y[0], x[0]] = pictures[of, :, y[1], x[1]]
    return filled


def scale(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Make what is in each picture larger or smaller, drawn per picture, about its middle.

    level: the factor, at least 1: half of the pictures are enlarged by it, half reduced by it.
    """
    factor = torch.tensor(level) ** _sign("scale", keys)
    none = torch.zeros_like(factor)
    return _affine(pictures, torch.stack([1 / factor, none, none, 1 / factor], 1))


def rotation(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Turn each picture about its middle. level: degrees, to the left or to the right, drawn per picture."""
    angle = math.radians(level) * _sign("rotation", keys)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return _affine(pictures, torch.stack([cos, sin, -sin, cos], 1))


def shear(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Slant each picture sideways. level: degrees, to the left or to the right, drawn per picture."""
    slope = torch.tan(math.radians(level) * _sign("shear", keys))
    one, none = torch.ones_like(slope), torch.zeros_like(slope)
    return _affine(pictures, torch.stack([one, none, slope, one], 1))


def elastic(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Bend each picture by a smooth random field of displacements (Simard, Steinkraus and Platt 2003).

    level: the displacement's root mean square in pixels. The field is as smooth as theirs: a Gaussian with a
    standard deviation of 4 pixels in 29.
    """
    height, width = pictures.shape[2:]
    field = 2 * chance.uniform("elastic", keys, 2 * height * width) - 1
    field = smoothed(field.view(-1, 2, height, width).to(pictures.device), min(height, width) * 4 / 29)
    field = field * (level / field.square().mean((1, 2, 3), keepdim=True).mul(2).sqrt())
    return _outside(pictures, _places(height, width, pictures) + field.permute(0, 2, 3, 1))


def border(pictures: Tensor) -> Tensor:
    """Mean colour of each picture's outermost pixels: (N, C, 1, 1)."""
    height, width = pictures.shape[2:]
    edge = torch.ones(height, width, dtype=torch.bool, device=pictures.device)
    edge[1:-1, 1:-1] = False
    return pictures[:, :, edge].mean(2)[:, :, None, None]


def sampled(pictures: Tensor, places: Tensor, padding: str) -> Tensor:
    """Read the pictures between their pixels, bilinearly.

    places: (N, H, W, 2), where each pixel comes from: row and column, 0 the middle of the first pixel.
    padding: ``zeros``, or ``reflection`` about the outer edges of the border's pixels.
    """
    size = torch.tensor(pictures.shape[2:], device=places.device)
    grid = ((places + 0.5) * 2 / size - 1).flip(-1)
    return F.grid_sample(pictures, grid, padding_mode=padding, align_corners=False)


def _overlap(size: int, by: int) -> tuple[slice, slice]:
    """Where pixels go to and where they come from along one axis."""
    by = max(-size, min(size, by))
    return slice(max(by, 0), size + min(by, 0)), slice(max(-by, 0), size - max(by, 0))


def _sign(name: str, keys: NDArray[Any]) -> Tensor:
    return torch.where(chance.uniform(name, keys, 1)[:, 0] < 0.5, -1.0, 1.0)


def _places(height: int, width: int, like: Tensor) -> Tensor:
    axes = (torch.arange(size, device=like.device, dtype=like.dtype) for size in (height, width))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _affine(pictures: Tensor, matrix: Tensor) -> Tensor:
    """Read each place from matrix (N, 4: rows of 2x2) times its offset (down, right) from the middle."""
    height, width = pictures.shape[2:]
    middle = torch.tensor([(height - 1) / 2, (width - 1) / 2], device=pictures.device)
    offsets = (_places(height, width, pictures) - middle).view(1, -1, 2)
    turned = offsets @ matrix.view(-1, 2, 2).to(pictures).transpose(1, 2)
    return _outside(pictures, turned.view(-1, height, width, 2) + middle)


def _outside(pictures: Tensor, places: Tensor) -> Tensor:
    colour = border(pictures)
    return sampled(pictures - colour, places, "zeros") + colour
