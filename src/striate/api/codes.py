"""What a reconstruction and its codes are shown by: samples beside what came back, and the codes as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import explain
from striate.report.inside.contents import Points
from striate.report.rebuilt import SAMPLES, Rebuilding, Strip
from striate.training import codes as coding
from striate.training.reconstruction import Reconstruction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from striate.training.baseline import Answer
    from striate.training.loop import Job

MAPPED = 1500  # codes on a map: t-SNE takes seconds for them
NAMED = 12  # classes that are named in the map itself


def maps(codes: NDArray[Any], labels: Sequence[str], seed: int = 0) -> list[Points]:
    """Lay codes (M, K) out flat: themselves where K is 2, else by PCA and by t-SNE.

    labels: one a code, or none.
    """
    rows = _evenly(len(codes), MAPPED)
    names = sorted(set(labels))
    place = {name: i for i, name in enumerate(names)}
    groups = np.array([place[labels[row]] for row in rows] if names else [0] * len(rows))
    values = torch.from_numpy(np.ascontiguousarray(codes[rows], np.float32))
    few = len(names) <= NAMED

    def drawn(title: str, places: NDArray[Any]) -> Points:
        return Points(title, places, groups, names or ["unlabelled"], labelled=bool(names) and few)

    if codes.shape[1] == 2:
        return [drawn("the two numbers of the code", values.numpy())]
    flat = drawn("the codes' two principal components", explain.flattened(values, "pca", seed))
    if len(rows) < 5:
        return [flat]
    return [flat, drawn("t-SNE: who is near whom", explain.flattened(values, "tsne", seed))]


def rebuilding(
    job: Job,
    kept: nn.Module,
    names: Sequence[str],
    classes: Sequence[str],
    headline: str | None,
    answers: Mapping[str, NDArray[Any]],
) -> tuple[list[Answer], Rebuilding | None]:
    """Give what the report of a reconstruction shows: plain answers, samples and the map of codes."""
    task = job.task
    if headline is None or not isinstance(task, Reconstruction):
        return [], None
    rows, shape = job.split[headline], job.preprocess.shape
    encoder = coding.encoder_of(kept)
    size = None if encoder is None else coding.size_of(encoder, shape)
    truths = task.truths(job.pixels, job.targets, rows, job.preprocess)
    plain, said = coding.plain_codes(
        job.pixels, job.split["train"], truths, task=task, preprocess=job.preprocess, size=size
    )
    found: list[Points] = []
    if encoder is not None:
        some = rows[_evenly(len(rows), MAPPED)]
        codes = coding.codes(encoder, job.pixels, some, job.preprocess, str(job.device))
        labels = [classes[job.targets[row]] for row in some] if classes else []
        found = maps(codes, labels, job.recipe.seed)
    shown = rows_shown(len(rows))
    ways = [("the network", answers[headline])] + ([(f"PCA of {size}", said)] if said is not None else [])
    return plain, Rebuilding(
        strips_of(truths[shown], [(name, values[shown]) for name, values in ways]),
        [names[row] for row in rows[shown]],
        size,
        found,
    )


def strips_of(truths: NDArray[Any], ways: Sequence[tuple[str, NDArray[Any]]]) -> list[Strip]:
    """Lay originals (N, ...) over what came back in each way, with the error of each."""
    found = [Strip("original", truths)]
    for name, values in ways:
        off = np.square(np.nan_to_num(values - truths)).reshape(len(values), -1).sum(1)
        found.append(Strip(name, values, off.tolist()))
    return found


def rows_shown(count: int) -> NDArray[np.intp]:
    """Choose the samples that are shown, evenly taken: files are sorted by their labels."""
    return _evenly(count, SAMPLES)


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
