"""What comes back of samples from their codes, beside what principal components of the same number give."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import events
from striate.api.codes import rows_shown, strips_of
from striate.api.given import given
from striate.api.inside import fitting
from striate.api.labelled import labelled
from striate.data.batches import plain
from striate.errors import RunError, StriateError
from striate.runs.forward import answered
from striate.runs.load import preprocess_of
from striate.training import codes as coding
from striate.training.reconstruction import Reconstruction, damage
from striate.training.step import drawing
from striate.training.task import from_info

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.api.given import Given
    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.events import Emit
    from striate.report.rebuilt import Strip
    from striate.runs.folder import Run
    from striate.training.codes import Components
    from striate.training.metrics import Rebuilt

NETWORK, SHOWN = "the network", "as it was shown"


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """How near each way comes to the clean samples, and some of them to look at.

    scores: by way: the network's, of what it was shown where that was damaged, of principal components.
    code: numbers in a code, None for a network without an encoder.   corrupt: how the samples were damaged.
    """

    run: Path
    data: str
    noun: str
    scores: dict[str, Rebuilt]
    code: int | None = None
    corrupt: str = "off"
    strips: list[Strip] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    page: Path | None = None

    def json(self) -> dict[str, Any]:
        """Give the object of ``reconstruct --json``."""
        return {
            "run": str(self.run),
            "data": self.data,
            "code": self.code,
            "corrupt": self.corrupt,
            "scores": {way: score.json() for way, score in self.scores.items()},
            "page": None if self.page is None else str(self.page),
        }


def reconstruct(
    run: Run,
    data: str | Path,
    *,
    split: str | None = None,
    corrupt: str = "off",
    html: str | Path | None = None,
    seed: int = 0,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Reconstructed:
    """Send every sample of a data set through an autoencoder and measure what comes back.

    data: whatever ``train`` takes; labels are ignored.   split: only train, val or test.
    corrupt: damage what the network is shown, as the recipe's setting says; it is held against the clean one.
    html: a page with samples.   seed: of the damage.   The errors are squares summed over a sample's values,
    of pictures in 0..1 (Hinton and Salakhutdinov 2006).
    Principal components are fitted on the run's own clean training data, and left out where those are gone.
    Raises RunError for a run that does not reconstruct, RecipeError for an impossible damage.
    """
    task = _task(run, corrupt)
    encoder, preprocess = coding.encoder_of(run.model), preprocess_of(run)
    size = None if encoder is None else coding.size_of(encoder, preprocess.shape)
    found = given(run, data, split=split, offline=offline, emit=emit)
    zeros = np.zeros(len(found.pixels), np.float32)
    truths = task.truths(found.pixels, zeros, found.rows, preprocess)
    said, shown = _through(run, task, found, preprocess, seed, emit)
    ways = {NETWORK: said} | ({SHOWN: shown} if corrupt != "off" else {})
    if size is not None and (fitted := _components(run, size, task, preprocess, offline, emit)):
        ways[f"PCA of {size} numbers"] = fitted.rebuilt(shown)
    some = rows_shown(len(truths))
    order = sorted(ways, key=lambda way: way != SHOWN)  # what was shown comes before what was made of it
    reconstructed = Reconstructed(
        run.path,
        found.name,
        found.noun,
        {way: task.score(values, truths) for way, values in ways.items()},
        size,
        corrupt,
        strips_of(truths[some], [(way, ways[way][some]) for way in order]),
        [found.names[row] for row in found.rows[some]],
        None if html is None else Path(html),
    )
    if html is not None:
        from striate.report import reconstruct as page

        page.write(
            Path(html), reconstructed.json(), found.noun, reconstructed.strips, reconstructed.names, run.info
        )
    return reconstructed


def _task(run: Run, corrupt: str) -> Reconstruction:
    """Give the run's task with this damage in place of that of its training."""
    damages = damage(corrupt)
    task = from_info(run.info)
    if not isinstance(task, Reconstruction):
        raise RunError(
            f"{run.path} was trained for {run.info['task']}: it does not give its input back.",
            "Train one with --task reconstruction; striate encode takes any run.",
        )
    return dataclasses.replace(task, noise=damages.get("noise", 0.0), mask=damages.get("mask", 0.0))


def _through(
    run: Run, task: Reconstruction, found: Given, preprocess: Preprocess | Sequences, seed: int, emit: Emit
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give what the network says of each sample and what it was shown, both as values (N, ...)."""
    said, shown, size = [], [], fitting(preprocess)
    model = run.model.eval()
    for number, inputs in enumerate(plain(found.pixels, found.rows, preprocess, size)):
        with torch.inference_mode(), drawing(seed, number):
            seen = task.damaged(inputs)
            said.append(task.answers(answered(model, seen, precision=run.precision)).numpy())
            shown.append(task.values(seen).numpy())
        emit(
            events.Working(
                "reconstructing", min(len(found.rows), (number + 1) * size), len(found.rows), found.noun
            )
        )
    return np.concatenate(said), np.concatenate(shown)


def _components(
    run: Run, size: int, task: Reconstruction, preprocess: Preprocess | Sequences, offline: bool, emit: Emit
) -> Components | None:
    """Fit principal components on what the run was trained on; None, and a warning, where that is gone."""
    try:
        own = labelled(run, offline=offline, emit=emit)
    except StriateError as error:
        emit(events.Warned(f"No PCA is shown beside it: {error.message}"))
        return None
    rows = coding.learnt_on(own.parts.get("train", own.rows), preprocess.shape)
    return coding.components(task.truths(own.pixels, own.targets, rows, preprocess), size)
