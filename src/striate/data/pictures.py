"""A data set made ready: decoded, looked over and split. What training, evaluation and the check work on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from striate.data import duplicates, sequence
from striate.data import split as splitting
from striate.data.check import Check, check
from striate.data.sequence import Sequences
from striate.data.store import Store, Survey, build
from striate.events import Emit, ignore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.data.preprocess import Preprocess
    from striate.data.sources import Source

MOST_VALUES = 2**26  # that percentiles are taken of


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Decoded pictures with their targets and the split; a row stands for one readable picture.

    targets: (M,) class index (int64) or number (float32).   split: rows of train, val and test.
    """

    source: Source
    survey: Survey
    store: Store
    targets: NDArray[Any]
    split: dict[str, NDArray[np.int64]]
    check: Check

    @property
    def names(self) -> list[str]:
        """The pictures' names, a row each."""
        return [self.source.samples[i].name for i in self.store.rows]

    def split_table(self) -> list[list[str]]:
        """Give path, label and split of every row, as a CSV manifest has them."""
        side = {int(row): name for name, rows in self.split.items() for row in rows}
        samples = (self.source.samples[i] for i in self.store.rows)
        return [[sample.name, str(sample.target), side.get(row, "")] for row, sample in enumerate(samples)]


def prepare(
    source: Source,
    survey: Survey,
    preprocess: Preprocess | Sequences,
    *,
    val: float | None,
    test: float | str | None,
    seed: int,
    folds: int | None = None,
    fold: int | None = None,
    cache: bool = True,
    emit: Emit = ignore,
) -> Pictures:
    """Decode, find duplicates, split and check.

    test: a share, or the rule that the data were opened with.
    folds, fold: cut for cross-validation instead, and make this part the test (``test`` then says nothing).
    Raises DataError where that leaves nothing to train on.
    """
    store = build(source, survey, preprocess, cache=cache, emit=emit)
    samples = [source.samples[i] for i in store.rows]
    exact, near = duplicates.duplicate_groups([survey.digests[i] for i in store.rows], store.thumbs)
    groups = duplicates.join(len(samples), exact, near, [s.group for s in samples])
    targets = targets_of(source, store, source.classes)
    given = [s.split for s in samples]
    if folds is None or fold is None:
        share = None if isinstance(test, str) else test
        parts = splitting.split(targets, given, groups, val=val, test=share, seed=seed)
    else:
        parts = splitting.fold_split(targets, given, groups, folds=folds, fold=fold, val=val, seed=seed)
    found = check(source, survey, store, exact, near, parts, preprocess)
    return Pictures(source, survey, store, targets, parts, found)


def targets_of(source: Source, store: Store, classes: tuple[str, ...]) -> NDArray[Any]:
    """Give each row's target: its class's place in ``classes``, or its number where there are none."""
    targets = [source.samples[i].target for i in store.rows]
    if not classes:
        return np.array(targets, np.float32)
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place[str(name)] for name in targets], np.int64)


@overload
def measured(preprocess: Preprocess, pixels: NDArray[Any], rows: NDArray[np.int64]) -> Preprocess: ...
@overload
def measured(preprocess: Sequences, pixels: NDArray[Any], rows: NDArray[np.int64]) -> Sequences: ...
def measured(
    preprocess: Preprocess | Sequences, pixels: NDArray[Any], rows: NDArray[np.int64]
) -> Preprocess | Sequences:
    """Fill in scale, mean and deviation from the training rows (at most 8,192 of them, evenly taken).

    uint8 keeps the scale 0..255; deeper pictures take percentiles 0.1 and 99.9 of each channel, of fewer
    rows where they are large. Memory is bounded: the rows are read some at a time.
    """
    if isinstance(preprocess, Sequences):
        return sequence.measured(preprocess, pixels, rows)
    rows = np.sort(rows)[:: max(1, len(rows) // 4096)]
    channels = pixels.shape[-1]
    low, high = np.zeros(channels), np.full(channels, 255.0)
    if preprocess.dtype != "uint8":
        few = rows[:: -(-len(rows) * int(np.prod(pixels.shape[1:])) // MOST_VALUES)]
        low, high = np.percentile(np.asarray(pixels[few], np.float32), (0.1, 99.9), axis=(0, 1, 2))
        high = np.where(high > low, high, low + 1)
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(rows), 64):
        some = np.asarray(pixels[rows[start : start + 64]])
        count += some.size // channels
        sums, of_squares = _sums(some, low, high)
        total += sums
        squares += of_squares
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    std = np.where(std > 1e-6, std, 1.0)
    return dataclasses.replace(
        preprocess,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def _sums(
    pixels: NDArray[Any], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up the scaled values of each channel, and their squares; pixels: (N, H, W, C)."""
    if pixels.dtype == np.uint8:  # whole numbers, down the columns of all rows of pixels: 20 times as fast
        columns, channels = pixels.reshape(-1, pixels.shape[2] * pixels.shape[3]), pixels.shape[3]
        total = columns.sum(0, dtype=np.uint64).reshape(-1, channels).sum(0)
        squares = np.square(columns, dtype=np.uint16).sum(0, dtype=np.uint64).reshape(-1, channels).sum(0)
        return total / 255, squares / 255**2
    scaled = ((pixels.astype(np.float64) - low) / (high - low)).reshape(-1, pixels.shape[3])
    return scaled.sum(0), np.square(scaled).sum(0)
