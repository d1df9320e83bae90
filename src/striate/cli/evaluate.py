"""``striate evaluate``: how good a run is on other data of its kind."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.training.task import Scores


def evaluate(
    run: Path,
    data: str,
    /,
    *,
    split: Literal["train", "val", "test"] | None = None,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure a run on labelled data; one that learnt without labels, without.

    Parameters
    ----------
    run
        The run folder.
    data
        Whatever ``striate train`` takes.
    split
        Only this split; without it the test split where the data have one, else everything.
    json
        Print one JSON document.
    """
    from striate import api
    from striate.report.markup import noun_of

    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        scores = api.evaluate(opened, data, split=split, offline=offline, emit=emit)
    print(jsonlib.dumps(scores.json()) if json else "\n".join(lines(scores, noun_of(opened.info))))


def lines(scores: Scores, noun: str = "picture") -> list[str]:
    """Lay out the scores: each number with its 95 % interval, then a row a class. noun: of one."""
    from striate.training.metrics import Measured, Rebuilt, Stepped

    first = f"{scores.n} {noun}s; in brackets the 95 % interval"
    if isinstance(scores, (Rebuilt, Stepped)):
        name, value = scores.headline
        more = {key: kept for key, kept in scores.summary().items() if kept != value}
        steps = f", {scores.steps:,} steps together" if isinstance(scores, Stepped) else ""
        return [
            first.replace(";", f"{steps};"),
            f"{name}  {_number(value)}  ({_between(scores.interval)})",
            *(f"{key.upper() if key == 'rmse' else key}  {_number(kept)}" for key, kept in more.items()),
        ]
    if isinstance(scores, Measured):
        return [
            first,
            f"mean absolute error      {_number(scores.mae)}  ({_between(scores.mae_interval)})",
            f"root mean squared error  {_number(scores.rmse)}  ({_between(scores.rmse_interval)})",
            f"R²                       {_number(scores.r2)}",
        ]
    rows: list[tuple[object, ...]] = [("class", f"{noun}s", "precision", "recall", "F1")]
    rows += [
        (one.label, one.n, *map(_share, (one.precision, one.recall, one.f1))) for one in scores.per_class
    ]
    accuracy, balanced = scores.accuracy_interval, scores.balanced_accuracy_interval
    return [
        first,
        f"accuracy           {_share(scores.accuracy)}  ({_between(accuracy, _share)})",
        f"balanced accuracy  {_share(scores.balanced_accuracy)}  ({_between(balanced, _share)})",
        "",
        *show.table(rows, within=show.width()),
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _between(interval: tuple[float, float], write: Callable[[float], str] = _number) -> str:
    return f"{write(interval[0])} to {write(interval[1])}"
