"""Sequences that somebody gives a finished run: sounds, FASTA, text and tables, read as in its training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from striate.data import sound
from striate.data.decode import Unreadable
from striate.data.folders import PICTURES
from striate.data.listing import any_hidden
from striate.data.sequence import decode
from striate.data.sources import NOUNS, open_source
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from striate.data.sequence import Sequences

KINDS = {
    "sound": "sound files, or folders of them",
    "symbols": "FASTA or text files, one sequence a record or line",
    "series": "CSV, npz or mat files of series",
}


class Given(NamedTuple):
    """names: of what was read.   stored: (N, L, C') as the run keeps it.   unreadable: (name, reason).

    notes: for each, how it differs from what the network sees, or "".
    """

    names: list[str]
    stored: NDArray[Any]
    notes: list[str]
    unreadable: list[tuple[str, str]]


def read(paths: Sequence[Any], preprocess: Sequences) -> Given:
    """Read files, or arrays of raw steps (n, C): of a sound (n,) or (n, channels) at the run's rate.

    A file of text or a table gives as many sequences as it holds, a folder all its sound files.
    Raises DataError for a path that does not exist, or holds other data than the run was made from.
    """
    names, stored, notes, unreadable = [], [], [], []
    for name, data in _pieces(paths, preprocess.modality):
        try:
            steps = _steps(data, preprocess)
        except Unreadable as error:
            unreadable.append((name, error.reason))
        except OSError as error:
            unreadable.append((name, error.strerror or str(error)))
        else:
            names.append(name)
            stored.append(preprocess.pixels(steps))
            notes.append(_note(name, len(steps), preprocess))
    empty = np.empty((0, *preprocess.stored), preprocess.dtype)
    return Given(names, np.stack(stored) if stored else empty, notes, unreadable)


def files_in(paths: Sequence[str | Path], modality: str) -> list[Path]:
    """List files; of sounds, a folder stands for every one in it that is not hidden.

    Raises DataError for a path that does not exist, or a folder without any.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for impossible names
            raise DataError(f"{path} does not exist.", f"Give {KINDS[modality]}.")
        inside = [path]
        if path.is_dir() and modality == "sound":
            every = (p for p in path.rglob("*") if sound.named(p.name) and p.is_file())
            inside = sorted(p for p in every if not any_hidden(p.relative_to(path).as_posix()))
        if not inside:
            raise DataError(f"{path} holds no {NOUNS[modality]}.", f"Give {KINDS[modality]}.")
        found += inside
    return found


def _pieces(paths: Sequence[Any], modality: str) -> Iterator[tuple[str, Any]]:
    """Give each sequence's name, and its file, its bytes or its array."""
    for i, path in enumerate(paths):
        if not isinstance(path, (str, Path)):
            yield f"sequence {i}", np.asarray(path)
        else:
            for file in files_in([path], modality):
                yield from [(str(file), file)] if modality == "sound" else _held(file, modality)


def _held(path: Path, modality: str) -> Iterator[tuple[str, Any]]:
    """Give every sequence of a file. Raises DataError for one of another kind."""
    if path.suffix.lower() in PICTURES | sound.ENDINGS:
        raise DataError(f"{path} holds no {modality}, which this run takes.", f"Give {KINDS[modality]}.")
    source = open_source(str(path), task="reconstruction", learn=False)
    if source.modality != modality:
        raise DataError(
            f"{path} holds {source.modality}, and this run takes {modality}.", f"Give {KINDS[modality]}."
        )
    for i, sample in enumerate(source.samples):
        yield sample.name, source.read(i)


def _steps(data: Any, preprocess: Sequences) -> NDArray[Any]:
    if isinstance(data, Path):
        data = data.read_bytes()
    if preprocess.modality == "sound" and not isinstance(data, bytes):
        values = data.astype(np.float32 if data.dtype.kind == "f" else np.int16)
        return sound.to_depth(sound.mono(values.reshape(len(values), -1)), preprocess.dtype)[:, None]
    return decode(data, preprocess)


def _note(name: str, steps: int, preprocess: Sequences) -> str:
    """Say what of a sequence the network is not shown."""
    length, rate = preprocess.length, preprocess.rate
    if steps <= length:
        return ""
    had, seen = f"{steps:,} steps", f"{length:,}"
    if rate:
        had, seen = f"{steps / rate:.3g} s", f"{length / rate:.3g} s"
    return f"{Path(name).name}: {had}, of which the network is shown the first {seen}"
