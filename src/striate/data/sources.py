"""Find the pictures and labels in whatever the user named, without decoding any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: its name as the user knows it, what it shows, and what the data says of its split."""

    name: str
    target: str | float
    split: str | None = None  # "train", "val", "test" or None: not said
    group: str | None = None


@dataclass(frozen=True)
class Source:
    """All samples of a data set, in a fixed order, and a thread-safe way to read one.

    classes: every class name, sorted, empty classes included; () for regression.
    read(i): the file's bytes, or an array (H, W) or (H, W, C) where the data set is made of arrays.
    """

    name: str
    kind: str  # folder, zip, tar, idx, cifar, npz, csv
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    read: Callable[[int], bytes | np.ndarray]
