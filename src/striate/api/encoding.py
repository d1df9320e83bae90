"""Codes of samples: what a run makes of each in its middle, as a file and as a map."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import events, explain, files
from striate.api.codes import maps
from striate.api.given import given
from striate.api.inside import fitting
from striate.data.batches import plain
from striate.runs.load import preprocess_of
from striate.training import codes as coding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.events import Emit
    from striate.report.inside.contents import Points
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False)
class Encoded:
    """Codes (M, K) float32, with names and labels ("" without one) of the samples; files: what was written.

    way: what the codes are.   data, noun: the data set's name, and what its samples are called.
    """

    run: Path
    data: str
    noun: str
    codes: NDArray[np.float32]
    names: list[str]
    labels: list[str]
    way: str
    maps: list[Points] = field(default_factory=list)
    files: tuple[Path, ...] = ()

    def json(self) -> dict[str, Any]:
        """Give the object of ``encode --json``."""
        return {
            "run": str(self.run),
            "data": self.data,
            "samples": len(self.codes),
            "numbers": self.codes.shape[1],
            "way": self.way,
            "labels": sorted({label for label in self.labels if label}),
            "files": [str(path) for path in self.files],
        }


def encode(
    run: Run,
    data: str | Path,
    *,
    split: str | None = None,
    out: str | Path | None = None,
    html: str | Path | None = None,
    seed: int = 0,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Encoded:
    """Encode every sample of a data set: by an autoencoder's encoder, else the features before the head.

    data: whatever ``train`` takes; labels are kept and not needed.   split: only train, val or test.
    out: an npz file of ``codes`` (M, K) float32, ``names`` and ``labels``.   html: a page with a map of them.
    seed: of the map.   Raises DataError for what cannot be read, ModelError for a network without features.
    """
    model, preprocess = run.model, preprocess_of(run)
    found = given(run, data, split=split, offline=offline, emit=emit)
    encoder = coding.encoder_of(model)
    if encoder is not None:
        way = "what its encoder says"
        codes = coding.codes(encoder, found.pixels, found.rows, preprocess)
    else:
        way = "the features before its last layer"
        batches = plain(found.pixels, found.rows, preprocess, fitting(preprocess))
        codes = explain.features(model, batches).numpy()
    names, labels = ([each[row] for row in found.rows] for each in (found.names, found.labels))
    drawn = maps(codes, labels if any(labels) else [], seed) if html is not None else []
    written = tuple(Path(path) for path in (out, html) if path is not None)
    encoded = Encoded(run.path, found.name, found.noun, codes, names, labels, way, drawn, written)
    if out is not None:
        buffer = io.BytesIO()
        np.savez(buffer, codes=codes, names=np.array(names), labels=np.array(labels))
        files.write_bytes(Path(out), buffer.getvalue())
    if html is not None:
        from striate.report import codes as page

        page.write(
            Path(html),
            run.info,
            data=found.name,
            noun=found.noun,
            shape=(len(codes), codes.shape[1]),
            way=way,
            maps=drawn,
            labels=len(set(labels) - {""}),
        )
    return encoded
