"""The same training several times: with other seeds, or with each part of the pictures as the test once.

The folder holds a run folder a time (seed-0, fold-1 and so on), recipe.toml (what was asked) and several.json
(what came out: each run's figures and their spread); after folds also predictions.csv, suspects.csv and
suspects.html. Whatever cuts it off, the same command, or ``resume``, goes on where it stopped.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events
from striate.api import fit
from striate.api.labelled import opened
from striate.data.pictures import targets_of
from striate.data.store import build, survey
from striate.errors import Interrupted, RecipeError, RunError
from striate.files import write_csv, write_json, write_text
from striate.runs import recipe as recipes
from striate.runs.folder import Run, new_folder
from striate.runs.load import model_of, preprocess_of
from striate.training.metrics import Classified, Measured
from striate.training.several import Suspects, outliers, spread, suspects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.data.sources import Source
    from striate.data.store import Store
    from striate.events import Emit, Event
    from striate.runs.recipe import Recipe

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Several:
    """Finished runs that belong together, and the folder that holds them."""

    path: Path
    runs: tuple[Run, ...]

    @property
    def info(self) -> dict[str, Any]:
        """What came out: several.json. Raises RunError where it is missing or damaged."""
        return _read(self.path)

    @property
    def spread(self) -> dict[str, dict[str, Any]]:
        """Mean, std, min, max and interval of each figure over the runs."""
        return dict(self.info["spread"])


def train_several(
    data: str | Path | None = None,
    *,
    repeat: int | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    offline: bool = False,
    trust: bool = False,
    emit: Emit = events.ignore,
    **settings: Any,
) -> Several:
    """Train ``repeat`` times with seeds seed, seed + 1 and so on, or once for each of ``folds`` parts.

    A seed decides all that is random: the split too (a test split that the data bring stays), the first
    weights, the order and every draw. Folds are dealt by the one seed. What the first run chooses, the others
    take over. After folds every picture has an answer by a network that was not trained on it; where that
    contradicts a label surely, the label is a suspect.

    out: the folder; one that the same call left unfinished is gone on with.   resume: such a folder, and
    nothing else.   The rest: as :func:`striate.train` takes it, ``minutes`` being those of each run.
    Raises StriateError for whatever a user can mend; Interrupted after Ctrl-C, with everything saved.

    >>> from tempfile import mkdtemp
    >>> quick = {"model": "mlp", "size": 8, "epochs": 1, "out": mkdtemp()}
    >>> several = train_several("digits", folds=2, **quick)
    >>> [run.path.name for run in several.runs]
    ['fold-1', 'fold-2']
    """
    given = {name: value for name, value in settings.items() if value is not None}
    own_model = None if isinstance(given.get("model", ""), str) else given.pop("model")
    if resume is None:
        asked = fit.whole(data, recipe, given)
        if own_model is not None:
            asked = asked.replace(model=fit.name_of(own_model))
        if Path(asked.data).exists():  # it may be gone on with from another folder
            asked = asked.replace(data=str(Path(asked.data).resolve()))
        plan = _plan(asked, repeat)
        folder = _folder(None if out is None else Path(out), asked, repeat)
    else:
        if data is not None or recipe is not None or given or out is not None or repeat is not None:
            raise RecipeError(
                "--resume goes on with the runs' own recipe and takes no other setting.",
                "Leave the other flags away, or start new runs.",
            )
        folder = Path(resume)
        repeat, asked = _read(folder)["repeat"], recipes.read(folder / "recipe.toml")
        plan = _plan(asked, repeat)
    if _read(folder)["status"] == "finished":
        emit(events.Note(f"{folder} is already finished; nothing to do."))
        return Several(folder, tuple(Run(folder / name, trust, own_model) for name in plan))

    tell, what = _once(emit), "repeat" if asked.folds is None else "fold"
    runs: list[Run] = []
    try:
        for number, (name, changes) in enumerate(plan.items(), 1):
            tell(events.Note(f"{what} {number} of {len(plan)}: {folder / name}"))
            same = runs[0].recipe if runs else asked  # what the first chose, so that runs compare
            if (folder / name / "run.json").exists():
                run = fit.train(
                    resume=folder / name, trust=trust, offline=offline, emit=tell, model=own_model
                )
            else:
                shutil.rmtree(folder / name, ignore_errors=True)  # cut off before there was anything to lose
                run = fit.train(
                    recipe=same.replace(**changes),
                    out=folder / name,
                    offline=offline,
                    emit=tell,
                    model=own_model,
                )
            runs.append(run)
            _write(folder, asked, repeat, runs)
        found = {"status": "finished"} | ({} if asked.folds is None else _judge(folder, runs, offline, tell))
    except KeyboardInterrupt:
        raise _stopped(folder, f"{len(runs)} of {len(plan)} are finished") from None
    except Interrupted:
        raise _stopped(folder, f"{what} {len(runs) + 1} of {len(plan)} is saved where it was") from None
    finally:
        if not any((folder / name).exists() for name in plan):  # a mistake that the first run found
            for file in ("recipe.toml", "several.json"):
                (folder / file).unlink(missing_ok=True)
            folder.rmdir()
    info = _write(folder, asked, repeat, runs, **found)
    emit(events.Spread(str(folder), info["split"], info["spread"], info.get("out_of_fold")))
    return Several(folder, tuple(runs))


def _plan(asked: Recipe, repeat: int | None) -> dict[str, dict[str, int]]:
    """Name each run's folder, and what sets it apart. Raises RecipeError."""
    if repeat is not None and asked.folds is not None:
        raise RecipeError("--repeat and --folds are two ways to train several times.", "Give one of them.")
    if asked.fold is not None:
        raise RecipeError(f"--fold {asked.fold} is a single run.", "Leave --fold away to train them all.")
    if asked.folds is not None:
        return {f"fold-{fold}": {"fold": fold} for fold in range(1, asked.folds + 1)}
    if repeat is None or repeat < 2:
        raise RecipeError(
            f"--repeat: several runs are at least 2. Received: {repeat}.",
            "Give --repeat 3 or --folds 5, for example.",
        )
    return {f"seed-{seed}": {"seed": seed} for seed in range(asked.seed, asked.seed + repeat)}


def _folder(out: Path | None, asked: Recipe, repeat: int | None) -> Path:
    """Make the folder, or find it as the same call left it. Raises RunError."""
    if out is not None and (out / "several.json").exists():
        if recipes.read(out / "recipe.toml") != asked or _read(out)["repeat"] != repeat:
            raise RunError(
                f"{out} holds runs that were asked for with other settings.",
                f"Go on with: striate train --resume {shlex.quote(str(out))}, or choose another --out.",
            )
        return out
    times = f"repeat-{repeat}" if asked.folds is None else f"folds-{asked.folds}"
    folder = new_folder(out, f"{fit.piece(asked.data)}-{times}")
    write_text(folder / "recipe.toml", asked.toml())
    _write(folder, asked, repeat, [])
    return folder


def _stopped(folder: Path, state: str) -> Interrupted:
    return Interrupted(
        f"Stopped; {state} in {folder}.", f"Go on with: striate train --resume {shlex.quote(str(folder))}"
    )


def _once(emit: Emit) -> Emit:
    """Pass on what is reported, but each note and warning about the same data only once."""
    said: set[Event] = set()

    def tell(event: Event) -> None:
        if isinstance(event, events.Warned | events.Note):
            if event in said:
                return
            said.add(event)
        emit(event)

    return tell


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "several.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        known = info["format"] == FORMAT and {"status", "repeat", "runs", "split", "spread"} <= set(info)
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} holds no several.json.", "Give a folder that --repeat or --folds made."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged.", "Restore the file or train again.") from error
    if not known:
        raise RunError(f"{path} was written by another version of striate, or is damaged.", "Update striate.")
    return dict(info)


def _write(
    folder: Path, asked: Recipe, repeat: int | None, runs: Sequence[Run], **found: Any
) -> dict[str, Any]:
    """Write several.json after each run, so that it always says how far things are."""
    figures = [run.metrics for run in runs]
    split = next((name for name in ("test", "val") if runs and all(name in each for each in figures)), None)
    held_out = [each[split] if split else {} for each in figures]
    info = {
        "format": FORMAT,
        "status": "training",
        "repeat": repeat,
        "folds": asked.folds,
        "runs": [
            {"path": run.path.name, "seed": run.recipe.seed, "fold": run.recipe.fold, "metrics": each}
            for run, each in zip(runs, held_out, strict=True)
        ],
        "split": split,
        "spread": spread(held_out),
        **found,
    }
    write_json(folder / "several.json", info)
    return info


def _judge(folder: Path, runs: Sequence[Run], offline: bool, emit: Emit) -> dict[str, Any]:
    """Let each network answer for the pictures it has not seen; write the answers and the suspects."""
    from striate.training import task as tasks
    from striate.training.evaluate import evaluate

    recipe, preprocess = runs[0].recipe, preprocess_of(runs[0])
    if recipe.task not in {"classification", "regression"}:
        return {}  # there is no one answer a sample, and no label to doubt
    source = opened(recipe, offline=offline, emit=emit)
    seen = survey(source, emit)
    if any(run.info["data"]["fingerprint"] != seen.fingerprint(source) for run in runs):
        raise RunError(f"{recipe.data} has changed while the folds were trained.", "Train them all again.")
    store = build(source, seen, preprocess, emit=emit)
    targets = targets_of(source, store, source.classes)
    answers = np.zeros((len(targets), len(source.classes)) if source.classes else len(targets), np.float32)
    fold = np.zeros(len(targets), np.int64)
    for number, run in enumerate(runs, 1):
        rows = _tested(run)
        fold[rows] = number
        answers[rows], _ = evaluate(
            model_of(run).to(recipe.device),
            tasks.from_info(run.info),
            store.pixels,
            targets,
            rows,
            preprocess_of(run),
            precision=run.precision,
            device=recipe.device,
            tta=recipe.tta,
        )
        emit(events.Working("answers of the networks", number, len(runs), "folds"))
    rows = np.flatnonzero(fold)  # a given test split is in no fold
    scores = tasks.from_info(runs[0].info).score(answers[rows], targets[rows])
    assert isinstance(scores, Classified | Measured)
    find = suspects if source.classes else outliers
    found = find(answers[rows], targets[rows])
    found = found._replace(rows=rows[found.rows])
    _write_answers(folder, source, store, rows, targets, answers, fold, found)
    _write_page(folder, runs, source, store, scores, found)
    name, _ = scores.headline
    return {
        "out_of_fold": scores.summary()
        | {"pictures": len(rows), "headline": name, "interval": list(scores.interval)},
        "suspects": len(found.rows),
    }


def _tested(run: Run) -> NDArray[np.int64]:
    """Give the rows of a run's test pictures; split.csv has a line a row, in their order."""
    with open(run.path / "split.csv", encoding="utf-8", newline="") as file:
        return np.flatnonzero([line["split"] == "test" for line in csv.DictReader(file)])


def _write_answers(
    folder: Path,
    source: Source,
    store: Store,
    rows: NDArray[np.int64],
    targets: NDArray[Any],
    answers: NDArray[np.float32],
    fold: NDArray[np.int64],
    found: Suspects,
) -> None:
    """Write predictions.csv and suspects.csv."""
    samples = [source.samples[i] for i in store.rows]
    told = []
    for row in rows.tolist():
        line = [samples[row].name, str(samples[row].target)]
        if source.classes:
            line += [source.classes[answers[row].argmax()], f"{answers[row, targets[row]]:.6g}"]
        else:
            line += [f"{answers[row]:.6g}"]
        told.append([*line, str(fold[row])])
    header = ["path", "label", "predicted", *(["probability_of_label"] if source.classes else []), "fold"]
    write_csv(folder / "predictions.csv", header, told)
    doubted = [
        [samples[row].name, str(samples[row].target), _in_words(suggested, source), f"{score:.6g}"]
        for row, suggested, score in zip(*found, strict=True)
    ]
    write_csv(folder / "suspects.csv", ["path", "label", "suggested", "score"], doubted)


def _write_page(
    folder: Path,
    runs: Sequence[Run],
    source: Source,
    store: Store,
    scores: Classified | Measured,
    found: Suspects,
) -> None:
    """Write suspects.html."""
    from striate.report.contents import Shown
    from striate.report.gather import small
    from striate.report.suspects import SHOWN, Doubts, write

    preprocess = preprocess_of(runs[0])
    doubts = [
        (str(source.samples[store.rows[row]].target), _in_words(suggested, source))
        for row, suggested in zip(found.rows, found.suggested, strict=True)
    ]
    shown = []
    for row, (label, suggested), score in list(zip(found.rows, doubts, found.scores, strict=True))[:SHOWN]:
        how = f"{100 * score:.2g} % for its label" if source.classes else f"{score:.1f} deviations"
        name = source.samples[store.rows[row]].name
        drawing = small(store.pixels[row], preprocess, name)
        shown.append(Shown(drawing, f"{label}, or {suggested}?", f"{how} · {name}"))
    write(
        folder / "suspects.html",
        Doubts(
            name=folder.name,
            info=runs[0].info,
            runs=[(run.path.name, run.metrics["test"]) for run in runs],
            scores=scores,
            shown=shown,
            doubts=doubts,
        ),
    )


def _in_words(answer: Any, source: Source) -> str:
    return source.classes[answer] if source.classes else f"{answer:.4g}"
