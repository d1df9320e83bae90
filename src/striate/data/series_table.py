"""Series from a CSV, in one of two forms that its columns tell apart.

A row a series: every column except label, split, group, id and series is a step, in the file's order.
A row a step (long form): the columns series and time (or step) say which series a row is of and where in it;
label, split and group are the same all along a series, every other column is a channel.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from striate.data import manifest
from striate.data.series import LARGEST
from striate.data.sources import UNLABELLED, Sample, Source, in_order
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SAID = {"label", "split", "group", "id", "series"}  # columns that are no steps
TIMES = ("time", "step")

Row = tuple[int, dict[str, str]]  # line number, cells by column


def is_series(columns: tuple[str, ...]) -> bool:
    """Tell whether a CSV with these columns holds series rather than the paths of files.

    >>> is_series(("label", "t0", "t1")), is_series(("path", "label"))
    (True, False)
    """
    steps = [name for name in columns if name not in SAID and name not in TIMES]
    return "path" not in columns and (_time_of(columns) is not None or len(steps) >= 2)


def open_csv(path: Path, *, task: str = "classification", group_column: str | None = None) -> Source:
    """Open the series of a CSV, in either form.

    task: "regression" reads labels as numbers, "next-step" and "reconstruction" need none.
    group_column: which column groups series; else the one named group.
    Raises DataError with the line for what is missing, no number, or of another width.
    """
    lines = manifest.rows(path)
    _, columns = next(lines)
    if "label" not in columns and task not in UNLABELLED:
        raise DataError(
            f"{path.name} has no column label. Received: {', '.join(columns[:8])}.",
            "Add one, or train without labels: --task next-step or --task reconstruction.",
        )
    rows: list[Row] = []
    for line, row in lines:
        if len(row) != len(columns):
            raise DataError(
                f"{path.name}, line {line}: {len(row)} values for {len(columns)} columns.",
                "Series of different lengths go into a row a step, with the columns series and time.",
            )
        rows.append((line, dict(zip(columns, row, strict=True))))
    time = _time_of(tuple(columns))
    group = group_column or ("group" if "group" in columns else None)
    said = SAID | {group} | ({time} if time else set())
    channels = [name for name in columns if name not in said]
    parts = [[row] for row in rows] if time is None else _in_series(path, rows, time)
    samples, series = [], []
    for part in parts:
        line, cells = part[0]
        if time is not None:
            _check_same(path, part, ("label", "split", group))
        name = f"{path.name}:{line}" if time is None else f"{path.name}:{cells['series']}"
        target = manifest.target(cells, task, path, line)
        samples.append(
            Sample(name, target, manifest.split_of(cells, path, line), (group and cells[group]) or None)
        )
        numbers = [_numbers(path, row, channels) for row in part]
        series.append(np.array(numbers) if time is not None else np.array(numbers).T)
    classes = in_order(str(sample.target) for sample in samples) if task == "classification" else ()
    return Source(path.name, "csv", tuple(samples), classes, lambda i: series[i], modality="series")


def _time_of(columns: tuple[str, ...]) -> str | None:
    """Name the column that tells where in its series a row is; None where a row is a series."""
    return next((name for name in TIMES if name in columns), None) if "series" in columns else None


def _in_series(path: Path, rows: list[Row], time: str) -> list[list[Row]]:
    """Put the rows of each series together, in the order of their time."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[1]["series"], []).append(row)
    for part in parts.values():
        when = {line: _number(path, (line, cells), time) for line, cells in part}
        part.sort(key=lambda row: when[row[0]])
        for (_, before), (line, cells) in itertools.pairwise(part):
            if float(before[time]) == float(cells[time]):
                raise DataError(
                    f"{path.name}, line {line}: {time} {cells[time]} twice in series {cells['series']!r}.",
                    "Give each step a time of its own.",
                )
    return list(parts.values())


def _check_same(path: Path, part: list[Row], columns: tuple[str | None, ...]) -> None:
    first = part[0][1]
    for line, cells in part:
        for name in columns:
            if name in cells and cells[name] != first[name]:
                raise DataError(
                    f"{path.name}, line {line}: the {name} of series {cells['series']!r} is {cells[name]!r} "
                    f"here and {first[name]!r} before.",
                    f"A series has one {name}.",
                )


def _numbers(path: Path, row: Row, columns: list[str]) -> list[float]:
    return [_number(path, row, name) for name in columns]


def _number(path: Path, row: Row, column: str) -> float:
    line, cells = row
    text = cells[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < LARGEST:
        what = f"no finite number: {text!r}" if text else "missing"
        raise DataError(
            f"{path.name}, line {line}: the value in column {column} is {what}.",
            "Fill it in, or take the series out. A CSV of files names them in a column path.",
        )
    return value
