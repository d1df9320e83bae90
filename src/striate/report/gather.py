"""Gather what the report tells of a finished run: its figures, worst mistakes and augmented samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data.batches import Batches
from striate.data.preprocess import Preprocess
from striate.report.contents import Shown, Story
from striate.report.page import write
from striate.report.series import Along, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from striate.data.sequence import Sequences
    from striate.report.inside.contents import Network
    from striate.report.rebuilt import Rebuilding
    from striate.stress.result import Robustness
    from striate.training.baseline import Answer
    from striate.training.loop import Job
    from striate.training.task import Scores

MISTAKES, SAMPLES, VERSIONS = 24, 5, 5


def tell(
    job: Job,
    info: Mapping[str, Any],
    names: Sequence[str],
    scores: Mapping[str, Scores],
    answers: Mapping[str, NDArray[Any]],
    plain: Sequence[Answer],
    inside: Network | None = None,
    stress: Robustness | None = None,
    rebuilt: Rebuilding | None = None,
) -> None:
    """Write report.html into the job's run folder.

    names: of every row of the pixels.   scores, answers: of "test" and "val", the headline first.
    inside: its kernels and explained mistakes.   stress: what shift and occlusion cost.
    """
    headline = next(iter(scores), None)
    rows = job.split[headline] if headline else np.zeros(0, np.int64)
    numbers = headline is not None and info["task"] == "regression"
    labelled = info["task"] in {"classification", "regression"}
    story = Story(
        run=dict(info) | {"run": str(job.run.path)},
        recipe=job.recipe.toml(),
        history=job.run.history,
        choices=[(choice["name"], choice["value"], choice["reason"]) for choice in info["choices"]],
        check=info["check"],
        scores=dict(scores),
        answers=list(plain),
        mistakes=_mistakes(job, info, names, rows, answers[headline]) if headline and labelled else [],
        augmented=_augmented(job, info["classes"]) if labelled else [],
        predicted=answers[headline] if headline and numbers else None,
        true=job.targets[rows] if numbers else None,
        inside=inside,
        stress=stress,
        rebuilt=rebuilt,
    )
    write(job.run.path / "report.html", story)


def _mistakes(
    job: Job, info: Mapping[str, Any], names: Sequence[str], rows: NDArray[np.int64], answers: NDArray[Any]
) -> list[Shown]:
    """The wrong answers that the network was surest of; for numbers, those farthest off."""
    targets = job.targets[rows]
    if info["task"] == "regression":
        order = np.argsort(-np.abs(answers - targets), kind="stable")[:MISTAKES]
        captions = [f"{targets[i]:.4g}, called {answers[i]:.4g}" for i in order]
        details = [names[rows[i]] for i in order]
    else:
        said, sure, classes = answers.argmax(1), answers.max(1), info["classes"]
        wrong = np.flatnonzero(said != targets)
        order = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
        captions = [f"{classes[targets[i]]}, called {classes[said[i]]}" for i in order]
        details = [f"{100 * sure[i]:.0f} % sure · {names[rows[i]]}" for i in order]
    shown = (small(job.pixels[rows[i]], job.preprocess, names[rows[i]]) for i in order)
    return [Shown(*parts) for parts in zip(shown, captions, details, strict=True)]


def _augmented(job: Job, classes: Sequence[str]) -> list[tuple[Shown, list[Shown]]]:
    """A few training pictures, each as stored and as some epochs would see it."""
    preprocess = job.preprocess
    if str(job.augment) == "off":
        return []
    rows = np.sort(job.split["train"])
    rows = rows[:: max(1, len(rows) // SAMPLES)][:SAMPLES]
    batches = Batches(
        job.pixels,
        job.targets,
        rows,
        job.preprocess,
        batch=len(rows),
        seed=job.recipe.seed,
        augment=job.augment,
    )

    def label(row: int) -> str:
        target = job.targets[row]
        return classes[target] if classes else f"{target:.4g}"

    def seen(inputs: NDArray[Any]) -> NDArray[np.uint8] | str:
        if isinstance(preprocess, Preprocess):
            return visible(raw(inputs, preprocess), preprocess)
        return plain(inputs, preprocess, "as one epoch has it")

    versions: dict[int, list[Shown]] = {int(row): [] for row in rows}
    for epoch in range(VERSIONS):
        batch = batches.at(epoch, 0)
        for row, inputs in zip(batch.index, batch.inputs.numpy(), strict=True):
            versions[int(row)].append(Shown(seen(inputs), ""))
    return [
        (Shown(small(job.pixels[row], preprocess, label(row)), label(row)), versions[int(row)])
        for row in rows
    ]


def pictured(stored: NDArray[Any], preprocess: Preprocess | Sequences) -> NDArray[np.uint8] | Along:
    """Make what is stored of a picture or sequence what a page draws."""
    if isinstance(preprocess, Preprocess):
        return visible(stored, preprocess)
    return Along(preprocess.tensor(torch.from_numpy(stored.T[None]))[0].numpy(), preprocess)


def small(stored: NDArray[Any], preprocess: Preprocess | Sequences, name: str) -> NDArray[np.uint8] | str:
    """Make what is stored of a picture or sequence what :class:`Shown` takes. name: said for the blind."""
    found = pictured(stored, preprocess)
    return plain(*found, name) if isinstance(found, Along) else found


def raw(inputs: NDArray[Any], preprocess: Preprocess) -> NDArray[Any]:
    """Undo the normalisation: (C, H, W) -> (H, W, C) in the files' own values."""
    given = (preprocess.low, preprocess.high, preprocess.mean, preprocess.std)
    low, high, mean, std = (np.array(values, np.float32) for values in given)
    return np.asarray((inputs.transpose(1, 2, 0) * std + mean) * (high - low) + low)


def visible(picture: NDArray[Any], preprocess: Preprocess) -> NDArray[np.uint8]:
    """Make any picture (H, W, C) one that a screen can show: 8 bits, grey or the first three channels."""
    low, high = np.array(preprocess.low, np.float32), np.array(preprocess.high, np.float32)
    scaled = (np.nan_to_num(picture.astype(np.float32)) - low) / (high - low) * 255
    shown = scaled[:, :, : 3 if scaled.shape[2] >= 3 else 1]
    return np.asarray(np.rint(shown.clip(0, 255)), np.uint8)
