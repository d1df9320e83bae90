"""Using a trained run: on single pictures, and on a labelled data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from striate import events
from striate.data.folders import PICTURES
from striate.data.listing import any_hidden
from striate.data.pictures import targets_of
from striate.data.sources import open_source
from striate.data.store import build, survey
from striate.errors import DataError
from striate.files import write_csv
from striate.runs.load import preprocess_of
from striate.runs.predict import predict as predict_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.runs.predict import Prediction
    from striate.training.metrics import Classified, Measured


def evaluate(
    run: Run,
    data: str | Path,
    *,
    split: str | None = None,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Classified | Measured:
    """Score a run on other pictures, prepared as its own were; classes are matched by name.

    split: which part of the data; by default its test split where it has one, else everything.
    Raises DataError for a class that the run does not know.
    """
    from striate.training import task as tasks
    from striate.training.evaluate import evaluate as score

    info, preprocess, model = run.info, preprocess_of(run), run.model
    classes = tuple(info["classes"])
    source = open_source(str(data), task=info["task"], offline=offline, learn=False, emit=emit)
    unknown = sorted({str(s.target) for s in source.samples} - set(classes)) if classes else []
    if unknown:
        raise DataError(
            f"{data} has classes that {run.path} does not know: {', '.join(unknown[:5])}.",
            f"Its classes: {', '.join(classes[:12])}.",
        )
    seen = survey(source, emit)
    store = build(source, seen, preprocess, emit=emit)
    for index, reason in sorted(store.unreadable.items()):
        emit(events.Warned(f"left out {source.samples[index].name}: {reason}"))
    splits = [source.samples[i].split for i in store.rows]
    wanted = split or ("test" if "test" in splits else None)
    rows = np.array([row for row, name in enumerate(splits) if wanted in {None, name}], np.int64)
    if not len(rows):
        raise DataError(
            f"{data} has no readable pictures in the split {wanted!r}.", "Name another with --split."
        )
    if wanted is None and seen.fingerprint(source) == info["data"]["fingerprint"]:
        told = "The run was trained on most of these pictures: the result is too good (split.csv says which)."
        emit(events.Warned(told))
    targets = targets_of(source, store, classes)
    task = tasks.from_info(info)
    _, scores = score(
        model,
        task,
        store.pixels,
        targets,
        rows,
        preprocess,
        precision=run.precision,
        device="cpu",
        tta=run.recipe.tta,
    )
    return scores


def predict(
    run: Run, paths: Sequence[str | Path], *, csv: str | Path | None = None, emit: Emit = events.ignore
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    """Say what pictures show. A folder stands for every picture in it that is not hidden.

    csv: also write ``file,label,probability`` there.
    Returns: predictions, and (file, reason) for each that could not be read.
    Raises DataError for a path that does not exist or a folder without pictures.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for impossible names
            raise DataError(f"{path} does not exist.", "Give pictures, or folders of pictures.")
        inside = [path]
        if path.is_dir():
            found = (p for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
            inside = sorted(p for p in found if not any_hidden(p.relative_to(path).as_posix()))
        if not inside:
            raise DataError(f"{path} holds no pictures.", "Give pictures, or folders of pictures.")
        files += inside
    predictions, unreadable = [], []
    for start in range(0, len(files), 64):
        readable, reasons = predict_batch(run, files[start : start + 64])
        predictions += readable
        unreadable += reasons
        emit(events.Working("predicting", min(len(files), start + 64), len(files)))
    if csv is not None:
        rows = [
            [p.file, str(p.label), "" if p.probability is None else f"{p.probability:.6f}"]
            for p in predictions
        ]
        write_csv(Path(csv), ["file", "label", "probability"], rows)
    return predictions, unreadable
