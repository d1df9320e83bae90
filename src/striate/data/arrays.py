"""Pictures that come as arrays: npz files, and the handwritten digits that scikit-learn brings."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.data.listing import DAMAGES, damaged, unreadable
from striate.data.sources import UNLABELLED, Sample, Source, in_order, split_name
from striate.errors import DataError
from striate.events import Emit, Note, ignore

MOST_BYTES = 8 << 30  # arrays are held in memory, so more than this is refused before it is read
LARGEST = 3e38  # numbers to predict become float32
PICTURE_WORDS = frozenset({"x", "images", "image", "data"})
LABEL_WORDS = frozenset({"y", "labels", "label", "targets", "target"})
NAMES = "Name the arrays x and y, images and labels, or x_train, y_train, x_test, y_test (and x_val, y_val)."

Part = tuple[str | None, NDArray[Any], list[Any]]  # split, pictures (N, H, W[, C]), N targets


def open_npz(path: Path, *, task: str = "classification", emit: Emit = ignore) -> Source:
    """Open pairs of picture and label arrays. Raises DataError where they are missing or do not fit.

    task: "next-step" and "reconstruction" take pictures without labels too.
    """
    found = read_npz(path)
    pairs: dict[str | None, dict[str, str]] = {}
    for name in found:
        role, split = _role(name)
        if role and role in pairs.setdefault(split, {}):
            raise DataError(f"{path.name}: both {pairs[split][role]} and {name} would be the {role}.", NAMES)
        if role:
            pairs[split][role] = name
        else:
            emit(Note(f"{path.name}: the array {name} is not used."))
    parts: list[Part] = []
    for split, pair in pairs.items():
        if len(pair) == 1 and not ("pictures" in pair and task in UNLABELLED):
            (only,) = pair.values()
            raise DataError(f"{path.name}: {only} has no partner. Received: {', '.join(found)}.", NAMES)
        if pair:
            pictures = _channels_last(found[pair["pictures"]], f"{path.name}: {pair['pictures']}")
            if task in UNLABELLED:
                parts.append((split, pictures, [0.0] * len(pictures)))
                continue
            where = f"{path.name}: {pair['labels']}"
            targets = numbers(found[pair["labels"]], where) if task == "regression" else labels(
                found[pair["labels"]], where
            )  # fmt: skip
            if len(targets) != len(pictures):
                raise DataError(
                    f"{path.name}: {pair['pictures']} has {len(pictures)} pictures and {pair['labels']} "
                    f"{len(targets)} labels.",
                    "Save as many labels as pictures, in the same order.",
                )
            parts.append((split, pictures, targets))
    if not parts:
        raise DataError(
            f"{path.name}: no pictures and labels. Received: {', '.join(found) or 'nothing'}.", NAMES
        )
    return from_arrays(path.name, "npz", parts)


def digits() -> Source:
    """Open the 1,797 handwritten digits (8 x 8) of scikit-learn, their 0..16 stretched to 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return from_arrays("digits", "digits", [(None, pictures, [str(label) for label in bunch.target])])


def from_arrays(name: str, kind: str, parts: list[Part], classes: tuple[str, ...] | None = None) -> Source:
    """Make a source of arrays, one part a split; its pictures are named "test[17]" after their place."""
    pictures = _same_depth([part[1] for part in parts], name)
    samples, places = [], []
    for number, (split, _, targets) in enumerate(parts):
        word = split or Path(name).stem
        samples += [Sample(f"{word}[{i}]", target, split) for i, target in enumerate(targets)]
        places += [(number, i) for i in range(len(targets))]
    if classes is None and not any(isinstance(sample.target, float) for sample in samples[:1]):
        classes = in_order(str(sample.target) for sample in samples)

    def read(i: int) -> NDArray[Any]:
        number, place = places[i]
        return np.ascontiguousarray(pictures[number][place])

    return Source(name, kind, tuple(samples), classes or (), read)


def labels(values: NDArray[Any], where: str) -> list[str]:
    """Turn an array of labels (N,) or (N, 1), whole numbers or text, into class names."""
    values = _one_column(values, where)
    if values.dtype.kind == "f" and (np.isfinite(values) & (values == np.rint(values))).all():
        values = values.astype(np.int64)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind not in "biuU":
        raise DataError(
            f"{where} must hold whole numbers or text. Received: {values.dtype}.",
            "For numbers to predict, add --task regression.",
        )
    return [str(value) for value in values.tolist()]


def numbers(values: NDArray[Any], where: str) -> list[float]:
    """Turn an array (N,) or (N, 1) into finite numbers to predict."""
    values = _one_column(values, where)
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"{where} must hold numbers. Received: {values.dtype}.", "Leave --task regression away."
        )
    wrong = np.flatnonzero(~(np.abs(values.astype(np.float64)) < LARGEST))
    if len(wrong):
        raise DataError(
            f"{where}[{wrong[0]}] is {values[wrong[0]]} ({len(wrong)} such values).",
            "Give every picture a finite number, or take it out.",
        )
    return [float(value) for value in values]


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz. Raises DataError for a damaged one, objects, or more than fits."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > MOST_BYTES:
            raise DataError(
                f"{path.name} unpacks to {size / 2**30:.0f} GiB, and at most {MOST_BYTES >> 30} fit.",
                "Save the pictures as files in a folder per class: those need not fit into the memory.",
            )
        with np.load(path, allow_pickle=False) as file:
            return {name: np.atleast_1d(file[name]) for name in file.files}
    except (*DAMAGES, MemoryError, OverflowError, KeyError) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path.name} holds Python objects, which are pickles: opening one can run code.",
                "Save plain arrays of numbers or text: np.savez(path, x=pictures, y=labels).",
            ) from error
        raise damaged(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _role(name: str) -> tuple[str, str | None]:
    """Tell what an array is by its name: ("pictures" | "labels" | "", split)."""
    words = name.lower().split("_")
    splits = [split for word in words if (split := split_name(word))]
    rest = [word for word in words if not split_name(word)]
    if len(rest) != 1 or len(splits) > 1:
        return "", None
    role = "pictures" if rest[0] in PICTURE_WORDS else "labels" if rest[0] in LABEL_WORDS else ""
    return role, splits[0] if splits else None


def _channels_last(pictures: NDArray[Any], where: str) -> NDArray[Any]:
    """Order (N, H, W), (N, H, W, C) or (N, C, H, W): the shorter of axes 1 and 3 is C, in doubt 3."""
    if pictures.ndim not in {3, 4} or 0 in pictures.shape[1:]:
        raise DataError(
            f"{where} must have the shape (N, H, W[, C]) or (N, C, H, W). Received: {pictures.shape}.",
            "Reshape the array before it is saved.",
        )
    if pictures.ndim == 4 and pictures.shape[1] < pictures.shape[3]:
        pictures = pictures.transpose(0, 2, 3, 1)
    return pictures


def _same_depth(parts: list[NDArray[Any]], name: str) -> list[NDArray[Any]]:
    """Bring all parts to the one dtype that holds their values: uint8, uint16 or float32.

    These three are kept. False and True become 0 and 255; other whole numbers the narrowest of the three
    that holds them; other floats float32.
    """
    if any(part.dtype.kind not in "biuf" for part in parts):
        raise DataError(
            f"{name}: pictures must be numbers. Received: {', '.join(str(part.dtype) for part in parts)}.",
            "Save them as uint8, uint16 or float32.",
        )
    parts = [part.astype(np.uint8) * np.uint8(255) if part.dtype == bool else part for part in parts]
    wanted = max(
        (_depth(part) for part in parts), key=lambda dtype: np.dtype(dtype).itemsize, default=np.uint8
    )
    with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite, and is then listed
        return [part.astype(wanted, copy=False) for part in parts]


def _depth(part: NDArray[Any]) -> type[np.generic]:
    if part.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        return part.dtype.type
    if part.dtype.kind == "f" or not part.size or part.min() < 0 or part.max() > 65535:
        return np.float32
    return np.uint8 if part.max() <= 255 else np.uint16


def _one_column(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"{where} must have the shape (N,), one label a picture. Received: {values.shape}.",
            "Of one-hot rows save the argmax.",
        )
    return values
