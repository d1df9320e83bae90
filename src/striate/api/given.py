"""Data for a run whose labels do not matter: any kind that holds what the run takes, labelled or not."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events
from striate.api.labelled import check_kind
from striate.data.sources import UNLABELLED, Source, open_source
from striate.data.store import build, survey
from striate.errors import DataError
from striate.runs.load import preprocess_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.data.store import Survey
    from striate.events import Emit
    from striate.runs.folder import Run


@dataclass(frozen=True)
class Given:
    """Decoded samples. pixels: (M, ...) raw.   names, labels: of each, "" without a label.

    rows: those of the part that was asked for.   split: that part's name; None is everything.
    """

    name: str
    noun: str
    pixels: NDArray[Any]
    names: list[str]
    labels: list[str]
    rows: NDArray[np.int64]
    split: str | None


def given(
    run: Run, data: str | Path, *, split: str | None, offline: bool = False, emit: Emit = events.ignore
) -> Given:
    """Open a data set for a run as it is; a class that the run does not know is no error.

    split: which part: of the run's own data as they were cut then, else as the data say.
    Raises DataError for data of another kind, or a part without samples.
    """
    source = _opened(run, str(data), offline=offline, emit=emit)
    check_kind(run, source)
    seen = survey(source, emit)
    store = build(source, seen, preprocess_of(run), emit=emit)
    for index, reason in sorted(store.unreadable.items()):
        emit(events.Warned(f"left out {source.samples[index].name}: {reason}"))
    samples = [source.samples[i] for i in store.rows]
    rows = np.arange(len(samples))
    if split is not None:
        sides = _sides(run, source, seen)
        rows = np.flatnonzero([sides.get(sample.name) == split for sample in samples])
    if not len(rows):
        raise DataError(
            f"{source.name} has no readable {source.noun} in the split {split!r}.",
            "Leave --split away, or name another.",
        )
    labels = [str(sample.target) if source.classes else "" for sample in samples]
    return Given(source.name, source.noun, store.pixels, [s.name for s in samples], labels, rows, split)


def _opened(run: Run, data: str, *, offline: bool, emit: Emit) -> Source:
    """Open with labels where there are some, else without."""
    try:
        return open_source(
            data, label_pattern=run.recipe.label_pattern, offline=offline, learn=False, emit=emit
        )
    except DataError:  # no labels, or none that its names give away
        return open_source(data, task="reconstruction", offline=offline, learn=False, emit=emit)


def _sides(run: Run, source: Source, seen: Survey) -> dict[str, str | None]:
    """Map names to splits: as the run cut them where these are its own data."""
    own = source
    if run.info["task"] in UNLABELLED:
        own = replace(source, samples=tuple(replace(s, target=0.0) for s in source.samples))
    table = run.path / "split.csv"
    if seen.fingerprint(own) == run.info["data"]["fingerprint"] and table.exists():
        with table.open(encoding="utf-8", newline="") as lines:
            return {line["path"]: line["split"] for line in csv.DictReader(lines)}
    return {sample.name: sample.split for sample in source.samples}
