"""Where it hurts: the accuracy with one square covered at each place of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import events
from striate.stress.hide import covered
from striate.stress.measure import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.events import Emit
    from striate.stress.measure import Answers, Pictures

GRID, SHARE = 5, 0.25
DOWN = ("top", "upper", "", "lower", "bottom")
ACROSS = ("left", "inner left", "", "inner right", "right")


@dataclass(frozen=True, eq=False)
class Places:
    """hits: (K, GRID, GRID) right answers by class and by place.   n: (K,) pictures.   clean: (K,) hits.

    share: of each side that the square covers; the outer places touch the border.
    """

    share: float
    hits: NDArray[np.int64]
    n: NDArray[np.int64]
    clean: NDArray[np.int64]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of all pictures that are right, by place: (GRID, GRID)."""
        return np.asarray(self.hits.sum(0) / self.n.sum(), np.float64)

    @property
    def worst(self) -> tuple[int, int]:
        """Row and column of the place that costs most."""
        row, column = divmod(int(self.accuracy.argmin()), GRID)
        return row, column

    @property
    def where(self) -> str:
        """That place in words, such as "at the top left"."""
        row, column = self.worst
        words = f"{DOWN[row]} {ACROSS[column]}".strip()
        return f"at the {words}" if words else "in the middle"

    @property
    def lowest(self) -> Point:
        """What is answered with that place covered; its confidence is not measured."""
        n = int(self.n.sum())
        return Point(self.share, n, int(self.hits[:, *self.worst].sum()), float("nan"))

    @property
    def hurt(self) -> int:
        """The class that the worst place costs most right answers."""
        return int((self.clean - self.hits[:, *self.worst]).argmax())


@torch.no_grad()
def places(
    answers: Answers,
    pictures: Pictures,
    targets: NDArray[Any],
    *,
    classes: int,
    batch: int = 128,
    emit: Emit = events.ignore,
) -> Places:
    """Cover a square of a quarter of the side with each picture's mean, at 5 x 5 places from edge to edge.

    answers: (N, C, H, W) in 0..1 -> (N, K) probabilities.   targets: (M,) class numbers.
    Source: Zeiler and Fergus 2013, section 4.2, over many pictures in place of one.
    """
    hits = np.zeros((1 + GRID * GRID, classes), np.int64)
    for start in range(0, len(pictures), batch):
        some, wanted = pictures[start : start + batch], targets[start : start + batch]
        for i in range(len(hits)):
            row, column = divmod(i - 1, GRID)
            where = torch.tensor([[row, column]]).div(GRID - 1).expand(len(some), 2)
            said = answers(covered(some, SHARE, where) if i else some).argmax(1).cpu().numpy()
            hits[i] += np.bincount(wanted[said == wanted], minlength=classes)
            done = start * len(hits) + (i + 1) * len(some)
            emit(events.Working("covering", done, len(pictures) * len(hits), "pictures"))
    by_place = hits[1:].T.reshape(classes, GRID, GRID)
    return Places(SHARE, by_place, np.bincount(targets, minlength=classes), hits[0])
