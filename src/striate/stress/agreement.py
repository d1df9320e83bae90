"""Whether a network gives the same answer, right or wrong, for a picture and the picture moved a little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.stress import chance
from striate.stress.measure import Point
from striate.stress.move import border

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.stress.measure import Answers, Pictures

FURTHEST = 1 / 8  # of the side: Zhang's 32 places of 224 in 256, about


def offsets(keys: NDArray[np.uint64], side: int) -> Tensor:
    """Draw two places for each picture: (N, 2, 2) pixels down and right, within an eighth of the side.

    >>> import numpy as np
    >>> offsets(chance.keys(0, np.arange(3)), 32).abs().max().item() <= 4
    True
    """
    most = max(1, round(side * FURTHEST))
    drawn = chance.uniform("consistency", keys, 4).view(-1, 2, 2)
    return (drawn * (2 * most + 1)).long() - most


@torch.no_grad()
def consistency(answers: Answers, pictures: Pictures, moves: Tensor, *, batch: int = 128) -> Point:
    """Give how often two places of a picture get the same answer.

    answers: (N, C, H, W) in 0..1 -> (N, K) probabilities.   moves: (M, 2, 2), of :func:`offsets`.
    The place that a move leaves free takes the mean colour of the picture's border.
    Returns: a point whose hits are the pictures that agree.
    Source: Zhang 2019, section 4.1: P[argmax f(shift_a x) = argmax f(shift_b x)]; draws for each picture.
    """
    agreed, sure = 0, 0.0
    for start in range(0, len(pictures), batch):
        some, own = pictures[start : start + batch], moves[start : start + batch]
        both = [answers(moved(some, own[:, i])).cpu().max(1) for i in range(2)]
        agreed += int((both[0].indices == both[1].indices).sum())
        sure += sum(float(one.values.double().sum()) for one in both) / 2
    return Point(0.0, len(pictures), agreed, sure / len(pictures))


def moved(pictures: Tensor, by: Tensor) -> Tensor:
    """Move each picture by pixels of its own. by: (N, 2) down and right.

    >>> import torch
    >>> moved(torch.eye(3)[None, None], torch.tensor([[1, 0]]))[0, 0, 1]
    tensor([1., 0., 0.])
    """
    height, width = pictures.shape[2:]
    filled = border(pictures).expand_as(pictures).clone()
    for picture, canvas, (down, right) in zip(pictures, filled, by.tolist(), strict=True):
        top, left = max(-down, 0), max(-right, 0)
        piece = picture[:, top : height - max(down, 0), left : width - max(right, 0)]
        y, x = max(down, 0), max(right, 0)
        canvas[:, y : y + piece.shape[1], x : x + piece.shape[2]] = piece
    return filled
