"""Beginning from weights: what was asked is held against what they are, then the network takes them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import events
from striate.errors import RecipeError
from striate.models import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.events import Emit
    from striate.runs.recipe import Recipe
    from striate.runs.start import Start
    from striate.training.loop import Job

PREPARED = 5000 * 32 * 32  # pixels that are enough to know how neighbours go together


def start_from(asked: Recipe, *, offline: bool, emit: Emit) -> tuple[Recipe, Start | None]:
    """Read the weights that a recipe names; return it with what they decide: network, stem, full path.

    Raises RecipeError for settings that contradict each other, RunError for what are no weights.
    """
    from striate.runs import start as starts

    if asked.weights is None:
        if asked.freeze is not None:
            raise RecipeError(
                "--freeze keeps starting weights, and there are none.",
                "Give --weights FILE, a run or imagenet.",
            )
        if asked.steps == 0:
            raise RecipeError("--steps 0 trains nothing.", "Give at least 1.")
        return asked, None
    if asked.init != "default":
        raise RecipeError("--init and --weights both say what the first weights are.", "Give one of them.")
    start = starts.find(asked.weights, asked.model, offline=offline, emit=emit)
    model = asked.model or start.model
    if model is None:
        raise RecipeError(f"{start.path} does not say of which network it is.", "Name it with --model.")
    if asked.model is None and not registry.is_ours(model):
        raise RecipeError(
            f"The weights are of {model}, code from outside striate.", "If you trust it: --model " + model
        )
    where = asked.weights if asked.weights == "imagenet" else str(Path(asked.weights).resolve())
    stem = asked.stem or ("small" if start.small else "standard")
    return asked.replace(weights=where, model=model, stem=stem), start


def known_channels(known: Preprocess, channels: int) -> int:
    """Give the channels that the weights take. Raises RecipeError for pictures that cannot be made so."""
    if channels != known.channels and not {channels, known.channels} <= {1, 3}:
        raise RecipeError(
            f"The weights take pictures of {known.channels} channels. Received: {channels}.",
            "Train without --weights, or on grey or colour pictures.",
        )
    return known.channels


def rehearse(
    recipe: Recipe,
    given: Any,
    model: nn.Module,
    start: Start | None,
    preprocess: Preprocess | Sequences,
    outputs: int,
) -> None:
    """Try on a network that is thrown away what :func:`begin` will do, before time is spent on the data.

    Raises RunError for weights that do not fit, ModelError for a layer to freeze that is not there.
    """
    import torch

    from striate.runs import start as starts
    from striate.training import transfer

    if start is None:
        return
    head = _head(recipe, given, model, preprocess, outputs)
    starts.take(model, start, head, name=str(recipe.model), classes=())
    if recipe.freeze is not None:
        inputs = torch.zeros(2, *preprocess.shape)
        transfer.freeze(model, recipe.freeze, head, inputs)


def begin(job: Job, start: Start | None, classes: Sequence[str], emit: Emit) -> list[events.Choice]:
    """Give a network its starting weights, fit its new head, and fix what is to stay.

    start: None where a checkpoint has the weights.   Returns what there is to tell.
    """
    from striate.data.batches import plain
    from striate.runs import start as starts
    from striate.training import transfer

    recipe, told = job.recipe, []
    if recipe.weights is None:
        _prepare(job)
        return []
    given = recipe.model if job.run.given_model is None else job.run.given_model
    head = _head(recipe, given, job.model, job.preprocess, job.task.outputs)
    if start is not None:
        began = time.monotonic()
        new = starts.take(job.model, start, head, name=str(recipe.model), classes=classes)
        if new or recipe.freeze == transfer.BODY:
            emit(events.Note("Fitting the new head on the features of the starting weights."))
            job.begun = transfer.fit_head(
                job.model,
                head,
                job.task,
                job.pixels,
                job.targets,
                job.split["train"],
                job.split.get("val", job.split["train"][:0]),
                job.preprocess,
                precision=job.precision,
                device=job.device,
            )
        if job.begun is not None:
            seconds = time.monotonic() - began
            why = f"on the features of {job.begun.seen:,} pictures, in {seconds:.0f} s"
        else:
            why = "learns with the rest" if new else "the classes are those of the weights"
        what = "new" if new else "kept" if job.begun is None else "fitted anew"
        told = [events.Choice("head", what, why)]
        emit(told[0])
    if recipe.freeze is not None:
        inputs = next(plain(job.pixels, job.split["train"][:2], job.preprocess, 2, job.device))
        transfer.freeze(job.model, recipe.freeze, head, inputs)
        if job.begun is None:
            trained = sum(p.numel() for p in job.model.parameters() if p.requires_grad)
            emit(events.Note(f"--freeze {recipe.freeze}: {trained:,} parameters learn."))
    return told


def _prepare(job: Job) -> None:
    """Let a network that has a method `prepare` see some training pictures before the first step."""
    from striate.data.batches import plain

    prepare = getattr(job.model, "prepare", None)
    if prepare is None:
        return
    rows = job.split["train"]
    apart = max(1, len(rows) * math.prod(job.preprocess.shape[1:]) // PREPARED)
    some = rows[::apart]  # of all classes: files are sorted by them
    prepare(next(plain(job.pixels, some, job.preprocess, len(some), job.device)))


def _head(
    recipe: Recipe, given: Any, model: nn.Module, preprocess: Preprocess | Sequences, outputs: int
) -> frozenset[str]:
    from striate.runs.load import offered
    from striate.runs.start import head_of

    small = recipe.stem == "small"
    return head_of(given, model, outputs, small=small, **offered(preprocess))
