"""Pictures or sequences, one by one: what the network says of each, why, and which others are like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from striate import events, explain
from striate.api.inside import feature_maps, fitting
from striate.api.labelled import labelled
from striate.api.maps import applying, maps_of
from striate.api.use import inputs_in
from striate.data.batches import plain
from striate.data.decode import Unreadable, decode, header
from striate.data.given import read
from striate.data.sequence import Sequences
from striate.errors import DataError, StriateError
from striate.report.contents import Shown
from striate.report.gather import pictured, small
from striate.report.inside import Looked
from striate.runs.load import preprocess_of
from striate.runs.predict import from_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.api.maps import Asked
    from striate.data.preprocess import Preprocess
    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.runs.predict import Prediction

MOST = 8  # pictures on a page
NEAR, SEEN = 6, 2000  # neighbours shown, and training pictures that are looked through for them
KINDS = {1: "grey", 3: "colour"}


def at(
    run: Run,
    images: Sequence[str | Path],
    asked: Asked,
    wanted: tuple[str | None, str | None],
    *,
    named: bool,
    data: str | Path | None,
    offline: bool,
    emit: Emit,
) -> tuple[list[Looked], list[tuple[str, str]]]:
    """Look at pictures, and give what was found and (file, reason) of each that could not be read.

    wanted: the class that is explained and the one that it is compared with, or None.
    named: the user chose the methods, so that one that does not apply is an error.
    """
    preprocess = preprocess_of(run)
    files = inputs_in(run, images)
    if isinstance(preprocess, Sequences):
        names, pixels, notes, unreadable = read(files, preprocess)
    else:
        _check_count(len(files), "pictures")
        names, pixels, notes, unreadable = _read(files, preprocess)
    _check_count(len(names), "sequences")
    if not names:
        reason = f"{files[0]}: {unreadable[0][1]}."
        raise DataError(f"None of the {len(files)} files could be read.", reason)
    x = next(plain(pixels, np.arange(len(names)), preprocess, len(names)))
    asked = applying(run.model, x, asked, named=named, emit=emit)
    for note in filter(None, notes):
        emit(events.Note(note))
    number = {label: i for i, label in enumerate(run.classes)}.get
    near = _neighbours(run, x, data, offline, emit)
    found = []
    for i, said in enumerate(from_pixels(run, names, pixels)):
        emit(events.Working("explaining", i, len(names), ""))
        target, versus = _classes(said, wanted)
        one, beside = x[i : i + 1], torch.cat([x[i : i + 1], near.x[i]])
        found.append(
            Looked(
                names[i],
                pictured(pixels[i], preprocess),
                said.top or ((f"{said.label:.6g}", None),),
                target=target,
                versus=versus,
                note=notes[i],
                maps=maps_of(run.model, one, asked, number(target) or 0, number(versus), beside),
                layers=feature_maps(run.model, one, asked.layer),
                near=near.shown[i],
                seen=near.seen,
            )
        )
    emit(events.Working("explaining", len(names), len(names), ""))
    return found, unreadable


def _check_count(count: int, noun: str) -> None:
    if count > MOST:
        raise DataError(f"{count} {noun} are too many for one page.", f"Give at most {MOST} at once.")


def _read(
    files: Sequence[Path], preprocess: Preprocess
) -> tuple[list[str], NDArray[Any], list[str], list[tuple[str, str]]]:
    """Decode files as the training's were: their names, pixels, how each was converted; those left out."""
    names, pixels, notes, unreadable = [], [], [], []
    side, kind = preprocess.size, KINDS.get(preprocess.channels, f"{preprocess.channels} channels")
    for file in files:
        try:
            raw = file.read_bytes()
            about = header(raw)
            decoded = decode(raw, preprocess.channels, preprocess.dtype, preprocess.enough)
        except OSError as error:
            unreadable.append((str(file), error.strerror or str(error)))
        except Unreadable as error:
            unreadable.append((str(file), error.reason))
        else:
            same = (about.width, about.height, about.channels) == (side, side, preprocess.channels)
            was = f"{file.name}: {about.width} × {about.height} {about.mode}"
            names.append(str(file))
            notes.append("" if same else f"{was}, shown to the network as {side} × {side} {kind}")
            pixels.append(preprocess.pixels(decoded))
    return names, np.stack(pixels) if pixels else np.empty(0), notes, unreadable


def _classes(said: Prediction, wanted: tuple[str | None, str | None]) -> tuple[str, str]:
    """Choose the class that is explained and the one beside it: as asked, or the two best."""
    best = [label for label, _ in said.top]
    target = wanted[0] or next((label for label in best if label != wanted[1]), "")
    return target, wanted[1] or next((label for label in best if label != target), "")


class Near(NamedTuple):
    """The training pictures nearest to each: as the network takes them, and to be shown; of how many."""

    x: list[Tensor]
    shown: list[list[Shown]]
    seen: int


def _neighbours(run: Run, x: Tensor, data: str | Path | None, offline: bool, emit: Emit) -> Near:
    """Find the training pictures whose features point the same way; none where the data are gone."""
    try:
        found = labelled(run, data, offline=offline, emit=emit)
    except StriateError as error:
        emit(events.Warned(f"No neighbours are shown: {error.message}"))
        return Near([x[:0]] * len(x), [[] for _ in x], 0)
    rows = found.parts.get("train", found.rows)
    if len(rows) > SEEN:
        rows = np.sort(np.random.default_rng(0).choice(rows, SEEN, replace=False))
    preprocess = preprocess_of(run)
    known = explain.features(run.model, plain(found.pixels, rows, preprocess, fitting(preprocess)))
    nearest, _ = explain.nearest(known, explain.features(run.model, x), NEAR)
    own = [rows[numbers] for numbers in nearest.numpy()]
    shown = [
        [
            Shown(
                small(found.pixels[row], preprocess, found.names[row]),
                _label(run, found.targets[row]),
                found.names[row],
            )
            for row in some
        ]
        for some in own
    ]
    return Near([next(plain(found.pixels, some, preprocess, NEAR)) for some in own], shown, len(rows))


def _label(run: Run, target: Any) -> str:
    return run.classes[target] if run.classes else f"{target:.4g}"
