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


UNLABELLED = ("next-step", "reconstruction")  # the tasks whose data need no labels
NOUNS = {"pictures": "pictures", "sound": "recordings", "symbols": "sequences", "series": "sequences"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture or sequence: its name as the user knows it, its answer, and its split as the data say."""

    name: str
    target: str | float
    split: str | None = None  # "train", "val", "test" or None: not said
    group: str | None = None


@dataclass(frozen=True)
class Source:
    """All samples of a data set, in a fixed order, and a thread-safe way to read one.

    classes: every class name, in order, empty classes included; () where the targets are numbers.
    read(i): the file's bytes, or an array (H, W) or (H, W, C) where the data set is made of arrays. Of a
    series it is an array (n, C), of symbols the text as bytes.
    It raises DataError for a file that is gone or damaged.
    modality: "pictures", "sound", "symbols" or "series".   alphabet: the letters of symbols, in order.
    """

    name: str
    kind: str  # folder, zip, tar, csv, fasta, text (bytes); idx, cifar, npz, mat, digits (arrays)
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

    task: "regression" takes numbers as labels; "next-step" and "reconstruction" take none, so every sample's
    target is 0 and a flat folder will do.   group: a CSV's column, a field of the pattern, or a regular
    expression whose first group (or whole match) in a sample's name is its group.
    label_pattern: what the names of picture or sound files say, such as ``{label}_{group}_{n}.wav``.
    test_rule: which of its fields' values make a sample part of the test, such as ``n<5``.
    offline: never download.   learn: refuse what a network cannot be trained on, such as a single class.
    Raises DataError for what cannot be read or learned from, RecipeError for a bad group, pattern or rule.
    """
    from striate.data import catalogue, manifest, opening, pattern

    if test_rule is not None and label_pattern is None:
        raise RecipeError(
            f"--test {test_rule!r} compares what names say, and no --label-pattern says how to read them.",
            "Add --label-pattern '{label}_{n}.wav', or give a share such as --test 0.2.",
        )
    path = Path(os.path.expanduser(data))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    columns: tuple[str, ...] = ()
    column = None
    if data and os.path.exists(path):  # noqa: PTH110 - Path.exists raises for impossible names
        if path.suffix.lower() in {".csv", ".tsv"} and path.is_file():
            columns = manifest.columns(path)
            column = group.lower() if group and group.lower() in columns else None
        if data in catalogue.NAMES:
            emit(Note(f"{path.resolve()} is used, not the public data set of that name."))
        source = opening.open_path(path, task, column, by_name=label_pattern is not None, emit=emit)
    elif data in catalogue.NAMES:
        source = opening.with_classes(task, catalogue.open_named(data, offline=offline, emit=emit))
    else:
        raise _nothing_there(data, path, catalogue.NAMES)
    if label_pattern is not None:
        source = pattern.labelled(source, label_pattern, task=task, group=group, test=test_rule)
    elif group is not None and column is None:
        source = replace(source, samples=_grouped(source.samples, group, columns))
    if task in UNLABELLED:
        source = replace(source, samples=tuple(replace(s, target=0.0) for s in source.samples), classes=())
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
        raise DataError(f"{source.name} holds no {source.noun}.", "Give data with at least two classes.")
    if not source.classes or not learn:
        return source
    noun = source.noun
    filled = Counter(sample.target for sample in source.samples)
    if len(filled) < 2:
        raise DataError(
            f"{source.name}: all {len(source.samples)} {noun} are of one class ({next(iter(filled))}).",
            f"A classifier needs {noun} of at least two classes; --task reconstruction needs no labels.",
        )
    seen = {sample.target for sample in source.samples if sample.split in {None, "train"}}
    for split in ("val", "test"):
        unseen = {str(s.target) for s in source.samples if s.split == split} - seen
        if seen and unseen:
            raise DataError(
                f"{source.name}: the {split} split has classes that train has not: "
                f"{', '.join(in_order(unseen)[:5])}{' ...' if len(unseen) > 5 else ''}.",
                f"Classes are matched by name: rename them, or add {noun} of them to train.",
            )
    return source
