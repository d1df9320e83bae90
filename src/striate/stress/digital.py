"""Pictures stored badly, as JPEG or with few pixels: (N, C, H, W) in 0..1 in, the same shape out."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from striate.stress.severity import constants

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

QUALITY = (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)
KEPT = (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)  # share of the side


def jpeg(pictures: Tensor, level: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Store every picture as JPEG and read it again. level: the quality, 1 to 95 (as Pillow counts).

    Values are rounded to 8 bits first. Three channels are stored as one colour picture, the colour at half
    the resolution as usual; of any other number, each channel is stored as a grey picture.
    """
    values = (pictures.clamp(0, 1) * 255).round().byte().cpu()
    if pictures.shape[1] == 3:
        stored = [_stored(one, round(level)) for one in values.permute(0, 2, 3, 1).numpy()]
        read = torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2)
    else:
        stored = [_stored(one, round(level)) for one in values.flatten(0, 1).numpy()]
        read = torch.from_numpy(np.stack(stored)).view(pictures.shape)
    return read.to(pictures) / 255


def jpeg_compression(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Store every picture as JPEG and read it again."""
    return jpeg(pictures, constants(pictures, severity, *QUALITY), keys)


def pixelate(pictures: Tensor, severity: float, _keys: NDArray[np.uint64]) -> Tensor:
    """Reduce every picture and enlarge it again, without interpolation."""
    kept = constants(pictures, severity, *KEPT)
    down, right = (_coarse(size, max(1, int(size * kept))).to(pictures) for size in pictures.shape[2:])
    return down @ pictures @ right.T


def _stored(values: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture)


def _coarse(size: int, few: int) -> Tensor:
    """Give the matrix (size, size) that reduces a side to few pixels and enlarges it again."""
    return _box(few, size) @ _box(size, few)


def _box(before: int, after: int) -> Tensor:
    """Give the matrix (after, before) of a box filter.

    Each new pixel is the mean of the old ones whose middle lies in it; where new pixels are the smaller ones,
    it is the nearest old one. Pillow's own, but where a middle falls on an edge and rounding decides.
    """
    scale = before / after
    middle = (torch.arange(after, dtype=torch.float64)[:, None] + 0.5) * scale
    distance = (torch.arange(before) + 0.5 - middle) / max(1.0, scale)
    inside = ((distance > -0.5) & (distance <= 0.5)).double()
    return inside / inside.sum(1, keepdim=True)
