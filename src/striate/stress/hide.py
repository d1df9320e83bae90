"""Pictures partly covered, or among clutter: (N, C, H, W) in 0..1 in, the same shape out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.stress import chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

PIECE = 2 / 7  # of the side: Mnih et al. paste 8x8 pieces beside digits of 28x28


def occlusion(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Cover a rectangle at a place drawn per picture. level: its share of each side, 0 to 1."""
    return covered(pictures, level, chance.uniform("occlusion", keys, 2))


def covered(pictures: Tensor, share: float, places: Tensor) -> Tensor:
    """Cover a rectangle of each picture with the picture's mean colour, as the augmentation cutout does.

    share: of each side, 0 to 1.   places: (N, 2) in 0..1, down and right: (0, 0) is in the upper left corner,
    (1, 1) in the lower right one; always wholly inside.
    """
    hidden = pictures.mean((2, 3), keepdim=True)
    rows, columns = (
        _within(size, round(share * size), places[:, axis]).to(pictures.device)
        for axis, size in enumerate(pictures.shape[2:])
    )
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], hidden, pictures)


def clutter(pictures: Tensor, level: float, keys: NDArray[np.uint64], pool: Tensor) -> Tensor:
    """Paste pieces of other pictures along the border, after the clutter of Mnih et al. (2014).

    level: how many pieces; each is 2/7 of the picture's side, as their 8x8 pieces are of a digit of 28x28,
    and touches the border, so that what is in the middle stays in sight.   pool: (P, C, H, W) pictures to
    take them from.
    """
    result = pictures.clone()
    height, width = pictures.shape[2:]
    tall, wide = max(1, round(height * PIECE)), max(1, round(width * PIECE))
    drawn = chance.uniform("clutter", keys, 5 * round(level)).view(len(pictures), -1, 5)
    for picture, pieces in zip(result, drawn.tolist(), strict=True):
        for source, down, right, side, along in pieces:
            top, left = int(down * (height - tall + 1)), int(right * (width - wide + 1))
            piece = pool[int(source * len(pool)), :, top : top + tall, left : left + wide]
            y, x = _on_border(side, along, height - tall, width - wide)
            picture[:, y : y + tall, x : x + wide] = piece
    return result


def _within(size: int, hidden: int, place: Tensor) -> Tensor:
    """(N, size): which pixels of a side lie in a stretch of so many pixels at a place 0..1."""
    first = (place * (size - hidden)).round()[:, None]
    pixels = torch.arange(size)
    return (pixels >= first) & (pixels < first + hidden)


def _on_border(side: float, along: float, bottom: int, right: int) -> tuple[int, int]:
    """Corner of a piece that touches one of the four sides, both numbers in 0..1."""
    return (
        (0, round(along * right)),
        (round(along * bottom), right),
        (bottom, round(along * right)),
        (round(along * bottom), 0),
    )[int(side * 4)]
