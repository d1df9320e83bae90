"""Training from what was asked to a finished run: check, choose, split, fit, score, tell."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import platform
import shlex
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events
from striate.api.labelled import opened
from striate.api.start import begin, known_channels, rehearse, start_from
from striate.data import augment as augmentation
from striate.data.pictures import Pictures, measured, prepare
from striate.data.preprocess import Preprocess
from striate.data.sequence import Sequences, planned
from striate.data.store import survey
from striate.errors import Diverged, Interrupted, RecipeError, RunError
from striate.files import write_csv, write_json, write_text
from striate.runs import recipe as recipes
from striate.runs.folder import Run, check_free, new_folder
from striate.runs.load import load, preprocess_of
from striate.runs.recipe import SPEED, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from striate.data.augment import Augment
    from striate.data.sequence_augment import SequenceAugment
    from striate.data.sources import Source
    from striate.data.store import Survey
    from striate.events import Emit
    from striate.report.inside import Network
    from striate.stress.result import Robustness
    from striate.training.budget import Budget
    from striate.training.loop import Job


def train(
    data: str | Path | None = None,
    *,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    offline: bool = False,
    trust: bool = False,
    profile: bool = False,
    emit: Emit = events.ignore,
    **settings: Any,
) -> Run:
    """Train a network on pictures and return the run.

    data: what ``Recipe.data`` says.   recipe: a recipe, its file, or the name of one that comes with striate.
    out: the run folder, which must be new or empty.   resume: a run folder to go on with.
    trust: allow a resumed run's model from outside striate.
    profile: measure, after the training, where a step's time goes: profile.json in the run folder.
    settings: any field of the recipe; model may also be a function or a module.
    Raises StriateError for whatever a user can mend.
    """
    started = time.monotonic()
    given = {name: value for name, value in settings.items() if value is not None}
    own_model = None if isinstance(given.get("model", ""), str) else given.pop("model")
    if resume is not None:
        if data is not None or recipe is not None or given or out is not None:
            raise RecipeError(
                "--resume goes on with the run's own recipe and takes no other setting.",
                "Leave the other flags away, or start a new run.",
            )
        return _resume(load(resume, trust=trust, model=own_model), started, offline, emit, profile=profile)
    asked = whole(data, recipe, given)
    if isinstance(recipe, (str, Path)) and asked.threads is not None:
        _announce(Path(recipe).parent, emit)
    if asked.folds is not None and asked.fold is None:
        raise RecipeError(
            f"{asked.folds} folds are {asked.folds} runs, and this makes one.",
            f"Name one: --fold 1; or make all: --folds {asked.folds}, in Python striate.train_several.",
        )
    return _new(asked, own_model, started, None if out is None else Path(out), offline, emit, profile=profile)


def whole(data: str | Path | None, recipe: Recipe | str | Path | None, given: Mapping[str, Any]) -> Recipe:
    """Put together what was asked: the recipe, changed by what is given beside it. Raises RecipeError."""
    if "epochs" in given and "minutes" in given:
        raise RecipeError("--epochs and --minutes both say how long to train.", "Give one of them.")
    asked = recipes.named(recipe) if isinstance(recipe, (str, Path)) else recipe or Recipe()
    changes = dict(given) if data is None else dict(given) | {"data": str(data)}
    # What a recipe holds of the length gives way to the length that is asked for now.
    for longer, shorter in (("minutes", ("steps",)), ("epochs", ("steps", "minutes"))):
        if longer in given:
            changes = dict.fromkeys(shorter) | changes
    if given.get("tune", "off") != "off":  # what a recipe holds of the speed settings is measured anew
        changes = dict.fromkeys(SPEED) | changes
    return asked.replace(**changes)


def _new(
    asked: Recipe,
    own_model: Any,
    started: float,
    out: Path | None,
    offline: bool,
    emit: Emit,
    *,
    profile: bool,
) -> Run:
    """Check, choose, split: from what was asked to a run folder with a whole recipe, then train."""
    from striate.training import greedy, room
    from striate.training import task as tasks
    from striate.training.reconstruction import damage
    from striate.training.step import fitting_model

    # What is wrong with the settings is told before time is spent on the data.
    check_free(out)
    damage(asked.corrupt)
    if own_model is not None:
        asked = asked.replace(model=name_of(own_model))
    asked, start = start_from(asked, offline=offline, emit=emit)
    source = opened(asked, offline=offline, emit=emit)
    seen = survey(source, emit)
    if Path(asked.data).exists():  # a resumed or repeated run may be started from another folder
        asked = asked.replace(data=str(Path(asked.data).resolve()))
    known = None if start is None else start.preprocess
    preprocess: Preprocess | Sequences
    if source.modality == "pictures":
        recipe, choices, preprocess = _for_pictures(asked, source, seen, known, own_model, emit)
    else:
        recipe, choices, preprocess = _for_sequences(asked, source, seen, known)
    for choice in choices:
        emit(choice)
    # A model that does not fit says so before the pictures are decoded.
    given = recipe.model if own_model is None else own_model
    task = tasks.untrained(recipe.task, source.classes, preprocess)
    if isinstance(preprocess, Sequences):
        room.check(str(recipe.model), task, preprocess, batch=recipe.batch or 1, noun=source.noun)
    tried = fitting_model(given, task, preprocess, recipe.seed, small=recipe.stem == "small")
    rehearse(recipe, given, tried, start, preprocess, task.outputs)
    greedy.check(recipe, tried)
    pictures = _prepare(source, seen, preprocess, recipe, emit)
    for warning in pictures.check.warnings:
        emit(events.Warned(warning))
    if recipe.patience and not len(pictures.split.get("val", ())):
        raise RecipeError(
            "--patience needs validation pictures, and there are none.", "Leave --patience or --val 0 away."
        )
    if known is None or known.dtype != preprocess.dtype:
        preprocess = measured(preprocess, pictures.store.pixels, pictures.split["train"])
    if known is not None:
        preprocess = dataclasses.replace(preprocess, mean=known.mean, std=known.std)
    name = f"{piece(source.name)}-{piece(str(recipe.model))}"
    run = Run(new_folder(out, name), trusted=True, given_model=own_model)
    job = _job(run, recipe, pictures, preprocess)
    choices += _tune(job, started, emit)
    recipe = job.recipe
    choices += begin(job, start, pictures.source.classes, emit)
    choices += greedy.pretrain(job, emit)
    budget = None
    if job.begun is not None and recipe.freeze == "body" and str(job.augment) == "off":
        job.recipe = recipe.replace(steps=0)  # the head is already the best for features that do not change
    elif recipe.steps is None:
        if recipe.minutes is not None:
            budget, choice = _plan(job, recipe.minutes * 60 - (time.monotonic() - started), emit)
            choices.append(choice)
            emit(choice)
        assert recipe.epochs is not None or budget is not None
        job.recipe = recipe.replace(
            steps=budget.steps if budget else (recipe.epochs or 1) * job.batches().steps
        )
    info = _info(job, pictures, choices)
    write_csv(run.path / "split.csv", ["path", "label", "split"], pictures.split_table())
    write_text(run.path / "recipe.toml", job.recipe.toml())
    run.write_info(info)
    return _fit(job, pictures, info, started, emit, resume=False, budget=budget, profile=profile)


def _resume(run: Run, started: float, offline: bool, emit: Emit, *, profile: bool) -> Run:
    """Go on with an unfinished run, on the same data."""
    from striate.training import greedy

    info, recipe = run.info, run.recipe
    if info["status"] == "finished":
        emit(events.Note(f"{run.path} is already finished; nothing to do."))
        return run
    source = opened(recipe, offline=offline, emit=emit)
    seen = survey(source, emit)
    if seen.fingerprint(source) != info["data"]["fingerprint"]:
        raise RunError(
            f"The data of {run.path}, {recipe.data}, have changed since it was started.",
            "Put the files back as they were, or start a new run.",
        )
    preprocess = preprocess_of(run)
    pictures = _prepare(source, seen, preprocess, recipe, emit)
    for left in run.path.rglob(".*.tmp"):  # by a process that was killed while it wrote
        left.unlink(missing_ok=True)
    _announce(run.path, emit)
    if recipe.threads is None:  # a run from before they were a setting
        recipe = recipe.replace(threads=info["hardware"]["threads"])
    job = _job(run, recipe, pictures, preprocess)
    saved = (run.path / "checkpoint" / "state.safetensors").exists()
    begin(job, None if saved else start_from(recipe, offline=offline, emit=emit)[1], source.classes, emit)
    if not saved:
        greedy.pretrain(job, emit)
    emit(events.Note(f"Going on with {run.path}."))
    return _fit(job, pictures, info, started, emit, resume=True, profile=profile)


def _for_pictures(
    asked: Recipe, source: Source, seen: Survey, known: Any, own_model: Any, emit: Emit
) -> tuple[Recipe, list[events.Choice], Preprocess]:
    """Fill in the recipe for pictures, and say how they are prepared but for their mean and deviation."""
    from striate.training import defaults

    if asked.task == "next-step":
        raise RecipeError(
            "--task next-step is for sequences, and these are pictures.",
            "For codes without labels there is --task reconstruction.",
        )
    change = augmentation.parse(asked.augment or "off", flips=True, photos=True)
    if asked.task == "reconstruction" and (change.mixup or change.cutmix):
        raise RecipeError(
            "--augment: mixup and cutmix mix two labels, and a reconstruction has none.",
            "Leave them out; --corrupt damages what the network is shown.",
        )
    facts = defaults.Facts.of(source, seen)
    if known is None and facts.few:
        told = "or a run of your own, usually beats training from scratch"
        emit(events.Note(f"About {facts.a_class:.0f} pictures a class: --weights imagenet, {told}."))
    channels = seen.channels if known is None else known_channels(known, seen.channels)
    measure = _step_measure(source, channels, own_model)
    recipe, choices = defaults.choose(asked, facts, measure, known)
    assert recipe.size is not None
    assert recipe.fit is not None
    return (
        recipe,
        choices,
        dataclasses.replace(
            known or Preprocess(channels=channels, size=recipe.size),
            size=recipe.size,
            fit=recipe.fit,
            decode=recipe.decode,
            dtype=seen.dtype,
        ),
    )


def _for_sequences(
    asked: Recipe, source: Source, seen: Survey, known: Any
) -> tuple[Recipe, list[events.Choice], Sequences]:
    """Do for sequences what :func:`_for_pictures` does for pictures."""
    from striate.data.sequence_augment import parse
    from striate.training import sequence_defaults

    if known is not None and not isinstance(known, Sequences):
        raise RecipeError(
            "The weights are of a network for pictures, and these are none.", "Leave them away."
        )
    plan = known or planned(source, seen, length=asked.length, rate=asked.rate)
    steps = None if asked.length is None else round(asked.length * (plan.rate or 1))
    if known is not None and (asked.rate not in {None, plan.rate} or steps not in {None, plan.length}):
        raise RecipeError("--length and --rate are those of the weights.", "Leave them away.")
    parse(asked.augment or "off", plan.modality)
    recipe, choices = sequence_defaults.choose(asked, source, plan)
    return recipe, choices, plan


def _augment(recipe: Recipe, preprocess: Preprocess | Sequences) -> Augment | SequenceAugment:
    if isinstance(preprocess, Sequences):
        from striate.data.sequence_augment import parse

        return parse(recipe.augment or "off", preprocess.modality)
    return augmentation.parse(recipe.augment or "off", flips=True, photos=True)


def _prepare(
    source: Source, seen: Survey, preprocess: Preprocess | Sequences, recipe: Recipe, emit: Emit
) -> Pictures:
    """Decode and split as the recipe says: the same for a new run and for one that goes on."""
    return prepare(
        source,
        seen,
        preprocess,
        val=recipe.val,
        test=recipe.test,
        seed=recipe.seed,
        folds=recipe.folds,
        fold=recipe.fold,
        emit=emit,
    )


def _job(run: Run, recipe: Recipe, pictures: Pictures, preprocess: Preprocess | Sequences) -> Job:
    """Put together what the loop works on, the network with its first weights included."""
    import torch

    from striate.runs.start import about
    from striate.training import optim
    from striate.training import task as tasks
    from striate.training.loop import Job
    from striate.training.step import fitting_model

    train_targets = pictures.targets[pictures.split["train"]]
    task = tasks.for_training(recipe, train_targets, pictures.source.classes, preprocess)
    model = fitting_model(
        recipe.model if run.given_model is None else run.given_model,
        task,
        preprocess,
        recipe.seed,
        small=recipe.stem == "small",
    )
    optim.initialise(model, recipe.init, recipe.seed)
    optim.drop_inputs_of_head(model, recipe.dropout)
    device = torch.device(recipe.device)
    draw_weights = None
    if recipe.balance == "sampler" and recipe.task == "classification":
        draw_weights = 1 / np.bincount(train_targets)[train_targets]
    return Job(
        model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        task,
        pictures.store.pixels,
        pictures.targets,
        pictures.split,
        preprocess,
        _augment(recipe, preprocess),
        recipe,
        run,
        device,
        draw_weights,
        about(
            recipe.model, small=recipe.stem == "small", classes=pictures.source.classes, preprocess=preprocess
        ),
    )


def _tune(job: Job, started: float, emit: Emit) -> list[events.Choice]:
    """Fill the job's settings of speed by measuring, and tell what came out."""
    from striate.training.tune import tuned

    recipe, batches, steps, seconds = job.recipe, job.batches(), job.recipe.steps, None
    if steps is None and recipe.minutes is not None:
        seconds = recipe.minutes * 60 - (time.monotonic() - started)
    elif steps is None:
        steps = (recipe.epochs or 1) * batches.steps
    job.recipe, table, choices = tuned(
        job.model, job.task, batches.at(0, 0), recipe, steps=steps, seconds=seconds
    )
    for event in [] if table is None else [table, *choices]:
        emit(event)
    return choices


def _announce(run: Path, emit: Emit) -> None:
    """Say so where a run's settings of speed were chosen on another machine."""
    from striate.training import machine

    try:
        there = json.loads((run / "run.json").read_text(encoding="utf-8"))["machine"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if there != machine.describe():
        name = " ".join(f"{there.get(key, '')}" for key in ("processor", "instructions"))
        emit(
            events.Warned(
                f"The speed settings are another machine's ({name}, {there.get('cores')} cores), "
                "and are kept; in a new run --tune auto measures here."
            )
        )


def _plan(job: Job, seconds: float, emit: Emit) -> tuple[Budget, events.Choice]:
    """Measure the first steps and turn the time that is left into a number of steps."""
    from striate.training.budget import Budget, seconds_per_step

    recipe, batches, began = job.recipe, job.batches(), time.monotonic()
    cost = seconds_per_step(job.model, job.task, lambda: batches.at(0, 0), recipe)
    # The last evaluation costs a third of a step a picture; the plain answers and the report some seconds.
    held_out = sum(len(rows) for name, rows in job.split.items() if name != "train")
    ending = 10.0 + held_out * cost / batches.batch / 3 * 1.2
    budget = Budget(seconds - ending - (time.monotonic() - began), cost, emit)
    value = f"{budget.steps} ({budget.steps / batches.steps:.1f} epochs)"
    reason = f"what {recipe.minutes:g} min hold at {batches.batch / cost:.0f} pictures a second"
    return budget, events.Choice("steps", value, reason)


def _step_measure(source: Source, channels: int, own_model: Any) -> Callable[[Recipe, int], float]:
    """Make the function that measures a training step on empty pictures, before any is decoded."""

    def measure(recipe: Recipe, side: int) -> float:
        import torch

        from striate.data.batches import Batch
        from striate.training import task as tasks
        from striate.training.budget import seconds_per_step
        from striate.training.step import fitting_model

        task = tasks.untrained(recipe.task, source.classes, Preprocess(channels=channels, size=side))
        model = fitting_model(
            recipe.model if own_model is None else own_model,
            task,
            Preprocess(channels=channels, size=side),
            0,
            small=recipe.stem == "small",
        )
        count, device = recipe.batch or 1, torch.device(recipe.device)
        inputs = torch.zeros(count, channels, side, side, device=device)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        kind = torch.float32 if recipe.task == "regression" else torch.int64
        targets = torch.zeros(count, device=device, dtype=kind)
        batch = Batch(inputs, targets, None, None, np.zeros(count, np.intp))
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return seconds_per_step(model, task, lambda: batch, recipe)

    return measure


def _fit(
    job: Job,
    pictures: Pictures,
    info: dict[str, Any],
    started: float,
    emit: Emit,
    *,
    resume: bool,
    profile: bool,
    budget: Budget | None = None,
) -> Run:
    """Train, then score each split with the kept weights, once, and tell the story."""
    from striate.training.loop import fit

    run, before = job.run, info["seconds"]

    def spent() -> float:
        return float(before + time.monotonic() - started)

    try:
        kept = fit(job, emit, resume=resume, budget=budget)
    except (Interrupted, Diverged) as error:
        run.write_info(info | {"status": type(error).__name__.lower(), "seconds": spent()})
        raise
    # Where the clock changed the number of steps, the recipe says the last one.
    write_text(run.path / "recipe.toml", job.recipe.toml())
    if profile:
        _profile(job, emit)
    try:
        info = _score(job, kept, pictures, info | {"status": "finished", "seconds": spent()}, emit)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped before the report was written; the network is saved in {run.path}.",
            f"Go on with: striate train --resume {shlex.quote(str(run.path))}",
        ) from None
    run.write_info(info | {"seconds": spent()})  # last: finished means that everything is there
    emit(events.Finished(str(run.path), run.metrics, spent()))
    return run


def _profile(job: Job, emit: Emit) -> None:
    """Measure where a step's time goes, once the training is over and nothing can be slowed by it."""
    from striate.training.profile import profile

    found = profile(job).json()
    write_json(job.run.path / "profile.json", found)
    emit(events.Profiled(found))


def _score(job: Job, kept: nn.Module, pictures: Pictures, info: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Look at validation and test, once, and write the report; return what run.json says with the figures."""
    from striate.api.codes import rebuilding
    from striate.report.gather import tell
    from striate.training.baseline import plain_answers
    from striate.training.evaluate import evaluate as score

    split, recipe = job.split, job.recipe
    scores, answers = {}, {}
    for name in ("test", "val"):
        if len(split.get(name, ())):
            answers[name], scores[name] = score(
                kept,
                job.task,
                job.pixels,
                job.targets,
                split[name],
                job.preprocess,
                precision=job.precision,
                device=str(job.device),
                tta=recipe.tta,
            )
    info["metrics"] = {name: scores[name].summary() for name in scores} | {
        "train": job.run.history[-1]["train"]
    }
    headline = next(iter(scores), None)
    plain = []
    looked = recipe.task in {"classification", "regression"}
    if headline is not None:
        plain = plain_answers(
            job.pixels,
            job.targets,
            split["train"],
            split[headline],
            task=job.task,
            preprocess=job.preprocess,
            seed=recipe.seed,
        )
    codes, rebuilt = rebuilding(job, kept, pictures.names, pictures.source.classes, headline, answers)
    plain = plain or codes
    info["plain_answers"] = [dataclasses.asdict(answer) for answer in plain]
    inside = _inside(job, kept, pictures, headline, answers, emit) if looked else None
    outline = _outline(job, kept, headline) if looked else None
    tell(job, info, pictures.names, scores, answers, plain, inside, outline, rebuilt)
    return info


def _inside(
    job: Job,
    kept: nn.Module,
    pictures: Pictures,
    headline: str | None,
    answers: Mapping[str, NDArray[Any]],
    emit: Emit,
) -> Network | None:
    """Look at the first kernels and the worst mistakes, where a network lets itself be looked into."""
    from striate.api.inside import inside

    if headline is None:
        return None
    model = kept if job.device.type == "cpu" else copy.deepcopy(kept).cpu()
    try:
        return inside(
            model,
            job.preprocess,
            job.pixels,
            job.targets,
            job.split[headline],
            answers[headline],
            pictures.names,
            pictures.source.classes,
        )
    except Exception as error:  # noqa: BLE001 - what a foreign network does must not cost its training
        emit(
            events.Warned(f"The report does not look into the network: {' '.join(str(error).split())[:200]}")
        )
        return None


def _outline(job: Job, kept: nn.Module, headline: str | None) -> Robustness | None:
    """Measure what shift and occlusion cost, where there are classes and pictures that were held back."""
    from striate.api.stress import outline

    if headline is None or job.recipe.task != "classification":
        return None
    return outline(
        kept,
        job.preprocess,
        job.pixels,
        job.targets,
        job.split[headline],
        precision=job.precision,
        device=str(job.device),
        tta=job.recipe.tta,
        seed=job.recipe.seed,
    )


def _info(job: Job, pictures: Pictures, choices: Sequence[events.Choice]) -> dict[str, Any]:
    """Gather what run.json says from the start."""
    import torch

    from striate.training import machine

    source = pictures.source
    return {
        "run": job.run.path.name,
        "status": "training",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": job.recipe.task,
        "model": job.recipe.model,
        "classes": list(source.classes),
        "target": job.task.scale,
        "parameters": sum(p.numel() for p in job.model.parameters()),
        "seconds": 0.0,
        "metrics": {},
        "preprocess": job.preprocess.json(),
        "data": {
            "name": source.name,
            "kind": source.kind,
            "modality": source.modality,
            "noun": source.noun,
            "fingerprint": pictures.survey.fingerprint(source),
            "pictures": {name: len(rows) for name, rows in pictures.split.items()},
        },
        "choices": [dataclasses.asdict(choice) for choice in choices],
        "check": pictures.check.json(),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("striate", "torch", "numpy", "pillow")},
        "machine": machine.describe(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": job.recipe.device,
            "instructions": torch.backends.cpu.get_cpu_capability(),
        },
    }


def name_of(own_model: Any) -> str:
    """Name a function or module as ``--model`` takes it."""
    found = own_model if hasattr(own_model, "__qualname__") else type(own_model)
    return f"{found.__module__}:{found.__qualname__}"


def piece(name: str) -> str:
    """Make a piece of a folder's name."""
    stem = Path(name).name.split(".")[0] or "run"
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:40]
