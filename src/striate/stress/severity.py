"""The published constants of a severity: one table for small pictures, one for large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

T = TypeVar("T")

SMALL = 64  # pixels; the tables were made for 32 and for 224


def constants(pictures: Tensor, severity: float, small: Sequence[T], large: Sequence[T]) -> T:
    """Pick a severity's constants: those made for 32 pixels up to a shorter side of 64, above those for 224.

    They are used as published, not scaled to the side. pictures: (..., H, W).   severity: 1 to 5.
    """
    return (small if min(pictures.shape[-2:]) <= SMALL else large)[round(severity) - 1]
