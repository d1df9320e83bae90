"""Using a trained run: on single pictures, and on a labelled data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from striate import events
from striate.api.labelled import labelled
from striate.data.folders import PICTURES
from striate.data.given import files_in
from striate.data.listing import any_hidden
from striate.data.sequence import Sequences
from striate.errors import DataError, RunError
from striate.files import write_csv
from striate.runs.load import preprocess_of
from striate.runs.predict import predict as predict_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.runs.predict import Prediction
    from striate.training.task import Scores


def evaluate(
    run: Run,
    data: str | Path,
    *,
    split: str | None = None,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Scores:
    """Score a run on other pictures or sequences, prepared as its own were; classes are matched by name.

    split: which part of the data; by default its test split where it has one, else everything.
    Raises DataError for a class that the run does not know.
    """
    from striate.training import task as tasks
    from striate.training.evaluate import evaluate as score

    model = run.model  # a damaged one is told before the pictures are read
    found = labelled(run, data, split=split, offline=offline, emit=emit)
    task = tasks.from_info(run.info)
    _, scores = score(
        model,
        task,
        found.pixels,
        found.targets,
        found.rows,
        preprocess_of(run),
        precision=run.precision,
        device="cpu",
        tta=run.recipe.tta,
    )
    return scores


def predict(
    run: Run, paths: Sequence[str | Path], *, csv: str | Path | None = None, emit: Emit = events.ignore
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    """Say what pictures or sequences are. A folder stands for every one in it that is not hidden; a text or
    table for every sequence that it holds.

    csv: also write ``file,label,probability`` there.
    Returns: predictions, and (file, reason) for each that could not be read.
    Raises DataError for a path that does not exist or a folder without any; RunError for a run whose answer
    is no class and no number.
    """
    answered(run)
    files = inputs_in(run, paths)
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


def answered(run: Run) -> None:
    """Refuse a run that answers neither with a class nor with a number. Raises RunError."""
    task = run.info["task"]
    if task not in {"classification", "regression"}:
        also = "; striate reconstruct RUN DATA shows what it gives back" if task == "reconstruction" else ""
        raise RunError(
            f"{run.path} answers with no class or number: its task is {task}.",
            f"striate evaluate RUN DATA measures it{also}.",
        )


def inputs_in(run: Run, paths: Sequence[str | Path]) -> list[Path]:
    """List the files of the kind that a run takes; a folder stands for every one in it that is not hidden.

    Raises DataError for a path that does not exist or a folder without any.
    """
    preprocess = preprocess_of(run)
    if isinstance(preprocess, Sequences):
        return files_in(paths, preprocess.modality)
    return pictures_in(paths)


def pictures_in(paths: Sequence[str | Path]) -> list[Path]:
    """List picture files; a folder stands for every picture in it that is not hidden.

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
    return files
