"""What each command does, as a function; the command line only parses and prints."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events
from striate.data import augment as augmentation
from striate.data import split as splitting
from striate.data.check import Check
from striate.data.check import check as look_at
from striate.data.duplicates import duplicate_groups
from striate.data.preprocess import Preprocess
from striate.data.sources import Source, open_source
from striate.data.store import Store, Survey, build, survey
from striate.errors import DataError, Diverged, Interrupted, RecipeError, RunError
from striate.files import write_text
from striate.runs import recipe as recipes
from striate.runs.folder import Run, new_folder
from striate.runs.load import load
from striate.runs.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.events import Choice, Emit
    from striate.runs.predict import Prediction
    from striate.training.metrics import Classified, Measured
    from striate.training.task import Classification, Regression

__all__ = ["check", "evaluate", "load", "predict", "train"]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A data set, decoded and split: what training and the check work on."""

    source: Source
    survey: Survey
    store: Store
    targets: NDArray[Any]  # (M,) class index, or number
    split: dict[str, NDArray[np.int64]]
    check: Check


def check(
    data: str | Path,
    *,
    task: str = "classification",
    val: float | None = None,
    test: float | None = None,
    group: str | None = None,
    seed: int = 0,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Check:
    """Look a data set over: counts, sizes, unreadable files, duplicates. Changes no file.

    Raises DataError where there is nothing to train on.
    """
    source = open_source(str(data), task=task, group=group, offline=offline, emit=emit)
    seen = survey(source, emit)
    small = Preprocess(channels=seen.channels, size=32, fit="squash", dtype=seen.dtype)
    return _pictures(source, seen, small, val=val, test=test, seed=seed, cache=False, emit=emit).check


def train(
    data: str | Path | None = None,
    *,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    offline: bool = False,
    trust: bool = False,
    emit: Emit = events.ignore,
    **settings: Any,
) -> Run:
    """Train a network on pictures and return the run.

    data: what ``Recipe.data`` says.   recipe: a recipe or its file, to repeat or vary.
    out: the run folder, which must be new or empty.   resume: a run folder to go on with.
    trust: allow a resumed run's model from outside striate.   settings: any field of the recipe; model may
    also be a function or a module.
    Raises StriateError for whatever a user can mend.

    >>> run = train("digits", epochs=1, out=getfixture("tmp_path") / "run")  # doctest: +SKIP
    """
    started = time.monotonic()
    given = {name: value for name, value in settings.items() if value is not None}
    own_model = given.pop("model") if not isinstance(given.get("model", ""), str) else None
    if resume is not None:
        if data is not None or recipe is not None or given or out is not None:
            raise RecipeError("--resume goes on with the run's own recipe and takes no other setting.", "Leave the other flags away, or start a new run.")
        return _resume(load(resume, trust=trust, model=own_model), own_model, started, offline, emit)
    asked = recipes.read(Path(recipe)) if isinstance(recipe, (str, Path)) else recipe or Recipe()
    if data is not None:
        given["data"] = str(data)
    if "minutes" in given or "epochs" in given:
        given.setdefault("steps", None)  # a recipe's number of steps gives way to a time or a count asked for now
    if "epochs" in given:
        given.setdefault("minutes", None)
    return _new(asked.replace(**given), own_model, started, None if out is None else Path(out), offline, emit)


def _new(
    asked: Recipe, own_model: Any, started: float, out: Path | None, offline: bool, emit: Emit
) -> Run:
    from striate.training import tune

    augmentation.parse(asked.augment or "off", flips=True, photos=True)  # a misspelt one is told at once
    source = open_source(asked.data, task=asked.task, group=asked.group, offline=offline, emit=emit)
    seen = survey(source, emit)
    facts = _facts(source, seen)
    name = _name_of(own_model)
    recipe, choices = tune.choose(asked if name is None else asked.replace(model=name), facts, own_model is not None)
    chosen = augmentation.parse(
        recipe.augment or "off", flips=not facts.signs, photos=facts.photos, grey=seen.channels == 1
    )
    recipe = recipe.replace(augment=str(chosen))
    for choice in choices:
        emit(choice)
    assert recipe.size is not None
    assert recipe.fit is not None
    preprocess = Preprocess(channels=seen.channels, size=recipe.size, fit=recipe.fit, dtype=seen.dtype)
    _fitting_model(own_model or recipe.model, source, recipe, preprocess)  # before the pictures are decoded
    pictures = _pictures(source, seen, preprocess, val=recipe.val, test=recipe.test, seed=recipe.seed, emit=emit)
    _tell(pictures.check, emit)
    preprocess = _statistics(preprocess, pictures)
    run = Run(new_folder(out, f"{_short(source.name)}-{_short(str(recipe.model))}"), trusted=True, given_model=own_model)
    write_text(run.path / "split.csv", _split_csv(pictures))
    return _train(run, recipe, pictures, preprocess, own_model, started, emit, choices=choices, resume=False)


def _resume(run: Run, own_model: Any, started: float, offline: bool, emit: Emit) -> Run:
    from striate.runs.load import preprocess_of

    info, recipe = run.info, run.recipe
    if info["status"] == "finished":
        emit(events.Note(f"{run.path} is already finished; nothing to do."))
        return run
    source = open_source(recipe.data, task=recipe.task, group=recipe.group, offline=offline, emit=emit)
    seen = survey(source, emit)
    if seen.fingerprint(source) != info["data"]["fingerprint"]:
        raise RunError(f"The data of {run.path}, {recipe.data}, have changed since it was started.", "Put the files back as they were, or start a new run.")
    preprocess = preprocess_of(run)
    pictures = _pictures(source, seen, preprocess, val=recipe.val, test=recipe.test, seed=recipe.seed, emit=emit)
    choices = [events.Choice(**choice) for choice in info["choices"]]
    emit(events.Note(f"Going on with {run.path}."))
    return _train(run, recipe, pictures, preprocess, own_model, started, emit, choices=choices, resume=True)


def _train(
    run: Run,
    recipe: Recipe,
    pictures: Pictures,
    preprocess: Preprocess,
    own_model: Any,
    started: float,
    emit: Emit,
    *,
    choices: list[Choice],
    resume: bool,
) -> Run:
    import torch

    from striate.training import optim, tune
    from striate.training.loop import Job, fit
    from striate.training.schedule import GROWTH, side
    from striate.training.task import for_training

    source, split = pictures.source, pictures.split
    device = torch.device(recipe.device)
    task = for_training(
        recipe.task,
        pictures.targets[split["train"]],
        source.classes,
        smoothing=recipe.label_smoothing or 0.0,
        balance=recipe.balance,
    )
    model = _fitting_model(own_model or recipe.model, source, recipe, preprocess)
    optim.initialise(model, recipe.init, recipe.seed)
    optim.drop_inputs_of_head(model, recipe.dropout)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw_weights = None
    if recipe.balance == "sampler" and recipe.task == "classification":
        counts = np.bincount(pictures.targets[split["train"]], minlength=len(source.classes))
        draw_weights = 1 / counts[pictures.targets[split["train"]]]
    augment = augmentation.parse(recipe.augment or "off", flips=True, photos=True)
    job = Job(model, task, pictures.store.pixels, pictures.targets, split, preprocess, augment, recipe, run, device, draw_weights)
    batches = job.batches()
    info: dict[str, Any] = {}
    budget = None
    if not resume:
        if recipe.steps is None and recipe.minutes is not None:
            sizes = sorted({side(preprocess.size, until - 1e-6, progressive=bool(recipe.progressive)) for until, _ in GROWTH})
            costs = tune.seconds_per_step(model, task, lambda size: batches.at(0, 0, size), recipe, sizes)
            ending = _seconds_to_end(costs[preprocess.size] / batches.batch, split)
            left = recipe.minutes * 60 - (time.monotonic() - started) - ending
            budget = tune.Budget(left, costs, preprocess.size, bool(recipe.progressive), emit)
            recipe = recipe.replace(steps=budget.steps)
            told = f"{recipe.minutes:g} minutes: {batches.batch / costs[preprocess.size]:.0f} pictures a second at {preprocess.size} pixels"
            choices.append(events.Choice("steps", f"{budget.steps} ({budget.steps / batches.steps:.1f} epochs)", told))
            emit(choices[-1])
        elif recipe.steps is None:
            assert recipe.epochs is not None
            recipe = recipe.replace(steps=recipe.epochs * batches.steps)
        job.recipe = recipe
        info = _info(run, recipe, pictures, preprocess, model, task, choices)
        _write(run, recipe, info)
    else:
        info = run.info
    spent = info["seconds"]
    try:
        kept = fit(job, emit, resume=resume and (run.path / "checkpoint" / "state.safetensors").exists(), budget=budget)
    except (Interrupted, Diverged) as error:
        info |= {"status": type(error).__name__.lower(), "seconds": spent + time.monotonic() - started}
        run.write_info(info)
        raise
    history = run.history
    if budget is not None and history:  # the number that the clock left
        recipe = recipe.replace(steps=history[-1]["step"])
        write_text(run.path / "recipe.toml", recipe.toml())
    _finish(run, job, kept, pictures, info, emit, spent, started)
    return run


def _finish(
    run: Run, job: Any, kept: Any, pictures: Pictures, info: dict[str, Any], emit: Emit, spent: float, started: float
) -> None:
    """Score each split with the kept weights, once; write run.json and the report."""
    from striate.report.story import tell
    from striate.training.baseline import plain_answers
    from striate.training.evaluate import evaluate as score

    split, recipe = pictures.split, job.recipe
    scores, answers = {}, {}
    for name in ("val", "test"):
        if name in split and len(split[name]):
            answers[name], scores[name] = score(
                kept, job.task, job.pixels, job.targets, split[name], job.preprocess,
                precision=str(recipe.precision), device=str(job.device),
            )  # fmt: skip
    history = run.history
    info["metrics"] = {name: scores[name].summary() for name in scores}
    if history:
        info["metrics"]["train"] = history[-1]["train"]
    headline = "test" if "test" in scores else "val" if "val" in scores else None
    plain = []
    if headline is not None:
        rows = split["train"], split[headline]
        plain = plain_answers(
            job.pixels[rows[0]], job.targets[rows[0]], job.pixels[rows[1]], job.targets[rows[1]],
            task=recipe.task, classes=pictures.source.classes, seed=recipe.seed,
        )  # fmt: skip
        info["plain_answers"] = [dataclasses.asdict(answer) for answer in plain]
    info |= {"status": "finished", "seconds": spent + time.monotonic() - started}
    names = [pictures.source.samples[i].name for i in pictures.store.rows]
    tell(job, info, names, scores, answers, plain)
    info["seconds"] = spent + time.monotonic() - started
    run.write_info(info)
    emit(events.Finished(str(run.path), info["metrics"], info["seconds"]))


def evaluate(
    run: Run,
    data: str | Path,
    *,
    split: str | None = None,
    group: str | None = None,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Classified | Measured:
    """Score a run on other pictures, prepared as its own were; classes are matched by name.

    split: which part of the data; by default its test split where it has one, else everything.
    Raises DataError for a class that the run does not know.
    """
    from striate.runs.load import preprocess_of
    from striate.training.evaluate import evaluate as score
    from striate.training.task import Classification, Regression

    info = run.info
    preprocess = preprocess_of(run)
    source = open_source(str(data), task=info["task"], group=group, offline=offline, emit=emit)
    unknown = sorted({str(s.target) for s in source.samples} - set(info["classes"])) if info["classes"] else []
    if unknown:
        raise DataError(f"{data} has classes that {run.path} does not know: {', '.join(unknown[:5])}.", f"Its classes: {', '.join(info['classes'][:12])}.")
    store = build(source, survey(source, emit), preprocess, emit=emit)
    for index, reason in sorted(store.unreadable.items()):
        emit(events.Warned(f"left out {source.samples[index].name}: {reason}"))
    named = [source.samples[i].split for i in store.rows]
    wanted = split or ("test" if "test" in named else None)
    rows = np.array([i for i, name in enumerate(named) if wanted in (None, name)], np.int64)
    if not len(rows):
        raise DataError(f"{data} has no pictures in the split {wanted!r}.", "Name another with --split.")
    task: Classification | Regression
    if info["task"] == "regression":
        task = Regression(info["target"]["mean"], info["target"]["std"])
    else:
        task = Classification(tuple(info["classes"]))
    targets = _targets(source, store, tuple(info["classes"]))
    _, scores = score(
        run.model, task, store.pixels, targets, rows, preprocess,
        precision=run.recipe.precision or "float32", device="cpu",
    )  # fmt: skip
    return scores


def predict(
    run: Run, paths: Sequence[str | Path], *, csv: str | Path | None = None, emit: Emit = events.ignore
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    """Say what pictures show. A folder stands for every picture in it.

    csv: also write ``file,label,probability`` there.
    Returns: predictions, and (file, reason) for each that could not be read.
    Raises DataError for a path that does not exist or a folder without pictures.
    """
    from striate.data.listing import PICTURES
    from striate.runs.predict import predict as say

    files: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file()) if path.is_dir() else [path]
        if not inside or not path.exists():
            raise DataError(f"{path} {'holds no pictures' if path.is_dir() else 'does not exist'}.", "Give pictures, or folders of pictures.")
        files += inside
    predictions, unreadable = [], []
    for done, start in enumerate(range(0, len(files), 64)):
        readable, reasons = say(run, files[start : start + 64])
        predictions += readable
        unreadable += reasons
        emit(events.Working("predicting", min(len(files), 64 * (done + 1)), len(files)))
    if csv is not None:
        write_text(Path(csv), _predictions_csv(predictions))
    return predictions, unreadable


def _predictions_csv(predictions: Sequence[Prediction]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "probability"])
    writer.writerows([p.file, p.label, "" if p.probability is None else f"{p.probability:.6f}"] for p in predictions)
    return text.getvalue()


def _pictures(
    source: Source,
    seen: Survey,
    preprocess: Preprocess,
    *,
    val: float | None,
    test: float | None,
    seed: int,
    emit: Emit,
    cache: bool = True,
) -> Pictures:
    """Decode, find duplicates, split and check."""
    store = build(source, seen, preprocess, cache=cache, emit=emit)
    samples = [source.samples[i] for i in store.rows]
    exact, near = duplicate_groups([seen.digests[i] for i in store.rows], store.thumbs)
    groups = splitting.join(len(samples), exact, near, splitting.grouped([s.group for s in samples]))
    targets = _targets(source, store, source.classes)
    parts = splitting.split(targets, [s.split for s in samples], groups, val=val, test=test, seed=seed)
    return Pictures(source, seen, store, targets, parts, look_at(source, seen, store, exact, near, parts))


def _targets(source: Source, store: Store, classes: tuple[str, ...]) -> NDArray[Any]:
    targets = [source.samples[i].target for i in store.rows]
    if not classes:
        return np.array(targets, np.float32)
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[str(name)] for name in targets], np.int64)


def _facts(source: Source, seen: Survey) -> Any:
    from striate.training.tune import Facts

    sizes = np.asarray(seen.sizes, float)
    training = sum(sample.split in (None, "train") for sample in source.samples)
    return Facts(
        pictures=training,
        short_side=float(np.median(sizes.min(1))),
        aspect=float(np.median(sizes.max(1) / sizes.min(1))),
        channels=seen.channels,
        classes=source.classes,
    )


def _fitting_model(model: Any, source: Source, recipe: Recipe, preprocess: Preprocess) -> Any:
    """Build the network from the run's seed and try it on one empty batch."""
    import torch
    from torch import nn

    from striate.data.batches import Batch
    from striate.models.registry import build as build_model
    from striate.training.step import try_out
    from striate.training.task import for_training

    task = for_training(recipe.task, np.zeros(1, np.int64), source.classes, smoothing=0.0, balance="none")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        built = (
            model
            if isinstance(model, nn.Module)
            else build_model(model, classes=task.outputs, channels=preprocess.channels, size=preprocess.size)
        )
        inputs = torch.zeros(2, preprocess.channels, preprocess.size, preprocess.size)
        try_out(built, task, Batch(inputs, torch.zeros(2), None, None, np.zeros(2, np.intp)))
    return built


def _statistics(preprocess: Preprocess, pictures: Pictures) -> Preprocess:
    """Measure scale, mean and deviation on the training pictures (at most 4,096 of them, evenly taken)."""
    rows = pictures.split["train"]
    rows = np.sort(rows)[:: max(1, len(rows) // 4096)]
    sample = np.asarray(pictures.store.pixels[rows], np.float32)
    channels = sample.shape[-1]
    low, high = (0.0,) * channels, (255.0,) * channels
    if preprocess.dtype != "uint8":
        low, high = (tuple(map(float, np.percentile(sample, q, axis=(0, 1, 2)))) for q in (0.1, 99.9))
        high = tuple(h if h > l else l + 1 for l, h in zip(low, high, strict=True))  # noqa: E741
    scaled = (sample - np.float32(low)) / (np.float32(high) - np.float32(low))
    mean, std = scaled.mean((0, 1, 2), np.float64), scaled.std((0, 1, 2), np.float64)
    return dataclasses.replace(
        preprocess,
        low=low,
        high=high,
        mean=tuple(mean.tolist()),
        std=tuple(np.where(std > 1e-6, std, 1.0).tolist()),
    )


def _info(
    run: Run,
    recipe: Recipe,
    pictures: Pictures,
    preprocess: Preprocess,
    model: Any,
    task: Classification | Regression,
    choices: Sequence[Choice],
) -> dict[str, Any]:
    import torch

    source = pictures.source
    return {
        "run": run.path.name,
        "status": "training",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": recipe.task,
        "model": recipe.model,
        "classes": list(source.classes),
        "target": None if recipe.task == "classification" else {"mean": task.mean, "std": task.std},  # type: ignore[union-attr]
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": 0.0,
        "metrics": {},
        "preprocess": preprocess.json(),
        "data": {
            "name": source.name,
            "kind": source.kind,
            "fingerprint": pictures.survey.fingerprint(source),
            "pictures": {name: len(rows) for name, rows in pictures.split.items()},
        },
        "choices": [dataclasses.asdict(choice) for choice in choices],
        "check": pictures.check.json(),
        "versions": {"python": platform.python_version()} | {n: metadata.version(n) for n in ("striate", "torch", "numpy", "pillow")},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": recipe.device,
            "instructions": torch.backends.cpu.get_cpu_capability(),
        },
    }


def _write(run: Run, recipe: Recipe, info: dict[str, Any]) -> None:
    write_text(run.path / "recipe.toml", recipe.toml())
    run.write_info(info)


def _seconds_to_end(seconds_per_picture: float, split: dict[str, NDArray[np.int64]]) -> float:
    """Time for the last evaluation (a third of a step a picture), the plain answers and the report."""
    held_out = sum(len(rows) for name, rows in split.items() if name != "train")
    return 10.0 + held_out * seconds_per_picture / 3 * 1.2


def _tell(found: Check, emit: Emit) -> None:
    for warning in found.warnings:
        emit(events.Warned(warning))


def _split_csv(pictures: Pictures) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split"])
    side_of = {int(row): name for name, rows in pictures.split.items() for row in rows}
    for row, index in enumerate(pictures.store.rows):
        sample = pictures.source.samples[index]
        writer.writerow([sample.name, sample.target, side_of.get(row, "")])
    return text.getvalue()


def _name_of(own_model: Any) -> str | None:
    if own_model is None:
        return None
    found = own_model if hasattr(own_model, "__qualname__") else type(own_model)
    return f"{found.__module__}:{found.__qualname__}"


def _short(name: str) -> str:
    """Make a piece of a folder's name."""
    stem = Path(name).name.split(".")[0] or "run"
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:40]


