"""Pictures shifted, scaled, turned, sheared and bent: (N, C, H, W) in 0..1 in, the same shape out.

What comes in from outside has the mean colour of the picture's border: a black background stays black, and
no mirrored second object appears, as with reflection. Angles and offsets are in pixels of the picture, so
that a rotation stays one where height and width differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.stress import chance
from striate.stress.severity import constants
from striate.stress.smooth import smoothed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# affine: how far three points may move; elastic: displacement before smoothing and the smoothing's standard
# deviation. As shares of 32 pixels (as they were published) and of 224 (published with 244 for it).
BENT = (
    ((0.08, 0, 0), (0.07, 0.05, 0.2), (0.06, 0.08, 0.06), (0.05, 0.1, 0.04), (0.03, 0.1, 0.03)),
    (
        (0.1 * 244 / 224, 2 * 244 / 224, 0.7 * 244 / 224),
        (0.2 * 244 / 224, 2 * 244 / 224, 0.08 * 244 / 224),
        (0.02 * 244 / 224, 0.05 * 244 / 224, 0.01 * 244 / 224),
        (0.02 * 244 / 224, 0.07 * 244 / 224, 0.01 * 244 / 224),
        (0.02 * 244 / 224, 0.12 * 244 / 224, 0.01 * 244 / 224),
    ),
)
WAYS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # (down, right)


def shift(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Move each picture by whole pixels in one of eight directions, drawn per picture.

    level: pixels, the same along both axes where the direction is a diagonal.
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
    field = smoothed(
        field.view(-1, 2, height, width).to(pictures.device), min(height, width) * 4 / 29, reflect=True
    )
    field = field * (level / field.square().mean((1, 2, 3), keepdim=True).mul(2).sqrt())
    return _outside(pictures, _places(height, width, pictures) + field.permute(0, 2, 3, 1))


def elastic_transform(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Move three points of each picture and bend it besides; what lies outside is mirrored, as published."""
    moved, strength, smoothness = constants(pictures, severity, *BENT)
    height, width = pictures.shape[2:]
    side = min(height, width)
    places = _places(height, width, pictures)
    if strength:
        drawn = 2 * chance.uniform("elastic_transform", keys, 2 * height * width) - 1
        field = drawn.view(-1, 2, height, width).to(pictures.device)
        bent = smoothed(field, smoothness * side, reflect=True, truncate=3) * (strength * side)
        places = places + bent.permute(0, 2, 3, 1)
    points = _triangle(height, width)
    by = 2 * chance.uniform("elastic_transform affine", keys, 6).view(-1, 3, 2) - 1
    back = torch.linalg.solve(_homogeneous(points + by * moved * side), points.expand(len(keys), 3, 2))
    flat = _homogeneous(places.reshape(len(places) if places.dim() == 4 else 1, -1, 2))
    return sampled(pictures, (flat @ back.to(pictures)).view(-1, height, width, 2), "reflection")


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


def _triangle(height: int, width: int) -> Tensor:
    """Three points (3, 2) about the middle, a third of the shorter side from it along either axis."""
    corners = torch.tensor([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
    return torch.tensor([height // 2, width // 2]) + min(height, width) // 3 * corners


def _homogeneous(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)


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
