"""Say what a data set holds and what is wrong with it; nothing is changed and nothing is hidden."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.data.sources import Source
    from striate.data.store import Store, Survey

UNEVEN = 10.0  # largest class over smallest, from which on accuracy alone misleads


@dataclasses.dataclass(frozen=True)
class Check:
    """What was found.

    classes: name -> pictures on each side; {} for regression.   splits: pictures on each side.
    sizes: least, median and greatest width and height.   modes: kind of file -> how many.
    unreadable: (file, reason).   duplicates: (files, the side of each, whether they are exact copies).
    imbalance: largest class over smallest, classes without pictures apart.   warnings: one line each.
    """

    classes: dict[str, dict[str, int]]
    splits: dict[str, int]
    sizes: dict[str, list[int]]
    modes: dict[str, int]
    unreadable: list[tuple[str, str]]
    duplicates: list[tuple[list[str], list[str], bool]]
    imbalance: float
    warnings: list[str]

    def json(self) -> dict[str, Any]:
        """Give the object of ``data --json``, which run.json holds too."""
        return dataclasses.asdict(self) | {
            "unreadable": [{"file": file, "reason": reason} for file, reason in self.unreadable],
            "duplicates": [
                {"files": names, "splits": sides, "exact": exact} for names, sides, exact in self.duplicates
            ],
        }


def check(
    source: Source,
    survey: Survey,
    store: Store,
    exact: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    split: dict[str, NDArray[np.int64]],
) -> Check:
    """Look over a decoded and divided data set.

    exact, near, split: rows of ``store``.   Raises DataError where fewer than two classes have pictures.
    """
    side = {int(row): name for name, rows in split.items() for row in rows}
    names = [source.samples[i].name for i in store.rows]
    groups = [(group, True) for group in exact] + [(group, False) for group in near]
    classes = _classes(source, store, side)
    filled = {name: sum(counts.values()) for name, counts in classes.items() if counts}
    if classes and len(filled) < 2:
        raise DataError(
            f"{source.name}: only {len(filled)} class has readable pictures"
            f"{': ' + next(iter(filled)) if filled else ''}.",
            "A classifier needs pictures of at least two classes.",
        )
    kept = [survey.headers[i] for i in store.rows]
    modes = Counter(header.mode for header in kept if header is not None)
    imbalance = max(filled.values()) / min(filled.values()) if filled else 1.0
    return Check(
        classes=classes,
        splits={name: len(rows) for name, rows in split.items()},
        sizes=_sizes(survey.sizes),
        modes=dict(modes.most_common()),
        unreadable=[(source.samples[i].name, reason) for i, reason in store.unreadable.items()],
        duplicates=[([names[r] for r in group], [side.get(r, "") for r in group], e) for group, e in groups],
        imbalance=round(imbalance, 2),
        warnings=[
            *_about_files(source, store, modes),
            *_about_classes(classes, imbalance),
            *_about_sides(split),
            *_leaks(groups, side),
            *_contradictions(source, store, groups),
        ],
    )


def _classes(source: Source, store: Store, side: dict[int, str]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in source.classes}
    for row, i in enumerate(store.rows):
        if source.classes and row in side:  # beside folds a given test split is on no side
            counts[str(source.samples[i].target)][side[row]] += 1
    return {name: dict(sorted(found.items(), key=_by_side)) for name, found in counts.items()}


def _by_side(item: tuple[str, int]) -> int:
    return ("train", "val", "test").index(item[0])


def _sizes(sizes: NDArray[np.int64]) -> dict[str, list[int]]:
    found = np.quantile(sizes, (0, 0.5, 1), axis=0, method="nearest").T.tolist()
    return dict(zip(("width", "height"), found, strict=True))


def _about_files(source: Source, store: Store, modes: Counter[str]) -> list[str]:
    warnings = []
    if store.unreadable:
        first, reason = next(iter(store.unreadable.items()))
        warnings.append(
            f"{_files(len(store.unreadable))} cannot be read and {_are(len(store.unreadable))} left out, "
            f"the first is {source.samples[first].name}: {reason}"
        )
    shallow = sum(count for mode, count in modes.items() if "read at 8 bits" in mode)
    if shallow:
        warnings.append(f"{_pictures(shallow)} of 16 bits {_are(shallow)} read at 8 bits")
    return warnings


def _about_classes(classes: dict[str, dict[str, int]], imbalance: float) -> list[str]:
    warnings = []
    totals = {name: sum(counts.values()) for name, counts in classes.items()}
    empty = [name for name, total in totals.items() if total == 0]
    single = [name for name, total in totals.items() if total == 1]
    if empty:
        warnings.append(f"no picture of {_names(empty)}: the network can never learn {_it(empty)}")
    if single:
        warnings.append(f"only one picture of {_names(single)}: nothing is left to test {_it(single)} with")
    if imbalance >= UNEVEN:
        large = max(totals, key=lambda name: totals[name])
        small = min((name for name in totals if totals[name]), key=lambda name: totals[name])
        warnings.append(
            f"classes are uneven: {large} has {totals[large]:,} pictures and {small} has {totals[small]:,}; "
            "see balanced accuracy, and --balance"
        )
    return warnings


def _about_sides(split: dict[str, NDArray[np.int64]]) -> list[str]:
    return [
        f"{name} is empty: the pictures are too few, or their groups too large, to spare any"
        for name, rows in split.items()
        if not len(rows)
    ]


def _leaks(groups: Sequence[tuple[Sequence[int], bool]], side: dict[int, str]) -> list[str]:
    """Count the pictures of a later side whose copy is on an earlier one."""
    leaked: dict[tuple[str, str, bool], set[int]] = {}
    for group, exact in groups:
        for where, seen in (("val", "train"), ("test", "train"), ("test", "val")):
            if any(side.get(row) == seen for row in group):
                rows = {row for row in group if side.get(row) == where}
                leaked.setdefault((where, seen, exact), set()).update(rows)
    return [
        f"{_pictures(len(rows))} of {where} {_are(len(rows))} also in {seen}{'' if exact else ', or nearly'}"
        f": the {where} result is too good"
        for (where, seen, exact), rows in leaked.items()
        if rows
    ]


def _contradictions(source: Source, store: Store, groups: Sequence[tuple[Sequence[int], bool]]) -> list[str]:
    targets = [{source.samples[store.rows[row]].target for row in group} for group, _ in groups]
    count = sum(len(found) > 1 for found in targets)
    have = "has" if count == 1 else "have"
    return [f"{_pictures(count)} {have} copies or near copies with another label"] if count else []


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} other classes" if len(names) > 5 else "")


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _files(count: int) -> str:
    return f"{count:,} file" + ("" if count == 1 else "s")


def _pictures(count: int) -> str:
    return f"{count:,} picture" + ("" if count == 1 else "s")
