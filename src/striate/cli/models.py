"""``striate models``: the networks that are built in, a row each."""

from __future__ import annotations

import dataclasses
import itertools
import json as jsonlib
from typing import TYPE_CHECKING

from striate.cli import show
from striate.cli.flags import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.api.look import Listed


def models(*, json: Json = False) -> None:
    """List the networks that are built in, with their parameters and multiply-adds.

    Both are counted at the paper's input and classes; of auxiliary heads, which only train, the parameters.

    Parameters
    ----------
    json
        Print one JSON document.
    """
    from striate import api

    listed = api.models()
    if json:
        print(jsonlib.dumps([dataclasses.asdict(row) for row in listed]))
    else:
        print("\n".join(lines(listed)))


def lines(listed: Sequence[Listed]) -> list[str]:
    """Lay the list out: under each paper a row for each variant, in columns that go through."""
    rows = [
        (f"  {row.name}", f"{row.parameters:,}", f"{row.multiply_adds:,}", "x".join(map(str, row.input)))
        for row in listed
    ]
    head, *table = show.table([("  name", "parameters", "multiply-adds", "input"), *rows])
    laid, within = [head], show.width()
    for (paper, year), group in itertools.groupby(
        zip(listed, table, strict=True), key=lambda pair: (pair[0].paper, pair[0].year)
    ):
        title = f"{paper} ({year})"
        laid += ["", *([title] if within is None else show.wrap(title, within, 2))]
        laid += [line for _, line in group]
    return laid
