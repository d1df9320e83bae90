"""Pictures with their answers, prepared as a run's own were: those it was made from, or others."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events
from striate.data.pictures import targets_of
from striate.data.sources import open_source
from striate.data.store import build, survey
from striate.data.symbols import FASTA, TEXT
from striate.errors import DataError, RunError
from striate.runs.load import preprocess_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.data.sources import Source
    from striate.data.store import Survey
    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.runs.recipe import Recipe

TABLES = {".csv", ".tsv", ".npz", ".mat"} | FASTA | TEXT  # whose labels no name of a file can give


@dataclass(frozen=True)
class Labelled:
    """Decoded pictures of a data set.

    pixels: (M, size, size, C) raw.   targets: (M,) class (int64) or number (float32).   names: M files.
    rows: those of the part that was asked for.   split: that part's name; None is everything.
    parts: the rows of train, val and test, where the data have such parts.
    """

    name: str
    pixels: NDArray[Any]
    targets: NDArray[Any]
    names: list[str]
    rows: NDArray[np.int64]
    split: str | None
    parts: dict[str, NDArray[np.int64]]


def labelled(
    run: Run,
    data: str | Path | None = None,
    *,
    split: str | None = None,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Labelled:
    """Open a data set for a run; classes are matched by name.

    data: by default what the run was made from, cut as it was then.
    split: which part; by default the test pictures where there are some, of a run's own data else those of
    validation, and else everything.
    Raises DataError for a class that the run does not know, or a part without pictures; RunError where the
    run's own data have changed.
    """
    if data is None:
        return _own(run, split, offline, emit)
    info, recipe = run.info, run.recipe
    path = Path(data)
    if path.exists() and str(path.resolve()) == recipe.data:  # its groups and the rule of its test hold, too
        source = opened(recipe, offline=offline, emit=emit)
    else:
        source = open_source(
            str(data),
            task=info["task"],
            label_pattern=None if path.suffix.lower() in TABLES else recipe.label_pattern,
            offline=offline,
            learn=False,
            emit=emit,
        )
    check_kind(run, source)
    classes = tuple(info["classes"])
    unknown = sorted({str(s.target) for s in source.samples} - set(classes)) if classes else []
    if unknown:
        raise DataError(
            f"{data} has classes that {run.path} does not know: {', '.join(unknown[:5])}.",
            f"Its classes: {', '.join(classes[:12])}.",
        )
    seen = survey(source, emit)
    found = _decoded(run, source, seen, {s.name: s.split or "" for s in source.samples}, split, emit)
    if found.split is None and seen.fingerprint(source) == info["data"]["fingerprint"]:
        told = f"The run was trained on most of these {source.noun}: the result is too good"
        emit(events.Warned(f"{told} (split.csv says which)."))
    return found


def check_kind(run: Run, source: Source) -> None:
    """Raise DataError where data are of another kind than what the run was trained on."""
    wanted = getattr(preprocess_of(run), "modality", "pictures")
    if source.modality != wanted:
        raise DataError(
            f"{source.name} holds {source.modality}, and {run.path} was trained on {wanted}.",
            f"Give it {wanted}.",
        )


def opened(recipe: Recipe, *, offline: bool = False, emit: Emit = events.ignore) -> Source:
    """Open the data that a recipe names, as it says. Raises DataError or RecipeError."""
    return open_source(
        recipe.data,
        task=recipe.task,
        group=recipe.group,
        label_pattern=recipe.label_pattern,
        test_rule=recipe.test if isinstance(recipe.test, str) else None,
        offline=offline,
        emit=emit,
    )


def _own(run: Run, split: str | None, offline: bool, emit: Emit) -> Labelled:
    info, recipe, table = run.info, run.recipe, run.path / "split.csv"
    source = opened(recipe, offline=offline, emit=emit)
    seen = survey(source, emit)
    if seen.fingerprint(source) != info["data"]["fingerprint"]:
        raise RunError(
            f"The data of {run.path}, {recipe.data}, have changed since it was trained.",
            "Put the files back as they were, or name other data.",
        )
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            sides = {line["path"]: line["split"] for line in csv.DictReader(lines)}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise RunError(f"{table} cannot be read: {error}.", "Restore the file or train again.") from error
    if split is None:  # train is what is left where a run kept nothing back
        split = next((name for name in ("test", "val") if name in sides.values()), None)
    return _decoded(run, source, seen, sides, split, emit)


def _decoded(
    run: Run, source: Source, seen: Survey, sides: dict[str, str], split: str | None, emit: Emit
) -> Labelled:
    store = build(source, seen, preprocess_of(run), emit=emit)
    for index, reason in sorted(store.unreadable.items()):
        emit(events.Warned(f"left out {source.samples[index].name}: {reason}"))
    names = [source.samples[i].name for i in store.rows]
    each = np.array([sides.get(name, "") for name in names], object)
    parts = {part: np.flatnonzero(each == part) for part in ("train", "val", "test") if part in each}
    wanted = split or ("test" if "test" in parts else None)
    rows = np.arange(len(names)) if wanted is None else parts.get(wanted, np.zeros(0, np.int64))
    if not len(rows):
        raise DataError(
            f"{source.name} has no readable {source.noun} in the split {wanted!r}.",
            "Name another with --split.",
        )
    return Labelled(
        source.name, store.pixels, targets_of(source, store, run.classes), names, rows, wanted, parts
    )
