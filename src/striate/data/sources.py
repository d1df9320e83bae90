"""Find the pictures and labels in whatever the user named, without decoding any."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import DataError, RecipeError, did_you_mean
from striate.events import Emit, Note, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "validation": "val", "valid": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


NOUNS = {"pictures": "pictures", "sound": "recordings", "symbols": "sequences", "series": "sequences"}


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

    classes: every class name, in order, empty classes included; () for regression.
    read(i): the file's bytes, or an array (H, W) or (H, W, C) where the data set is made of arrays. Of a
    series it is an array (n, C), of symbols the text as bytes.
    It raises DataError for a file that is gone or damaged.
    modality: "pictures", "sound", "symbols" or "series".   alphabet: the letters of symbols, in order.
    """

    name: str
    kind: str  # folder, zip, tar, csv (bytes); idx, cifar, npz, digits (arrays)
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    read: Callable[[int], bytes | NDArray[Any]]
    modality: str = "pictures"
    alphabet: str = ""

    @property
    def noun(self) -> str:
        """What a person calls its samples."""
        return NOUNS[self.modality]


def open_source(
    data: str,
    *,
    task: str = "classification",
    group: str | None = None,
    label_pattern: str | None = None,
    test_rule: str | None = None,
    offline: bool = False,
    learn: bool = True,
    emit: Emit = ignore,
) -> Source:
    """Open a folder, an archive, IDX, CIFAR, npz or CSV files, or a public data set by its name.

    task: "regression" takes numbers as labels, from a CSV or an npz.   group: a CSV's column, or a regular
    expression whose first group (or whole match) in a sample's name is its group.   offline: never download.
    learn: refuse what a network cannot be trained on, such as a single class.
    Raises DataError for what cannot be read or learned from, RecipeError for a bad ``group``.
    """
    from striate.data import catalogue, manifest

    path = Path(os.path.expanduser(data))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    columns: tuple[str, ...] = ()
    column = None
    if data and os.path.exists(path):  # noqa: PTH110 - Path.exists raises for impossible names
        if path.suffix.lower() in {".csv", ".tsv"} and path.is_file():
            columns = manifest.columns(path)
            column = group.lower() if group and group.lower() in columns else None
        if data in catalogue.NAMES:
            emit(Note(f"{path.resolve()} is used, not the public data set of that name."))
        source = _open_path(path, task, column, emit)
    elif data in catalogue.NAMES:
        source = _only_classification(task, catalogue.open_named(data, offline=offline, emit=emit))
    else:
        raise _nothing_there(data, path, catalogue.NAMES)
    if group is not None and column is None:
        source = replace(source, samples=_grouped(source.samples, group, columns))
    return _checked(source, learn=learn)


def split_name(word: str) -> str | None:
    """Give the split that a folder or CSV cell names, or None.

    >>> split_name("Validation"), split_name("cats")
    ('val', None)
    """
    return SPLITS.get(word.strip().lower())


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Sort class names; by value where all are whole numbers.

    >>> in_order(["10", "2"]), in_order(["b10", "b2"])
    (('2', '10'), ('b10', 'b2'))
    """
    names = set(classes)
    numbers = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


def _open_path(path: Path, task: str, group_column: str | None, emit: Emit) -> Source:
    from striate.data import arrays, cifar, folders, idx, listing, manifest

    if path.is_dir():
        found = listing.folder(path, emit)
    else:
        kind = _kind_of_file(path)
        if kind == "csv":
            return manifest.open_csv(path, task=task, group_column=group_column, emit=emit)
        if kind == "npz":
            return arrays.open_npz(path, task=task, emit=emit)
        if kind == "idx":
            return _only_classification(task, idx.open_file(path))
        found = listing.open_zip(path) if kind == "zip" else listing.open_tar(path, emit)
    if idx.holds(found):
        source = idx.open_listing(found)
    elif cifar.holds(found):
        source = cifar.open_listing(found)
    else:
        source = folders.class_folders(found, emit)
    return _only_classification(task, source)


def _kind_of_file(path: Path) -> str:
    """Tell what a file is: CSV, npz and IDX by its name, the others by their first bytes."""
    from striate.data import idx, listing

    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder.", "Devices and pipes cannot be read twice.")
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return "csv"
    if suffix == ".npz":
        return "npz"
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise listing.unreadable(path, error) from error
    if idx.named(path.name) or idx.starts(start):
        return "idx"
    if start[:2] == b"PK":
        return "zip"
    if start[:2] in listing.COMPRESSED or start[257:262] == b"ustar":
        return "tar"
    what = "is empty" if not start else "is not a kind of data that striate reads"
    if suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}:
        raise DataError(
            f"{path} is a pickle, which is refused: opening one can run code.", "Save it as .npz."
        )
    raise DataError(
        f"{path} {what}.",
        "Give a folder per class, a zip or tar of it, IDX, CIFAR (binary), npz, CSV, or a data set's name.",
    )


def _only_classification(task: str, source: Source) -> Source:
    if task == "regression":
        raise DataError(
            f"{source.name} has classes, and regression needs numbers.",
            "Name the pictures and their numbers in a CSV (path,label) or an npz, or leave --task away.",
        )
    return source


def _nothing_there(data: str, path: Path, names: tuple[str, ...]) -> DataError:
    try:
        beside = os.listdir(path.parent)  # noqa: PTH208 - a few names, no Paths
    except (OSError, ValueError):
        beside = []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)
    choices = [*names, *(str(path.with_name(name)) for name in near)]
    return DataError(f"No such file, folder or data set: {data!r}.", did_you_mean(data, choices))


def _grouped(samples: tuple[Sample, ...], group: str, columns: tuple[str, ...]) -> tuple[Sample, ...]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise RecipeError(
            f"--group: not a regular expression ({error}). Received: {group!r}.",
            r"Give a CSV's column, or an expression such as '(patient\d+)'.",
        ) from error
    found, missed = [], []
    for sample in samples:
        match = pattern.search(sample.name)
        text = match and (match[1] if pattern.groups else match[0])
        if text is None:
            missed.append(sample.name)
        found.append(replace(sample, group=text))
    if missed:
        raise DataError(
            f"--group {group!r} matches no part of {len(missed)} of {len(samples)} names, "
            f"the first is {missed[0]}.",
            f"It is no column of the CSV either: {', '.join(columns)}."
            if columns
            else "Give an expression that every name matches.",
        )
    return tuple(found)


def _checked(source: Source, *, learn: bool) -> Source:
    """Refuse what is empty and, to learn from, what nothing can be learned from. Raises DataError."""
    if not source.samples:
        raise DataError(f"{source.name} holds no pictures.", "Give data with at least two classes.")
    if not source.classes or not learn:
        return source
    filled = Counter(sample.target for sample in source.samples)
    if len(filled) < 2:
        raise DataError(
            f"{source.name}: all {len(source.samples)} pictures are of one class ({next(iter(filled))}).",
            "A classifier needs pictures of at least two classes.",
        )
    seen = {sample.target for sample in source.samples if sample.split in {None, "train"}}
    for split in ("val", "test"):
        unseen = {str(s.target) for s in source.samples if s.split == split} - seen
        if seen and unseen:
            raise DataError(
                f"{source.name}: the {split} split has classes that train has not: "
                f"{', '.join(in_order(unseen)[:5])}{' ...' if len(unseen) > 5 else ''}.",
                "Classes are matched by name: rename them, or add pictures of them to train.",
            )
    return source
