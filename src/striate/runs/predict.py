"""What a run's network says of pictures or sequences: decoded and prepared exactly as in its training."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from striate.data.decode import Unreadable, decode, from_image
from striate.data.given import read
from striate.data.sequence import Sequences
from striate.data.survey import in_parallel
from striate.events import ignore
from striate.runs.forward import outputs
from striate.runs.load import preprocess_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.runs.folder import Run

MANY = 64  # pictures from which on the second that it takes to find the fastest form is worth it


@dataclass(frozen=True, slots=True)
class Prediction:
    """One picture's answer; probability and top are for classes only."""

    file: str
    label: str | float
    probability: float | None = None
    top: tuple[tuple[str, float], ...] = ()

    def json(self) -> dict[str, Any]:
        """Give the object of ``predict --json``."""
        return asdict(self) | {"top": [{"label": name, "probability": p} for name, p in self.top]}


def predict(
    run: Run, pictures: Sequence[Any], *, batch: int = 64
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    """Predict for paths, PIL pictures or arrays; of sequences, for paths and arrays of raw steps (n, C).

    Returns: the predictions, and (file, reason) for each that cannot be read.
    """
    preprocess = preprocess_of(run)
    if isinstance(preprocess, Sequences):
        given = read(pictures, preprocess)
        found = from_pixels(run, given.names, given.stored, batch=batch) if given.names else []
        return found, given.unreadable
    names = [str(p) if isinstance(p, (str, Path)) else f"picture {i}" for i, p in enumerate(pictures)]

    def prepared(i: int) -> NDArray[Any] | str:
        try:
            raw = _raw(pictures[i])
            return preprocess.pixels(decode(raw, preprocess.channels, preprocess.dtype, preprocess.enough))
        except Unreadable as error:
            return error.reason

    readable, pixels, unreadable = [], [], []
    chunks = in_parallel(prepared, range(len(names)), 8, "reading pictures", ignore)
    for name, result in zip(names, itertools.chain.from_iterable(chunks), strict=True):
        if isinstance(result, str):
            unreadable.append((name, result))
        else:
            readable.append(name)
            pixels.append(result)
    return (from_pixels(run, readable, np.stack(pixels), batch=batch) if pixels else []), unreadable


def from_pixels(run: Run, names: Sequence[str], pixels: NDArray[Any], *, batch: int = 64) -> list[Prediction]:
    """Predict for what is prepared, (N, size, size, C) or (N, L, C').

    Many at a time are predicted by the fastest form of the network.
    """
    info = run.info
    fast = len(pixels) >= MANY or "fastest" in vars(run)
    found = outputs(
        run.fastest if fast else run.model, pixels, np.arange(len(pixels)), preprocess_of(run),
        precision=run.precision, device="cpu", batch=batch, tta=run.recipe.tta,
    )  # fmt: skip
    if info["task"] == "regression":
        numbers = (found[:, 0] * info["target"]["std"] + info["target"]["mean"]).tolist()
        return [Prediction(name, number) for name, number in zip(names, numbers, strict=True)]
    classes, shown = info["classes"], min(5, len(info["classes"]))
    best = found.softmax(1).topk(shown)
    predictions = []
    for name, values, order in zip(names, best.values.tolist(), best.indices.tolist(), strict=True):
        top = tuple((classes[i], value) for i, value in zip(order, values, strict=True))
        predictions.append(Prediction(name, top[0][0], top[0][1], top))
    return predictions


def _raw(picture: Any) -> bytes | NDArray[Any]:
    if isinstance(picture, (str, Path)):
        try:
            return Path(picture).read_bytes()
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error
    return from_image(picture) if isinstance(picture, Image.Image) else np.asarray(picture)
