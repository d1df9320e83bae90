"""Decode every picture once, in parallel, into one array.

The array lives in memory, or in a mapped file where it would take more than half the free memory. What
was decoded is kept in a cache whose names follow from the content: the digests of the files, the part of
Preprocess that decides the pixels, and the versions of this module and of the two decoders.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import simplejpeg
from PIL import Image

from striate import files
from striate.data import cache as disk
from striate.data import decode, sequence
from striate.data.decode import Unreadable
from striate.data.sequence import Sequences
from striate.data.survey import CHUNK, Survey, in_parallel, nothing_readable, read, survey
from striate.errors import DataError, StriateError
from striate.events import Emit, Warned, Working, ignore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.data.preprocess import Preprocess
    from striate.data.sources import Source

__all__ = ["Store", "Survey", "build", "survey", "thumb"]

VERSION = 1  # of the cached form: raise it when the same file would now give other pixels
THUMB = 32
CHUNK_BYTES = 2**24
NOTHING = np.zeros((THUMB, THUMB), np.uint8)  # in place of a thumbnail where there is no picture


@dataclass(frozen=True)
class Store:
    """Decoded pictures.

    pixels: (M, size, size, C), of sequences (M, L, C'), in memory or a map of a file.
    rows: (M,) index into source.samples.   unreadable: index -> reason, of all files that are left out.
    thumbs: (M, 32, 32) uint8 grey, squashed; black for sequences.
    """

    pixels: NDArray[Any]
    rows: NDArray[np.int64]
    unreadable: dict[int, str]
    thumbs: NDArray[np.uint8]


def build(
    source: Source,
    survey: Survey,
    preprocess: Preprocess | Sequences,
    *,
    cache: bool = True,
    emit: Emit = ignore,
) -> Store:
    """Decode the surveyed pictures to what ``preprocess`` says, or take them from the cache.

    Raises DataError where no picture can be read, StriateError where pictures that do not fit in memory do
    not fit on the disk either. A cache that cannot be written is only a warning.
    """
    try:
        return _built(_Work(source, survey, preprocess, emit), cache=cache)
    finally:
        survey.kept.clear()  # it lives as long as the training, which has no use for the files' bytes


def _built(work: _Work, *, cache: bool) -> Store:
    large = work.bytes > disk.free_memory() // 2
    if not large and (not cache or work.is_plain()):
        return work.in_memory()
    path = files.cache_folder() / "pixels" / f"{work.key()}.npy"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(
            OSError, StriateError
        ):  # without a lock two processes do the same work, safely
            stack.enter_context(files.only_one(work.alive_at(path.with_suffix(".lock")), patience=10))
        entry = disk.load(path, mapped=large)
        if entry is not None:
            return _store(*entry)
        store = work.in_file(path) if large else work.in_memory()
        try:
            rows = store.rows.tolist()
            disk.finish(
                path, store.pixels, store.thumbs, rows, store.unreadable, write=not large, alive=work.alive
            )
            disk.prune(path.parent, keep=path)
        except (OSError, StriateError) as error:
            work.emit(
                Warned(
                    f"The decoded pictures are not kept for the next time. {getattr(error, 'message', error)}"
                )
            )
        return store


class _Work:
    """One build: which pictures to decode, and to what."""

    def __init__(
        self, source: Source, survey: Survey, preprocess: Preprocess | Sequences, emit: Emit
    ) -> None:
        self.source, self.survey, self.preprocess, self.emit = source, survey, preprocess, emit
        self.unreadable = dict(survey.unreadable)
        self.todo = [i for i in range(len(source.samples)) if i not in survey.unreadable]
        self.shape = (len(self.todo), *preprocess.stored)
        self.bytes = int(np.prod(self.shape)) * np.dtype(preprocess.dtype).itemsize
        self.lock: Path | None = None

    def is_plain(self) -> bool:
        """Whether decoding is a copy: arrays that have the right size already."""
        fits = (self.survey.sizes == self.preprocess.stored[0]).all()
        try:
            return bool(fits) and isinstance(read(self.source, self.todo[0]), np.ndarray)
        except Unreadable:  # it went since the survey; decode counts it among the others
            return False

    def key(self) -> str:
        """Name the result by everything that decides it."""
        how = [[VERSION, PIL.__version__, simplejpeg.__version__], *self.preprocess.decides]
        described = json.dumps([how, self.survey.digests, sorted(self.survey.unreadable)])
        return files.digest(described.encode())

    def alive_at(self, lock: Path) -> Path:
        """Touch this lock while the work goes on, so that others can tell it from one left by a crash."""
        self.lock = lock
        return lock

    def in_memory(self) -> Store:
        pixels = np.empty(self.shape, self.preprocess.dtype)
        filled = 0

        def append(chunk: NDArray[Any]) -> None:
            nonlocal filled
            pixels[filled : filled + len(chunk)] = chunk
            filled += len(chunk)

        rows, thumbs = self.decode(append)
        return _store(pixels[: len(rows)], thumbs, rows, self.unreadable)

    def in_file(self, path: Path) -> Store:
        try:
            with disk.appending(path, self.shape, self.preprocess.dtype) as (append, kept):
                rows, thumbs = self.decode(append)
                kept(len(rows))
        except DataError:
            raise
        except StriateError as error:
            raise StriateError(
                f"Decoded, they take {self.bytes / 1e9:.1f} GB: more than the memory. {error.message}",
                "Free some space, let STRIATE_CACHE name a folder on a larger disk, or lower "
                f"{'--length' if isinstance(self.preprocess, Sequences) else '--size'}.",
            ) from error
        return _store(np.load(path, mmap_mode="r", allow_pickle=False), thumbs, rows, self.unreadable)

    def decode(self, append: Callable[[NDArray[Any]], Any]) -> tuple[list[int], NDArray[np.uint8]]:
        """Decode in order, some at a time; give the rows that could be read and their thumbnails."""

        def one(i: int) -> tuple[NDArray[Any], NDArray[np.uint8]] | str:
            try:
                data = self.survey.read(self.source, i)
                p = self.preprocess
                if isinstance(p, Sequences):
                    return p.pixels(sequence.decode(data, p)), NOTHING
                picture = decode.decode(data, p.channels, p.dtype, p.enough)
            except Unreadable as error:
                return error.reason
            tiny = picture.shape == (THUMB, THUMB, 3) and picture.dtype == np.uint8
            return p.pixels(picture), picture if tiny else thumb(picture)

        rows, small = [], [np.empty((0, THUMB, THUMB), np.uint8)]
        chunk = max(1, min(CHUNK, CHUNK_BYTES * len(self.todo) // max(1, self.bytes)))
        done = iter(self.todo)
        for results in in_parallel(one, self.todo, chunk, f"reading {self.source.noun}", self._tell):
            made = []
            for result, i in zip(results, done, strict=False):
                if isinstance(result, str):
                    self.unreadable[i] = result
                else:
                    made.append(result)
                    rows.append(i)
            if made:
                append(np.stack([pixels for pixels, _ in made]))
                small.append(_thumbs([small for _, small in made]))
        if not rows:
            raise nothing_readable(self.source, self.unreadable)
        return rows, np.concatenate(small)

    def alive(self) -> None:
        if self.lock is not None:
            with contextlib.suppress(OSError):
                os.utime(self.lock)

    def _tell(self, event: Working) -> None:
        self.alive()
        self.emit(event)


def _store(
    pixels: NDArray[Any], thumbs: NDArray[np.uint8], rows: list[int], unreadable: dict[int, str]
) -> Store:
    return Store(pixels, np.array(rows, np.int64), dict(sorted(unreadable.items())), thumbs)


def _thumbs(small: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put thumbnails together; the colour pictures of that very size among them turn grey all at once."""
    thumbs = np.empty((len(small), THUMB, THUMB), np.uint8)
    colours = [i for i, each in enumerate(small) if each.ndim == 3]
    for i, each in enumerate(small):
        if each.ndim == 2:
            thumbs[i] = each
    if colours:
        thumbs[colours] = decode.grey(np.stack([small[i] for i in colours]))
    return thumbs


def thumb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Average a decoded picture (H, W, C) into 32 x 32 grey levels.

    More depth than 8 bits is stretched from the picture's least to its greatest value.
    """
    if picture.dtype != np.uint8:
        grey = picture.mean(2, dtype=np.float32)
        low, high = float(grey.min()), float(grey.max())
        picture = ((grey - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)[:, :, None]
    elif picture.shape[2] not in {1, 3}:
        picture = picture.mean(2, keepdims=True).astype(np.uint8)
    image = Image.fromarray(picture if picture.shape[2] == 3 else picture[:, :, 0])
    return np.asarray(image.convert("L").resize((THUMB, THUMB), Image.Resampling.BOX))
