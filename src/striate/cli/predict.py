"""``striate predict``: what a finished run says about pictures or sequences."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli import show
from striate.cli.flags import Json, Trust
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.runs.predict import Prediction


def predict(
    run: Path,
    /,
    *files: Annotated[str, Parameter(required=True)],
    csv: Path | None = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Predict pictures or sequences with a run.

    A file that cannot be read is named on stderr and the others are predicted; the exit code is 2 only
    when none could be read.

    Parameters
    ----------
    run
        The run folder.
    files
        Pictures, or folders of pictures; of a run of sequences sound files, FASTA, text, CSV, npz or mat.
    csv
        Write the predictions to this CSV file as well.
    json
        Print one JSON document.
    """
    from striate import api

    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        found, unreadable = api.predict(opened, files, csv=csv, emit=emit)
    for file, reason in unreadable:
        print(f"Left out {file}: {reason}", file=sys.stderr)
    if unreadable and not found:
        raise DataError(f"None of the {len(unreadable)} files could be read.", "")
    if json:
        print(jsonlib.dumps([one.json() for one in found]))
    else:
        print("\n".join(lines(found)))


def lines(found: Sequence[Prediction]) -> list[str]:
    """Lay out predictions: columns on a terminal, tab-separated values in a pipe."""
    within = show.width()
    if within is None:
        rows = [(one.file, f"{one.label}", _exact(one.probability)) for one in found]
        return ["\t".join(cell for cell in row if cell) for row in rows]
    if all(isinstance(one.label, float) for one in found):
        return show.table(
            [("file", "number"), *((one.file, f"{one.label:.4g}") for one in found)], within=within
        )
    cells = [("file", "label", "probability", "next best")]
    cells += [(one.file, str(one.label), _share(one.probability), _second(one)) for one in found]
    return show.table(cells, within=within)


def _second(one: Prediction) -> str:
    return f"{one.top[1][0]} {_share(one.top[1][1])}" if len(one.top) > 1 else ""


def _exact(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.6f}"


def _share(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.1%}"
