"""A recording of any length as a picture of few columns, drawn while it is heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = 4096  # of a whole recording; even


class Outline:
    """Columns of a recording: when there are too many, two neighbours become one, and so on.

    merge: what becomes of neighbours, such as torch.amax or torch.mean of (rows, n, k) over the last axis.
    most: columns that are kept, at least half of them once there were so many; even.
    """

    def __init__(self, merge: Callable[[Tensor, int], Tensor], most: int = COLUMNS) -> None:
        self.each = 1
        """Steps that a column stands for."""
        self._merge, self._most = merge, most
        self._columns: list[Tensor] = []
        self._count = 0
        self._rest: Tensor | None = None

    def add(self, x: Tensor) -> None:
        """Take the next steps, (rows, n) of any n."""
        x = x if self._rest is None else torch.cat([self._rest, x], 1)
        while x.shape[1] >= self.each:
            whole = min(x.shape[1] // self.each, self._most - self._count)
            taken = x[:, : whole * self.each]
            self._columns.append(self._merge(taken.reshape(len(x), whole, self.each), 2))
            self._count += whole
            x = x[:, whole * self.each :]
            if self._count == self._most:
                self._count = self._most // 2
                pairs = torch.cat(self._columns, 1).reshape(len(x), self._count, 2)
                self._columns = [self._merge(pairs, 2)]
                self.each *= 2
        self._rest = x

    def columns(self) -> Tensor:
        """Give what there is so far, (rows, m), at most ``most`` columns; the last may be of fewer steps."""
        rest = [] if self._rest is None or not self._rest.shape[1] else [self._merge(self._rest[:, None], 2)]
        return torch.cat([*self._columns, *rest], 1) if self._columns or rest else torch.empty(0, 0)
