"""Pictures out of focus, behind glass, in motion, zoomed: (N, C, H, W) in 0..1 in, the same shape out.

Beyond the border the border's own values go on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from striate.stress import chance
from striate.stress.severity import constants
from striate.stress.smooth import smoothed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

# radius of the disk, standard deviation of the Gaussian that softens its edge
DEFOCUS = (
    ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
)
# standard deviation of the blur before and after, farthest neighbour, rounds
GLASS = (
    ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
)
# radius, standard deviation
MOTION = (
    ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
)
# how many zooms from 1 upwards, their step
ZOOM = (
    ((7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)),
    ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)),
)


def blur(pictures: Tensor, level: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Blur with a Gaussian. level: its standard deviation in pixels."""
    return smoothed(pictures, level)


def defocus_blur(pictures: Tensor, severity: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Spread every point to a disk, as a lens out of focus does."""
    kernel = disk(*constants(pictures, severity, *DEFOCUS)).to(pictures)
    reach = kernel.shape[0] // 2
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    size = padded.shape[2:]
    # By Fourier transform: the convolution of single channels takes twice the time, and more for large disks.
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=size), s=size)
    return blurred[:, :, 2 * reach :, 2 * reach :]


def glass_blur(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Give every pixel a neighbour's value, as frosted glass does, between two slight blurs."""
    sigma, farthest, rounds = constants(pictures, severity, *GLASS)
    order = _copied(pictures.shape[2], pictures.shape[3], farthest, rounds, keys).to(pictures.device)
    soft = smoothed(pictures, sigma).flatten(2)
    mixed = soft.gather(2, order[:, None].expand_as(soft)).view_as(pictures)
    return smoothed(mixed, sigma)


def motion_blur(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Drag every picture along a line, within 45 degrees of the horizontal."""
    radius, sigma = constants(pictures, severity, *MOTION)
    return trailed(pictures, radius, sigma, chance.uniform("motion", keys, 1)[:, 0] * 90 - 45)


def zoom_blur(pictures: Tensor, severity: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Average the picture and its zooms about the middle, as when moving towards it."""
    count, step = constants(pictures, severity, *ZOOM)
    total = pictures.clone()
    for k in range(count):
        total += zoomed(pictures, 1 + k * step)
    return total / (count + 1)


def disk(radius: float, softness: float) -> Tensor:
    """Give the kernel of a lens out of focus: a disk of pixels softened by a small Gaussian, of sum 1."""
    reach = int(radius)
    line = torch.arange(-reach, reach + 1)
    inside = (line[:, None] ** 2 + line**2 <= radius**2).float()
    small = 1 if radius <= 8 else 2
    offsets = torch.arange(-small, small + 1)
    edge = torch.exp(-0.5 * (offsets / softness) ** 2)
    edge = edge / edge.sum()
    return F.conv2d(inside[None, None] / inside.sum(), (edge[:, None] * edge)[None, None], padding=2 * small)[
        0, 0
    ]


def trailed(pictures: Tensor, radius: int, sigma: float, angles: Tensor) -> Tensor:
    """Average each picture with itself moved along a line, the nearer the more (half of a Gaussian).

    angles: (N,) in degrees.
    """
    steps = torch.arange(min(2 * radius, math.ceil(5 * sigma)) + 1)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    radians = torch.deg2rad(angles)[:, None]
    reach = len(steps) - 1
    down, right = ((steps * along(radians)).round().long() + reach for along in (torch.sin, torch.cos))
    height, width = pictures.shape[2:]
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    result = torch.zeros_like(pictures)
    shares = (weights / weights.sum()).tolist()
    for picture, source, tops, lefts in zip(result, padded, down.tolist(), right.tolist(), strict=True):
        for share, top, left in zip(shares, tops, lefts, strict=True):
            picture.add_(source[:, top : top + height, left : left + width], alpha=share)
    return result


def zoomed(pictures: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of the pictures so that it fills them. factor: at least 1."""
    height, width = pictures.shape[2:]
    tall, wide = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - tall) // 2, (width - wide) // 2
    middle = pictures[:, :, top : top + tall, left : left + wide]
    size = (round(tall * factor), round(wide * factor))
    large = F.interpolate(middle, size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[:, :, top : top + height, left : left + width]


def _copied(height: int, width: int, farthest: int, rounds: int, keys: NDArray[np.uint64]) -> Tensor:
    """Let every pixel, from the last to the first, take a neighbour's value.

    Returns: (N, H * W), the pixel that each one's value comes from.
    The published program means to exchange the two; as it is written it copies, and its pictures show that.
    Pixels that cannot meet are done at once: a row follows the row below at a distance of twice the farthest
    neighbour. The result is that of one after another.
    """
    rows, columns = height - 2 * farthest, width - 2 * farthest
    order = torch.arange(height * width).repeat(len(keys), 1)
    if rows < 1 or columns < 1:
        return order
    offsets = _offsets(keys, (rounds, 2, rows, columns), farthest)
    apart = 2 * farthest
    for down, right in offsets:
        for moment in range(columns + apart * (rows - 1)):
            row = torch.arange(max(0, -((columns - 1 - moment) // apart)), min(rows - 1, moment // apart) + 1)
            column = moment - row * apart
            here = (height - farthest - row) * width + width - farthest - column
            there = here + down[:, row, column] * width + right[:, row, column]
            order[:, here] = order.gather(1, there)
    return order


def _offsets(keys: NDArray[np.uint64], shape: tuple[int, ...], farthest: int) -> Tensor:
    """(rounds, 2, N, rows, columns), each from -farthest to farthest - 1, as published."""
    drawn = [
        torch.from_numpy(one.integers(-farthest, farthest, shape)) for one in chance.generators("glass", keys)
    ]
    return torch.stack(drawn, 2)
