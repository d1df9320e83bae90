"""Listening to a long recording with a trained run: is one of its classes anywhere in it, and when."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from striate import events
from striate.api.labelled import labelled
from striate.data.recording import recording
from striate.data.sequence import TINY
from striate.data.sound import to_depth
from striate.errors import DataError, RecipeError
from striate.scan.alarm import threshold_for
from striate.scan.heard import Heard, Word
from striate.scan.listener import Listener, false_peaks, probability
from striate.scan.stream import hearing, off_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.sequence import Sequences
    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.scan.alarm import Alarms
    from striate.scan.listener import Detection
    from striate.scan.stream import Hearing

SECONDS = 20.0  # of sound that are heard at once, or four windows
MINUTES = 10.0  # of validation sound in which a threshold is chosen, or what ten false alarms take


def hear(
    run: Run,
    where: str | Path | IO[bytes],
    preprocess: Sequences,
    names: Sequence[str],
    *,
    threshold: float,
    alarms: float | None = None,
    hop: float | None = None,
    approximate: bool = False,
    draw: bool = False,
    emit: Emit = events.ignore,
) -> Heard:
    """Slide a run's classifier of sounds over a recording; memory does not grow with its length.

    where: a sound file, or a stream of WAV, whose detections are told as they come.
    names: classes that are looked for.   threshold: the least probability of a detection, 0..1.
    alarms: false ones a minute, for which thresholds are chosen in the run's validation recordings instead.
    hop: milliseconds between windows; see :func:`striate.scan.stream.hearing`.   draw: wave and spectrum.
    Raises DataError for a recording that cannot be read or is shorter than a window, RecipeError for a rate
    of alarms that is impossible, ModelError where ``approximate`` is.
    """
    rate = preprocess.rate
    steps = None if hop is None else max(1, round(hop / 1000 * rate))
    shape = preprocess.channels, preprocess.length
    way = hearing(run.model, shape, hop=steps, approximate=approximate)
    chosen = {} if alarms is None else thresholds(run, way, preprocess, names, alarms, emit)
    least = [chosen[name].odds if name in chosen else _odds(threshold) for name in names]
    ear = Listener(way, rate, [run.classes.index(name) for name in names], least, draw=draw)
    live = not isinstance(where, (str, Path))
    file, off = "the stream" if live else str(where), None

    def told(found: list[tuple[int, Detection]]) -> None:
        for unit, one in found if live else ():
            emit(events.Note(f"{one.time:9.2f} s  {names[unit]}  {one.score:.1%}"))

    with recording(Path(where) if isinstance(where, str) else where, rate) as opened:
        for samples in opened.blocks(max(round(SECONDS * rate), 4 * way.window)):
            x = normalised(to_depth(samples, preprocess.dtype), preprocess)
            if way.mode == "approximate" and off is None and x.shape[1] >= way.window:
                off = off_by(way, run.model, x)
            told(ear.hear(torch.from_numpy(samples)[None], x))
            total = None if opened.frames is None else round(opened.frames / rate)
            emit(events.Working("listening", round(ear.samples / rate), total, "s"))
    if ear.samples < way.window:
        raise DataError(
            f"{file} lasts {ear.samples / rate:.2f} s; a window of the run is {way.window / rate:.2f} s.",
            f"Give a longer recording, or ask for its class with: striate predict {run.path}",
        )
    told(ear.end())
    return _result(ear, file, names, chosen, off)


def thresholds(
    run: Run, way: Hearing, preprocess: Sequences, names: Sequence[str], rate: float, emit: Emit
) -> dict[str, Alarms]:
    """Choose each class's threshold in the validation recordings of all other classes, joined end to end.

    rate: false alarms a minute.   Raises RecipeError where it is not above 0, RunError or DataError where
    the run's data are no longer there.
    """
    if not 0 < rate < math.inf:
        raise RecipeError(
            f"A rate of false alarms is above 0. Received: {rate:g}.", "Give such as --alarms 1."
        )
    clips = labelled(run, split="val", emit=emit)
    order = clips.rows[np.random.default_rng(0).permutation(len(clips.rows))]
    most = round(max(MINUTES, 10 / rate) * 60 * preprocess.rate)
    chosen = {}
    for done, name in enumerate(names):
        emit(events.Working("choosing thresholds", done, len(names), "classes"))
        unit = run.classes.index(name)
        others = [_trimmed(clips.pixels[row, :, 0]) for row in order if clips.targets[row] != unit]
        samples = np.concatenate([np.zeros(0, clips.pixels.dtype), *others])[:most]
        if len(samples) < preprocess.length:
            raise DataError(
                f"The validation recordings of {run.path} without {name} are shorter than one window.",
                "Give --threshold instead of --alarms, or train with more validation recordings.",
            )
        minutes = len(samples) / preprocess.rate / 60
        chosen[name] = threshold_for(false_peaks(way, normalised(samples, preprocess), unit), minutes, rate)
        if rate * minutes < 1:
            short = (
                f"{minutes:.1f} min of validation without {name} cannot show {rate:g} false alarms a minute"
            )
            emit(events.Warned(f"{short}: its threshold is above everything that they hold."))
    emit(events.Working("choosing thresholds", len(names), len(names), "classes"))
    return chosen


def normalised(samples: NDArray[Any], preprocess: Sequences) -> Tensor:
    """Make (1, n) of samples (n,) as training did; a sample of 0 is silence here, never padding."""
    x = preprocess.tensor(torch.from_numpy(np.ascontiguousarray(samples))[None, None])[0]
    return torch.where(x == 0, TINY, x)


def _result(
    ear: Listener, file: str, names: Sequence[str], chosen: dict[str, Alarms], off: float | None
) -> Heard:
    way, rate = ear.way, ear.rate
    words = [
        Word(
            name,
            probability(float(ear.best[i])),
            probability(ear.least[i]),
            ear.least[i],
            ear.count[i],
            tuple(ear.detections[i]),
            chosen.get(name),
        )
        for i, name in enumerate(names)
    ]
    wave, spectrum, scores = ear.drawn()
    return Heard(
        file=file,
        seconds=ear.samples / rate,
        rate=rate,
        mode=way.mode,
        reason=way.reason,
        difference=way.difference if way.mode == "exact" else off,
        hop=way.hop / rate,
        window=way.window / rate,
        classes=tuple(words[i] for i in ear.best.argsort(descending=True).tolist()),
        names=tuple(names),
        wave=wave,
        spectrum=spectrum,
        scores=scores,
    )


def _trimmed(clip: NDArray[Any]) -> NDArray[Any]:
    there = np.flatnonzero(clip)
    return clip[: there[-1] + 1] if len(there) else clip[:0]


def _odds(threshold: float) -> float:
    if threshold in {0.0, 1.0}:
        return math.inf if threshold else -math.inf
    return math.log(threshold / (1 - threshold))
