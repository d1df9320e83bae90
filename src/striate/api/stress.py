"""Where a run breaks: the sweep over its own held-out pictures, or others, alone or beside another run."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import events
from striate.api.labelled import labelled
from striate.data import draws
from striate.data.sequence import Sequences
from striate.errors import RecipeError, RunError, did_you_mean
from striate.report.markup import plural
from striate.report.series import called
from striate.report.series import plain as drawing
from striate.runs.load import preprocess_of
from striate.stress import chance, in_time
from striate.stress.agreement import consistency, offsets
from striate.stress.distortion import CORRUPTIONS, CURVES
from striate.stress.measure import POOL, sweep
from striate.stress.place import places
from striate.stress.reader import Reader, SequenceReader
from striate.stress.relative import mce
from striate.stress.result import Example, Robustness, Stressed
from striate.stress.verdict import at_its_worst, compared, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.api.labelled import Labelled
    from striate.data.preprocess import Preprocess
    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.stress.distortion import Distortion

KNOWN: dict[str, Distortion] = {**CURVES, **CORRUPTIONS}
SAMPLE = 500  # pictures by default: the interval is then 9 points wide at most
OUTLINE, OUTLINE_SIDE = 300, 40  # pictures in a training report, and the side up to which there are so many
OUTLINE_STEPS = 8000  # of a sequence, up to which there are so many
OUTLINE_LEVELS = 8
MANY = 5000  # pictures times distortions from which on it pays to search the fastest form


def stress(
    run: Run,
    data: str | Path | None = None,
    *,
    split: str | None = None,
    sample: int | None = SAMPLE,
    only: Sequence[str] = (),
    seed: int = 0,
    compare: Run | None = None,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Stressed:
    """Measure a run on distorted pictures or sequences: accuracy and confidence at each level.

    data, split: as :func:`striate.api.labelled.labelled` takes them; by default the run's held-out pictures.
    sample: how many of them, drawn by ``seed``; None is all.   only: these distortions, by name.
    compare: another run with the same classes, on the same pictures and draws; each has its own
    preprocessing, and levels in pixels are the same share of its side.
    Raises RunError for a run that has no classes, or others than ``compare``; RecipeError for an unknown
    name or a sample below 1.
    """
    started = time.monotonic()
    if sample is not None and sample < 1:
        raise RecipeError(
            f"A sample of {sample} pictures measures nothing.", "Give 1 or more, or None for all."
        )
    _check(run, compare)
    preprocess = preprocess_of(run)
    chosen = _chosen(only, preprocess)
    found = labelled(run, data, split=split, offline=offline, emit=emit)
    rows, others = found.rows, None
    if compare is not None:
        others = _of_the_other(run, compare, data, split, offline=offline, emit=emit)
        rows = _held_out(rows, found, others, compare, emit)
    total = len(rows)
    if sample is not None and sample < total:
        rows = rows[np.sort(draws.permutation(seed, 0, total)[:sample])]
    keys = chance.keys(seed, rows)
    side = preprocess.shape[-1]
    own, reader = _robustness(run, found, rows, keys, chosen, side, only, emit)
    other = None
    if compare is not None and others is not None:
        at = {name: row for row, name in enumerate(others.names)}
        there = np.array([at[found.names[row]] for row in rows])
        other, _ = _robustness(compare, others, there, keys, chosen, side, only, emit)
    return Stressed(
        data=found.name,
        split=found.split,
        total=total,
        seed=seed,
        own=own,
        other=other,
        relative=None
        if other is None or isinstance(preprocess, Sequences)
        else mce(own.measured, other.measured),
        verdict=_words(run, own, other),
        seconds=time.monotonic() - started,
        examples=_examples(reader, keys, chosen),
        noun=called(preprocess),
    )


def outline(
    model: nn.Module,
    preprocess: Preprocess | Sequences,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    *,
    precision: str,
    device: str,
    tta: str = "off",
    seed: int = 0,
) -> Robustness:
    """Measure a network under shift and occlusion only, on few pictures: what a training report shows.

    Of sequences, under a shift in time and a gap.

    rows: of held-out pictures; a seeded sample of at most 300, and fewer of large ones, is measured.
    """
    if isinstance(preprocess, Sequences):
        share = min(1.0, OUTLINE_STEPS / preprocess.length)
        chosen = {name: one for name, one in in_time.curves(preprocess).items() if name in in_time.OUTLINED}
    else:
        share = min(1.0, (OUTLINE_SIDE / preprocess.size) ** 2)
        chosen = {name: CURVES[name] for name in ("shift", "occlusion")}
    some = rows[np.sort(draws.permutation(seed, 0, len(rows))[: max(25, round(OUTLINE * share))])]
    reader = _reader(preprocess, pixels, some, device)
    levels = {name: _thinned(one.levels(preprocess.shape[-1])) for name, one in chosen.items()}
    answers = reader.answers(model, precision, tta)
    measured = sweep(
        answers,
        reader,
        targets[some],
        chosen,
        keys=chance.keys(seed, some),
        levels=levels,
        batch=reader.batch,
    )
    return Robustness("", (), measured)


def _robustness(
    run: Run,
    found: Labelled,
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    chosen: Mapping[str, Distortion],
    side: int,
    only: Sequence[str],
    emit: Emit,
) -> tuple[Robustness, Reader | SequenceReader]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        model = copy.deepcopy(run.model).to(device)
    else:  # the same answers within rounding; worth the search where they are many
        model = run.fastest if len(rows) * len(chosen) >= MANY else run.model
    preprocess = preprocess_of(run)
    reader = _reader(preprocess, found.pixels, rows, device)
    answers, targets = reader.answers(model, run.precision, run.recipe.tta), found.targets[rows]
    noun = f"{called(preprocess)}s"
    measured = sweep(
        answers, reader, targets, chosen, keys=keys, side=side, batch=reader.batch, noun=noun, emit=emit
    )
    if isinstance(preprocess, Sequences):
        return Robustness(str(run.path), run.classes, measured), reader
    moves = offsets(keys, preprocess.size)
    by_place = None
    if not only or "occlusion" in only:
        by_place = places(answers, reader, targets, classes=len(run.classes), batch=reader.batch, emit=emit)
    agreed = consistency(answers, reader, moves, batch=reader.batch)
    return Robustness(str(run.path), run.classes, measured, agreed, by_place), reader


def _reader(
    preprocess: Preprocess | Sequences, pixels: NDArray[Any], rows: NDArray[np.int64], device: str
) -> Reader | SequenceReader:
    if isinstance(preprocess, Sequences):
        return SequenceReader(preprocess, pixels, rows, device)
    return Reader.of(preprocess, pixels, rows, device)


def _chosen(only: Sequence[str], preprocess: Preprocess | Sequences) -> dict[str, Distortion]:
    known = in_time.curves(preprocess) if isinstance(preprocess, Sequences) else KNOWN
    for name in only:
        if name in KNOWN and name not in known:
            raise RecipeError(
                f"The distortion {name!r} is for pictures, and this run takes {called(preprocess)}s.",
                f"Known are {', '.join(known)}.",
            )
        if name not in known:
            raise RecipeError(f"There is no distortion {name!r}.", did_you_mean(name, known))
    return {name: one for name, one in known.items() if not only or name in only}


def _check(run: Run, compare: Run | None) -> None:
    for one in (run, *(() if compare is None else (compare,))):
        _ = one.model  # a damaged one is told before the pictures are read
        if not one.classes:
            what = "a number" if one.info["task"] == "regression" else f"no class ({one.info['task']})"
            raise RunError(
                f"{one.path} predicts {what}: stress measures the accuracy of classes.",
                "Give a run with classes; striate evaluate measures this one.",
            )
    if compare is not None and sorted(run.classes) != sorted(compare.classes):
        raise RunError(
            f"{compare.path} has other classes than {run.path}: {', '.join(compare.classes[:8])}.",
            f"Compare a run with these: {', '.join(run.classes[:8])}.",
        )


def _of_the_other(
    run: Run, compare: Run, data: str | Path | None, split: str | None, *, offline: bool, emit: Emit
) -> Labelled:
    """Open the pictures for the compared run; its own parts are known where both are made from the same."""
    if data is None and run.info["data"]["fingerprint"] == compare.info["data"]["fingerprint"]:
        return labelled(compare, offline=offline, emit=emit)
    if data is None:  # a split that this run made is none of the data's own
        data, split = run.recipe.data, None
    return replace(labelled(compare, data, split=split, offline=offline, emit=emit), parts={})


def _held_out(
    rows: NDArray[np.int64], found: Labelled, others: Labelled, compare: Run, emit: Emit
) -> NDArray[np.int64]:
    """Leave out what the compared run was trained on, and what it cannot read."""
    trained = set()
    if "train" in others.parts and found.split != "train":
        trained = {others.names[row] for row in others.parts["train"]}
    usable = set(others.names) - trained
    kept = np.array([row for row in rows if found.names[row] in usable], np.int64)
    if not len(kept):
        raise RunError(
            f"{compare.path} was trained on all of these pictures.",
            "Give others, or train both with one --seed.",
        )
    if len(kept) < len(rows):
        emit(
            events.Warned(
                f"left out {plural(len(rows) - len(kept), 'picture')} that {compare.path} was trained on"
            )
        )
    return kept


def _words(run: Run, own: Robustness, other: Robustness | None) -> list[str]:
    preprocess = preprocess_of(run)
    told = verdict(
        own.measured,
        augment=run.recipe.augment or "off",
        side=preprocess.shape[-1],
        modality=getattr(preprocess, "modality", "pictures"),
        channels=preprocess.channels,
        run=str(run.path),
        place=at_its_worst(own.measured.clean, own.places, own.classes) if own.places else "",
    )
    return told if other is None else [compared(own.measured, other.measured, other.name), *told]


def _examples(
    reader: Reader | SequenceReader, keys: NDArray[np.uint64], chosen: Mapping[str, Distortion]
) -> list[Example]:
    """Show the sample's first picture, and what the middle and last level of each distortion make of it."""
    pool = reader[:POOL].cpu()
    preprocess = reader.preprocess
    first, shown = pool[:1], [Example("", 0.0, _visible(pool[0], preprocess))]
    for name, one in chosen.items():
        if one.refusal(first.shape[1]):
            continue
        levels = one.levels(preprocess.shape[-1])
        shown += [
            Example(name, level, _visible(one.apply(first, level, keys[:1], pool)[0], preprocess))
            for level in (levels[len(levels) // 2], levels[-1])
        ]
    return shown


def _visible(picture: Tensor, preprocess: Preprocess | Sequences) -> NDArray[np.uint8] | str:
    if isinstance(preprocess, Sequences):
        return drawing(picture.numpy(), preprocess, "as it is distorted")
    channels = 3 if picture.shape[0] >= 3 else 1
    return (picture[:channels].permute(1, 2, 0) * 255).round().byte().numpy()


def _thinned(levels: tuple[float, ...]) -> tuple[float, ...]:
    if len(levels) <= OUTLINE_LEVELS:
        return levels
    places = np.linspace(0, len(levels) - 1, OUTLINE_LEVELS).round().astype(int)
    return tuple(levels[place] for place in places)
