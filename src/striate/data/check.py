"""Say what a data set holds and what is wrong with it; nothing is changed and nothing is hidden."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data.sequence import Sequences
from striate.data.sources import NOUNS
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.data.decode import Header
    from striate.data.preprocess import Preprocess
    from striate.data.sources import Source
    from striate.data.store import Store, Survey

UNEVEN = 10.0  # largest class over smallest, from which on accuracy alone misleads


@dataclasses.dataclass(frozen=True)
class Check:
    """What was found.

    classes: name -> samples on each side; {} without classes.   splits: samples on each side.
    sizes: least, median and greatest width and height, of recordings seconds, of other sequences steps.
    modes: kind of file -> how many.
    unreadable: (file, reason).   duplicates: (files, the side of each, whether they are exact copies).
    imbalance: largest class over smallest, classes without samples apart.   warnings: one line each.
    modality: pictures, sound, symbols or series.
    """

    classes: dict[str, dict[str, int]]
    splits: dict[str, int]
    sizes: dict[str, list[float]]
    modes: dict[str, int]
    unreadable: list[tuple[str, str]]
    duplicates: list[tuple[list[str], list[str], bool]]
    imbalance: float
    warnings: list[str]
    modality: str = "pictures"

    @property
    def noun(self) -> str:
        """What a person calls the samples."""
        return NOUNS[self.modality]

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
    preprocess: Preprocess | Sequences | None = None,
) -> Check:
    """Look over a decoded and divided data set.

    exact, near, split: rows of ``store``.   preprocess: what it was decoded to; of sequences it tells which
    were cut.   Raises DataError where fewer than two classes have pictures.
    """
    side = {int(row): name for name, rows in split.items() for row in rows}
    names = [source.samples[i].name for i in store.rows]
    groups = [(group, True) for group in exact] + [(group, False) for group in near]
    classes = _classes(source, store, side)
    filled = {name: sum(counts.values()) for name, counts in classes.items() if counts}
    if classes and len(filled) < 2:
        raise DataError(
            f"{source.name}: only {len(filled)} class has readable {source.noun}"
            f"{': ' + next(iter(filled)) if filled else ''}.",
            f"A classifier needs {source.noun} of at least two classes.",
        )
    kept = [survey.headers[i] for i in store.rows]
    modes = Counter(header.mode for header in kept if header is not None)
    imbalance = max(filled.values()) / min(filled.values()) if filled else 1.0
    return Check(
        classes=classes,
        splits={name: len(rows) for name, rows in split.items()},
        sizes=_sizes(survey, source.modality),
        modes=dict(modes.most_common()),
        unreadable=[(source.samples[i].name, reason) for i, reason in store.unreadable.items()],
        duplicates=[([names[r] for r in group], [side.get(r, "") for r in group], e) for group, e in groups],
        imbalance=round(imbalance, 2),
        warnings=[
            *_about_files(source, store, modes),
            *_about_length(kept, preprocess, source.noun),
            *_about_classes(classes, imbalance, source.noun),
            *_about_sides(split, source.noun),
            *_leaks(groups, side, source.noun),
            *_contradictions(source, store, groups),
        ],
        modality=source.modality,
    )


def _classes(source: Source, store: Store, side: dict[int, str]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in source.classes}
    for row, i in enumerate(store.rows):
        if source.classes and row in side:  # beside folds a given test split is on no side
            counts[str(source.samples[i].target)][side[row]] += 1
    return {name: dict(sorted(found.items(), key=_by_side)) for name, found in counts.items()}


def _by_side(item: tuple[str, int]) -> int:
    return ("train", "val", "test").index(item[0])


def _sizes(survey: Survey, modality: str) -> dict[str, list[float]]:
    if modality == "pictures":
        found = {"width": survey.sizes[:, 0], "height": survey.sizes[:, 1]}
    elif modality == "sound":
        found = {"seconds": np.array([h.width / h.rate for h in survey.readable]).round(3)}
    else:
        found = {"steps": survey.sizes[:, 0]}
    return {what: np.quantile(sizes, (0, 0.5, 1), method="nearest").tolist() for what, sizes in found.items()}


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
        warnings.append(f"{_counted(shallow, source.noun)} of 16 bits {_are(shallow)} read at 8 bits")
    return warnings


def _about_length(
    kept: list[Header | None], preprocess: Preprocess | Sequences | None, noun: str
) -> list[str]:
    if not isinstance(preprocess, Sequences):
        return []
    rate = preprocess.rate
    steps = [h.width if not rate else math.ceil(h.width * rate / h.rate) for h in kept if h is not None]
    cut = sum(count > preprocess.length for count in steps)
    limit = f"{preprocess.length / rate:.3g} s" if rate else f"{preprocess.length:,} steps"
    are = _are(cut)
    return [f"{_counted(cut, noun)} {are} longer than {limit} and {are} cut; see --length"] if cut else []


def _about_classes(classes: dict[str, dict[str, int]], imbalance: float, noun: str) -> list[str]:
    warnings = []
    totals = {name: sum(counts.values()) for name, counts in classes.items()}
    empty = [name for name, total in totals.items() if total == 0]
    single = [name for name, total in totals.items() if total == 1]
    if empty:
        warnings.append(f"no {noun[:-1]} of {_names(empty)}: the network can never learn {_it(empty)}")
    if single:
        warnings.append(
            f"only one {noun[:-1]} of {_names(single)}: nothing is left to test {_it(single)} with"
        )
    if imbalance >= UNEVEN:
        large = max(totals, key=lambda name: totals[name])
        small = min((name for name in totals if totals[name]), key=lambda name: totals[name])
        warnings.append(
            f"classes are uneven: {large} has {totals[large]:,} {noun} and {small} has {totals[small]:,}; "
            "see balanced accuracy, and --balance"
        )
    return warnings


def _about_sides(split: dict[str, NDArray[np.int64]], noun: str) -> list[str]:
    return [
        f"{name} is empty: the {noun} are too few, or their groups too large, to spare any"
        for name, rows in split.items()
        if not len(rows)
    ]


def _leaks(groups: Sequence[tuple[Sequence[int], bool]], side: dict[int, str], noun: str) -> list[str]:
    """Count the samples of a later side whose copy is on an earlier one."""
    leaked: dict[tuple[str, str, bool], set[int]] = {}
    for group, exact in groups:
        for where, seen in (("val", "train"), ("test", "train"), ("test", "val")):
            if any(side.get(row) == seen for row in group):
                rows = {row for row in group if side.get(row) == where}
                leaked.setdefault((where, seen, exact), set()).update(rows)
    return [
        f"{_counted(len(rows), noun)} of {where} {_are(len(rows))} also in {seen}"
        f"{'' if exact else ', or nearly'}: the {where} result is too good"
        for (where, seen, exact), rows in leaked.items()
        if rows
    ]


def _contradictions(source: Source, store: Store, groups: Sequence[tuple[Sequence[int], bool]]) -> list[str]:
    targets = [{source.samples[store.rows[row]].target for row in group} for group, _ in groups]
    count = sum(len(found) > 1 for found in targets)
    have = "has" if count == 1 else "have"
    copies = "copies or near copies" if source.modality == "pictures" else "copies"
    return [f"{_counted(count, source.noun)} {have} {copies} with another label"] if count else []


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} other classes" if len(names) > 5 else "")


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _files(count: int) -> str:
    return f"{count:,} file" + ("" if count == 1 else "s")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun[:-1] if count == 1 else noun}"
