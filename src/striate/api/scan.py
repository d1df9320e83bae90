"""Looking over a large picture, or a long recording, with a trained run: where is one of its classes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch

from striate import events
from striate.api.hear import hear
from striate.data import wav
from striate.data.decode import MAX_PIXELS, Unreadable, decode
from striate.data.sequence import Sequences
from striate.errors import DataError, RecipeError, RunError, did_you_mean
from striate.runs.load import preprocess_of
from striate.scan.boxes import boxes
from striate.scan.found import Found, Scanned
from striate.scan.heard import Heard
from striate.scan.slide import pyramid
from striate.scan.way import off_by, slid
from striate.scan.way import way as way_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.data.preprocess import Preprocess
    from striate.events import Emit
    from striate.runs.folder import Run

THRESHOLD = 0.95  # a classifier has no class for "nothing": it is half sure of much that it has never seen
OVERLAP = 0.3
NOTHING = {"nothing", "background"}  # classes of these names stand for what is none of the others


def scan(
    run: Run,
    where: str | Path | IO[bytes],
    *,
    name: str | None = None,
    threshold: float | None = None,
    alarms: float | None = None,
    scales: Sequence[float] | None = None,
    stride: float | None = None,
    approximate: bool = False,
    html: str | Path | None = None,
    emit: Emit = events.ignore,
) -> Scanned | Heard:
    """Slide a run's classifier over a picture at several sizes of it, or over a recording.

    A class named ``nothing`` or ``background`` is one against which the others win; it is not looked for.
    where: a picture; for a run of sounds a recording, or a stream of WAV.
    name: only this class.   threshold: the least probability of a box or detection, 0..1; by default 0.95.
    alarms: false ones a minute of a recording, for which the threshold is chosen on the run's validation.
    scales: sizes of the picture to look at, as shares of its own; by default from 1 down to where the window
    covers its shorter side, by factors of at most the square root of 2.
    stride: pixels between windows, or milliseconds.   stride, approximate: see :func:`striate.scan.way.way`
    and :func:`striate.scan.stream.hearing`.   html: also write a page there.
    Raises DataError for what cannot be read or is shorter than a window, RecipeError for a class, size or
    rate that is impossible, RunError for a run without classes or of neither pictures nor sounds, ModelError
    where ``approximate`` is impossible.
    """
    preprocess = preprocess_of(run)
    _check(run, name, threshold, stride)
    names = [one for one in run.classes if name == one or (name is None and one not in NOTHING)]
    least = THRESHOLD if threshold is None else threshold
    found: Scanned | Heard
    if isinstance(preprocess, Sequences):
        _check_sound(run, preprocess.modality, threshold, alarms, scales)
        found = hear(
            run, where, preprocess, names, threshold=least, alarms=alarms, hop=stride,
            approximate=approximate, draw=html is not None, emit=emit,
        )  # fmt: skip
    else:
        _check_picture(where, alarms, scales, stride)
        step = None if stride is None else round(stride)
        assert isinstance(where, (str, Path))
        found = _look(run, where, preprocess, names, least, scales, step, approximate, emit)
    if html is not None:
        from striate.report import scan, sound

        (sound if isinstance(found, Heard) else scan).write(Path(html), found, run)
    return found


def _look(
    run: Run,
    image: str | Path,
    preprocess: Preprocess,
    names: Sequence[str],
    threshold: float,
    scales: Sequence[float] | None,
    stride: int | None,
    approximate: bool,
    emit: Emit,
) -> Scanned:
    picture = _read(image, preprocess)
    sizes = _sizes(picture, preprocess.size, scales, emit)
    shape = (preprocess.channels, preprocess.size, preprocess.size)
    way = way_of(run.model, shape, stride=stride, approximate=approximate)
    if way.mode == "windows":  # thousands of them: worth the second that it takes to find the fastest form
        way = replace(way, form=run.fastest)
    levels, off = [], 0.0
    for i, (height, width) in enumerate(sizes):
        seen = _tensor(picture, height, width, preprocess)
        scale = (height / picture.shape[0], width / picture.shape[1])

        def done(seen: int, of: int, part: str = f"size {i + 1} of {len(sizes)}") -> None:
            emit(events.Working(part, seen, of, "windows"))

        level = slid(way, seen, scale, done=done)
        if way.mode == "approximate":
            off = max(off, off_by(level, run.model, seen, way.window))
        levels.append(level)
    differs = {"exact": way.difference, "approximate": off}.get(way.mode)
    found = [
        Found(
            one,
            max(float(level.scores[unit].max()) for level in levels),
            tuple(boxes(levels, unit, way.window, threshold=threshold, overlap=OVERLAP)),
        )
        for unit, one in enumerate(run.classes)
        if one in names
    ]
    return Scanned(
        file=str(image),
        picture=picture,
        mode=way.mode,
        reason=way.reason,
        difference=differs,
        stride=way.stride[0],
        window=preprocess.size,
        scales=tuple(height / picture.shape[0] for height, _ in sizes),
        threshold=threshold,
        names=run.classes,
        levels=tuple(levels),
        classes=tuple(sorted(found, key=lambda one: -one.best)),
    )


def _check(run: Run, name: str | None, threshold: float | None, stride: float | None) -> None:
    if not run.classes:
        goal = {"regression": "predicts numbers", "next-step": "says what follows"}
        raise RunError(
            f"{run.path} {goal.get(run.info['task'], 'gives back its input')}: "
            "it has no classes to look for.",
            "Scan with a classifier.",
        )
    if name is not None and name not in run.classes:
        raise RecipeError(f"{run.path} has no class {name!r}.", did_you_mean(name, run.classes))
    if threshold is not None and not 0 <= threshold <= 1:
        raise RecipeError(f"A threshold is a probability. Received: {threshold:g}.", "Give one from 0 to 1.")
    if stride is not None and not 0 < stride < math.inf:
        raise RecipeError(f"Windows cannot be {stride:g} apart.", "Give a --stride of 1 or more.")


def _check_picture(
    where: str | Path | IO[bytes],
    alarms: float | None,
    scales: Sequence[float] | None,
    stride: float | None,
) -> None:
    if not isinstance(where, (str, Path)):
        raise RecipeError("A picture is no stream: - is for recordings.", "Name a file.")
    if alarms is not None:
        raise RecipeError(
            "--alarms is for recordings: false ones a minute.", "Give a --threshold from 0 to 1."
        )
    if stride is not None and stride != round(stride):
        raise RecipeError(f"Windows cannot be {stride:g} pixels apart.", "Give a --stride of 1 or more.")
    if scales is not None and not (scales and all(0 < scale < math.inf for scale in scales)):
        raise RecipeError("A size of the picture must be above 0.", "Give such as --scales 1 0.5 0.25.")


def _check_sound(
    run: Run,
    modality: str,
    threshold: float | None,
    alarms: float | None,
    scales: Sequence[float] | None,
) -> None:
    if modality != "sound":
        raise RunError(
            f"{run.path} was trained on {modality}: only pictures and sounds are scanned.",
            "Give a run of one of these.",
        )
    if scales is not None:
        raise RecipeError("--scales is for pictures: a recording has one speed.", "Leave it out.")
    if alarms is not None and threshold is not None:
        raise RecipeError("--alarms chooses the threshold that --threshold gives.", "Give one of them.")


def _read(image: str | Path, preprocess: Preprocess) -> NDArray[Any]:
    try:
        data = Path(image).read_bytes()
        return decode(data, preprocess.channels, preprocess.dtype)
    except (OSError, Unreadable) as error:
        reason = error.reason if isinstance(error, Unreadable) else error.strerror or str(error)
        if isinstance(error, Unreadable) and wav.holds(data[:12]):
            reason = "it is a sound, and the run was trained on pictures"
        raise DataError(f"Cannot read {image}: {reason}.", "Give one picture.") from error


def _sizes(
    picture: NDArray[Any], window: int, scales: Sequence[float] | None, emit: Emit
) -> list[tuple[int, int]]:
    """Give the (height, width) of each size to look at; none is smaller than the window."""
    height, width = picture.shape[:2]
    if min(height, width) < window:
        told = f"The picture, {width} × {height}, is smaller than a window of {window}: it is enlarged."
        emit(events.Note(told))
    asked = pyramid(height, width, window) if scales is None else sorted(set(scales), reverse=True)
    sizes = [(round(scale * height), round(scale * width)) for scale in asked]
    if scales is not None and min(min(size) for size in sizes) < window:
        raise RecipeError(
            f"At {min(scales):g} of its size the picture is smaller than the window of {window} pixels.",
            f"The smallest is {window / min(height, width):.4g}.",
        )
    high, wide = max(sizes)
    if high * wide > MAX_PIXELS:
        raise RecipeError(
            f"At {max(asked):g} times its size the picture is {wide} × {high} pixels: more than the "
            f"{MAX_PIXELS // 10**6} million that are looked at.",
            "Give such as --scales 1 0.5 0.25, or another picture.",
        )
    return [(max(high, window), max(wide, window)) for high, wide in sizes]


def _tensor(picture: NDArray[Any], height: int, width: int, preprocess: Preprocess) -> torch.Tensor:
    resized = preprocess.resized(picture, height, width)
    return preprocess.tensor(torch.tensor(resized).permute(2, 0, 1)[None].contiguous())[0]
