"""From maps of a class at several sizes of a picture to boxes, of which one an object is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 1000  # boxes of a class, the best
TOGETHER = 1000  # windows that are compared with one another at once


@dataclass(frozen=True)
class Box:
    """A window that shows a class: its corners in pixels of the picture, and its probability."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


@dataclass(frozen=True)
class Level:
    """What was found at one size of the picture.

    scale: (down, across), pixels of that size for one of the picture.   stride: pixels of that size.
    scores: (K, H', W') probabilities.
    """

    scale: tuple[float, float]
    stride: tuple[int, int]
    scores: Tensor


def boxes(
    levels: Sequence[Level], unit: int, window: tuple[int, int], *, threshold: float, overlap: float
) -> list[Box]:
    """Find where a class is seen, best first.

    unit: number of the class.   threshold: the least probability, 0..1.   overlap: see :func:`suppressed`.
    Only a window that no neighbour at the same size beats is taken.
    """
    corners, scores = [], []
    for level in levels:
        score = level.scores[unit]
        peak = F.max_pool2d(score[None], 3, 1, 1)[0]
        places = ((score >= threshold) & (score == peak)).nonzero()
        scale = torch.tensor(level.scale)
        start = places * torch.tensor(level.stride) / scale
        corners.append(torch.cat([start, start + torch.tensor(window) / scale], 1))
        scores.append(score[places[:, 0], places[:, 1]])
    found, score = torch.cat(corners), torch.cat(scores)
    best = score.argsort(descending=True, stable=True)  # as good as each other: in reading order
    kept = best[suppressed(found[best], overlap, most=MOST)]
    return [
        Box(left, top, right, bottom, value)
        for (top, left, bottom, right), value in zip(found[kept].tolist(), score[kept].tolist(), strict=True)
    ]


def suppressed(found: Tensor, overlap: float, *, most: int | None = None) -> Tensor:
    """Keep, of boxes that overlap, the first: greedy non-maximum suppression.

    found: (n, 4) top, left, bottom, right, best first.   overlap: the largest part of the smaller of two
    boxes that both may cover, so that a part seen at another size is suppressed too; 0..1.   most: boxes.
    Returns: the numbers of the boxes that are kept, (m,).

    >>> suppressed(torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]]), 0.3).tolist()
    [0, 2]
    """
    kept = torch.empty(0, dtype=torch.int64)
    for start in range(0, len(found), TOGETHER):
        if most is not None and len(kept) >= most:
            break
        some = torch.arange(start, min(start + TOGETHER, len(found)))
        free = some[~(_shared(found[some], found[kept]) > overlap).any(1)]
        rivals = _shared(found[free], found[free]) > overlap
        best: list[int] = []
        for i in range(len(free)):
            if not rivals[i, best].any():
                best.append(i)
        kept = torch.cat([kept, free[best]])
    return kept[:most]


def _shared(some: Tensor, others: Tensor) -> Tensor:
    """Give the part of the smaller of two boxes that both cover: (n, m)."""
    area, other = ((each[:, 2:] - each[:, :2]).prod(1) for each in (some, others))
    top_left = torch.maximum(some[:, None, :2], others[:, :2])
    bottom_right = torch.minimum(some[:, None, 2:], others[:, 2:])
    return (bottom_right - top_left).clamp_min(0).prod(2) / torch.minimum(area[:, None], other)
