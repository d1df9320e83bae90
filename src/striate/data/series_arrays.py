"""Sequences that come as arrays, in an npz or a mat file, such as piano rolls.

``sequences`` or ``series`` of shape (N, L) or (N, L, C), with NaN only behind a sequence's end; or ``values``
(T,) or (T, C), all sequences one after the other, with ``lengths`` (N,). In a mat file also cells of (L, C),
and the names ``x`` and ``data``. Labels are called y or labels; _train, _val and _test behind a name say the
split, in a mat file in front of it too (traindata).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data import arrays
from striate.data.listing import LARGEST_FILE, damaged, unreadable
from striate.data.sources import UNLABELLED, Sample, Source, in_order, split_name
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PADDED, JOINED, LENGTHS = {"sequences", "series"}, "values", "lengths"
SHAPES = (
    "Save sequences (N, L) or (N, L, C), or values (T, C) with lengths (N,), and labels y (N,); "
    "x and images are for pictures."
)

Arrays = dict[str, Any]  # name -> array, or list of arrays where it was a cell


def named(found: Mapping[str, Any]) -> bool:
    """Tell whether the arrays of an npz are sequences, by their names."""
    return any(_role(name, set())[0] in {"steps", LENGTHS} for name in found)


def open_arrays(name: str, kind: str, found: Mapping[str, Any], *, task: str = "classification") -> Source:
    """Open sequences that came as arrays, with or without labels.

    Raises DataError where arrays are missing, have another shape or do not fit each other.
    """
    others = {"x", "data", ""} if kind == "mat" else set()
    parts: dict[str | None, dict[str, Any]] = {}
    for key, values in found.items():
        role, split = _role(key, others)
        if role in parts.setdefault(split, {}):
            raise DataError(f"{name}: two arrays would be the {role} of one split, one is {key}.", SHAPES)
        if role:
            parts[split][role] = (values, f"{name}: {key}")
    samples: list[Sample] = []
    series: list[NDArray[Any]] = []
    for split, part in parts.items():
        if "steps" not in part:
            continue
        some = _separate(part)
        targets: Any = _targets(name, task, part, len(some))
        word = split or name.partition(".")[0]
        samples += [Sample(f"{word}[{i}]", target, split) for i, target in enumerate(targets)]
        series += some
    if not samples:
        raise DataError(f"{name}: no sequences. Received: {', '.join(found) or 'nothing'}.", SHAPES)
    classes = in_order(str(sample.target) for sample in samples) if task == "classification" else ()
    return Source(name, kind, tuple(samples), classes, lambda i: series[i], modality="series")


def read_mat(path: Path) -> Arrays:
    """Read the arrays and cells of a MATLAB file (version 7 or older), which runs no code.

    Raises DataError for what is damaged, larger than 1 GiB, or HDF5 (version 7.3).
    """
    from scipy.io import loadmat, whosmat

    try:
        packed = path.stat().st_size
        size = sum(8 * math.prod(shape) for _, shape, _ in whosmat(path))
        found = loadmat(path) if packed <= LARGEST_FILE and size <= arrays.MOST_BYTES else None
    except NotImplementedError as error:
        raise DataError(
            f"{path.name} is a MATLAB file of version 7.3 (HDF5).", "Save it with save(..., '-v7')."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # scipy's reader raises whatever its own code stumbles over
        raise damaged(path, "it is no MATLAB file that can be read") from error
    if found is None:
        raise DataError(
            f"{path.name} takes {max(size, packed) / 2**30:.0f} GiB, more than is read at once.",
            "Cut it into parts.",
        )
    return {name: _uncelled(value) for name, value in found.items() if not name.startswith("__")}


def _uncelled(value: Any) -> Any:
    if hasattr(value, "toarray"):  # a sparse matrix
        return value.toarray()
    cells = isinstance(value, np.ndarray) and value.dtype == object
    return [np.asarray(cell) for cell in value.ravel()] if cells else value


def _role(name: str, others: set[str]) -> tuple[str, str | None]:
    """Tell what an array is by its name: ("steps" | "lengths" | "labels" | "", split).

    others: further words that name sequences; the split may be part of the word, as in traindata.
    """
    words = [word for word in name.lower().split("_") if word]
    if others and len(words) == 1:
        word = words[0]
        cut = next((i for i in range(len(word), 2, -1) if split_name(word[:i])), 0)
        words = [word[:cut], word[cut:]] if cut else words
    splits = [split for word in words if (split := split_name(word))]
    rest = "".join(word for word in words if not split_name(word))
    if len(splits) > 1:
        return "", None
    split = splits[0] if splits else None
    if rest in arrays.LABEL_WORDS:
        return "labels", split
    if rest == LENGTHS:
        return LENGTHS, split
    return ("steps" if rest in PADDED | {JOINED} | others else ""), split


def _separate(part: dict[str, Any]) -> list[NDArray[Any]]:
    """Give the sequences (n, C) one by one."""
    values, where = part["steps"]
    if LENGTHS in part:
        lengths, lengths_where = part[LENGTHS]
        lengths = np.ravel(lengths)
        if lengths.dtype.kind not in "iu" or (lengths < 1).any() or lengths.sum() != len(values):
            raise DataError(
                f"{lengths_where} must be positive whole numbers that add up to {len(values)}, the steps.",
                SHAPES,
            )
        return np.split(np.asarray(values), np.cumsum(lengths)[:-1])
    if isinstance(values, list):
        return values
    if values.ndim not in {2, 3} or values.dtype.kind not in "biuf" or 0 in values.shape:
        raise DataError(f"{where} is {values.dtype} of shape {values.shape}, no sequences.", SHAPES)
    return [_trimmed(each) for each in values.reshape(*values.shape[:2], -1)]


def _trimmed(values: NDArray[Any]) -> NDArray[Any]:
    """Take off the steps at the end that are all NaN."""
    if values.dtype.kind != "f":
        return values
    there = np.flatnonzero(~np.isnan(values).all(1))
    return values[: there[-1] + 1 if len(there) else 0]


def _targets(name: str, task: str, part: dict[str, Any], count: int) -> list[str] | list[float]:
    if task in UNLABELLED:
        return [0.0] * count
    if "labels" not in part:
        raise DataError(
            f"{name} has no labels for its {count:,} sequences.",
            "Add labels, or train without: --task next-step or --task reconstruction.",
        )
    values, where = part["labels"]
    try:
        values = np.asarray(values)
    except ValueError as error:  # cells of unequal shapes
        raise DataError(f"{where} holds labels of unequal shapes.", "Give one label a sequence.") from error
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()  # MATLAB knows no vectors
    found = arrays.numbers(values, where) if task == "regression" else arrays.labels(values, where)
    if len(found) != count:
        raise DataError(f"{where} has {len(found):,} labels for {count:,} sequences.", SHAPES)
    return found
