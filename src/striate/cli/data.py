"""``striate data``: look at a data set before training on it; nothing is changed."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any, Unpack

from striate.cli import show
from striate.cli.flags import Json, Offline, settings

if TYPE_CHECKING:
    from striate.data.check import Check

ROWS = 20  # of each list
COPIES = 4  # files named of one group


def data(data: str, /, *, offline: Offline = False, json: Json = False, **asked: Any) -> None:
    """Check a data set: counts, sizes, unreadable files, duplicates.

    It changes nothing. Training does the same check first.

    Parameters
    ----------
    data
        Whatever ``striate train`` takes.
    json
        Print one JSON document.
    """
    from striate import api

    with show.stream() as emit:
        found = api.check(data, offline=offline, emit=emit, **asked)
    print(jsonlib.dumps(found.json()) if json else "\n".join(lines(found)))


data.__annotations__["asked"] = Unpack[
    settings(("label_pattern", "task", "length", "rate", "val", "test", "group", "seed"))
]


def lines(found: Check) -> list[str]:
    """Lay out what was found, a section after the other; long lists are cut and say so."""
    sections = [_counts(found), _files(found)]
    sections.append(_list("Left out", [f"{file}: {reason}" for file, reason in found.unreadable]))
    for exact, title in ((True, "The same"), (False, "Nearly the same")):
        groups = [
            " = ".join(f"{file} ({side})" for file, side in list(zip(files, sides, strict=True))[:COPIES])
            + (f" and {len(files) - COPIES} more" if len(files) > COPIES else "")
            for files, sides, is_exact in found.duplicates
            if is_exact == exact
        ]
        sections.append(_list(f"{title} {found.noun[:-1]}", groups))
    sections.append([f"Warning: {warning}" for warning in found.warnings])
    within = show.width()
    told = [line for section in sections if section for line in ["", *section]][1:]
    return told if within is None else [part for line in told for part in show.wrap(line, within)]


def _counts(found: Check) -> list[str]:
    """Count samples, a row a class, a column a side of the split."""
    sides = list(found.splits)
    rows: list[tuple[object, ...]] = [("class" if found.classes else "", *sides, "all")]
    for name, counts in list(found.classes.items())[:ROWS]:
        rows.append((name, *(counts.get(side, 0) for side in sides), sum(counts.values())))
    rows.append(("all" if found.classes else found.noun, *found.splits.values(), sum(found.splits.values())))
    table = show.table(rows, within=show.width())
    hidden = len(found.classes) - ROWS
    return [*table[:-1], *([f"and {hidden} more classes"] if hidden > 0 else []), table[-1]]


def _files(found: Check) -> list[str]:
    sizes = [
        f"{what}: {low:g} to {high:g}{' pixels' if found.modality == 'pictures' else ''}, median {mid:g}"
        for what, (low, mid, high) in found.sizes.items()
    ]
    uneven = [f"largest class: {found.imbalance:g} times the smallest"] if found.classes else []
    return [*uneven, *sizes, *(f"{mode}: {count}" for mode, count in found.modes.items())]


def _list(title: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    more = [f"  and {len(entries) - ROWS} more"] if len(entries) > ROWS else []
    return [f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:ROWS]), *more]
