"""``striate data``: look at a data set before training on it; nothing is changed."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any, Unpack

from striate.cli import show
from striate.cli.flags import Json, Offline, settings

if TYPE_CHECKING:
    from striate.data.check import Check

ROWS = 20  # more classes than this are summed up


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
    print(jsonlib.dumps(found.json(), ensure_ascii=False) if json else "\n".join(lines(found)))


data.__annotations__["asked"] = Unpack[settings(("task", "val", "test", "group", "seed"))]


def lines(found: Check) -> list[str]:
    """Lay out what was found."""
    return [str(found)]
