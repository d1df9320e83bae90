"""A CSV of pictures or sounds: ``path,label[,split][,group]``, any order, other columns allowed."""

from __future__ import annotations

import csv
import math
import os
from typing import TYPE_CHECKING

from striate.data import listing, sound
from striate.data.sources import SPLITS, UNLABELLED, Sample, Source, in_order, split_name
from striate.errors import DataError, did_you_mean
from striate.events import Emit, Warned, ignore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "The first line names the columns: path,label and, if wanted, split and group."
LARGEST = 3e38  # numbers become float32


def columns(path: Path) -> tuple[str, ...]:
    """Give the names in a CSV's first line, in lower case. Raises DataError where there are none."""
    return tuple(next(rows(path))[1])


def open_csv(
    path: Path, *, task: str = "classification", group_column: str | None = None, emit: Emit = ignore
) -> Source:
    """Open the pictures or sounds that a CSV names, whichever are more; paths are relative to the CSV.

    task: "regression" reads labels as finite numbers.   group_column: which column groups pictures; else
    the one named group, where there is one.
    Raises DataError that gives the line for what is missing, misspelt or no number.
    """
    lines = rows(path)
    _, header = next(lines)
    for needed in ("path",) if task in UNLABELLED else ("path", "label"):
        if needed not in header:
            hint = "Separate with commas, not semicolons." if ";" in "".join(header) else HEADER
            raise DataError(f"{path.name} has no column {needed}. Received: {', '.join(header)}.", hint)
    group_column = group_column or ("group" if "group" in header else None)
    samples: list[Sample] = []
    files: list[str] = []
    missing: list[tuple[int, str]] = []
    for line, row in lines:
        if len(row) != len(header):
            raise DataError(
                f"{path.name}, line {line}: {len(row)} values for {len(header)} columns.",
                'Put values that hold a comma into quotes: "a, b.jpg".',
            )
        cells = dict(zip(header, row, strict=True))
        name, file = cells["path"], str(path.parent / cells["path"])
        if not name or not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for impossible names
            missing.append((line, name))
            continue
        group = cells[group_column] if group_column else ""
        samples.append(
            Sample(name, target(cells, task, path, line), split_of(cells, path, line), group or None)
        )
        files.append(file)
    if missing:
        line, name = missing[0]
        raise DataError(
            f"{path.name} names {len(missing)} files that do not exist, first {name!r} in line {line}.",
            f"Paths are relative to {path.parent.absolute()}.",
        )
    if (
        task == "classification"
        and len(samples) > 100
        and len({s.target for s in samples}) > len(samples) // 2
    ):
        emit(Warned(f"{path.name}: most labels occur once. For numbers to predict, add --task regression."))
    return Source(
        name=path.name,
        kind="csv",
        samples=tuple(samples),
        classes=() if task != "classification" else in_order(str(sample.target) for sample in samples),
        read=lambda i: listing.read_file(files[i]),
        modality="sound" if sum(map(sound.named, files)) > len(files) / 2 else "pictures",
    )


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and stripped cells, first the header in lower case; empty lines are skipped.

    Raises DataError for what is no CSV in UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            header: list[str] = []
            for row in reader:
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if not header:
                    header = cells = [cell.lower() for cell in cells]
                    _check_header(header, path)
                yield reader.line_num, cells
            if not header:
                raise DataError(f"{path.name} is empty.", HEADER)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text.", "Save it again as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: {error}.", "Check the quotes around it."
        ) from error
    except OSError as error:
        raise listing.unreadable(path, error) from error


def _check_header(header: list[str], path: Path) -> None:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DataError(f"{path.name} names the column {min(twice)!r} twice.", HEADER)


def target(cells: dict[str, str], task: str, path: Path, line: int) -> str | float:
    """Read a line's label: text, or a finite number for regression. Raises DataError."""
    if task in UNLABELLED:
        return 0.0
    label = cells["label"]
    if not label:
        raise DataError(f"{path.name}, line {line}: the label is empty.", "Give it one, or delete the line.")
    if task != "regression":
        return label
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    if not abs(number) < LARGEST:
        raise DataError(
            f"{path.name}, line {line}: a label must be a finite number. Received: {label!r}.",
            "Write numbers as 3.5; for class names leave --task regression away.",
        )
    return number


def split_of(cells: dict[str, str], path: Path, line: int) -> str | None:
    """Read which split a line names, if any. Raises DataError for one that does not exist."""
    word = cells.get("split", "")
    split = split_name(word)
    if word and split is None:
        raise DataError(f"{path.name}, line {line}: unknown split {word!r}.", did_you_mean(word, SPLITS))
    return split
