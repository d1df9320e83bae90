"""Read every file once without decoding its pixels: what it is, and a digest of its content.

What was read is handed on to the decoding as far as memory allows, so a file is opened once.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
import zlib
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from striate import files
from striate.data import cache, decode, sequence
from striate.data.decode import Header, Unreadable
from striate.errors import DataError, StriateError
from striate.events import Emit, Working, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from striate.data.sources import Source

T = TypeVar("T")
Depth = Literal["uint8", "uint16", "float32"]

CHUNK = 64  # pictures a thread takes at a time
WORKERS = min(8, os.cpu_count() or 1)
FIRST = 16  # pictures that tell whether threads are worth it
QUICK = 2e-4  # seconds; what takes less is mostly Python, which only one thread at a time can run
KEPT_BYTES = 2**30  # of files between survey and decoding, and never more than an eighth of the free memory


@dataclass(frozen=True)
class Survey:
    """What the files say without decoding their pixels; lists run along source.samples.

    digests: of each file's bytes ("" where it could not be read).   unreadable: index -> reason.
    kept: index -> the bytes that were read, for the first to decode them, who takes them out.
    """

    digests: list[str]
    headers: list[Header | None]
    unreadable: dict[int, str]
    kept: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)

    def read(self, source: Source, i: int) -> bytes | NDArray[Any]:
        """Give one file or array, read anew only where its bytes were not kept. Raises Unreadable."""
        data = self.kept.pop(i, None)
        return read(source, i) if data is None else data

    @property
    def readable(self) -> list[Header]:
        """The headers of the pictures that can be used."""
        return [h for i, h in enumerate(self.headers) if h is not None and i not in self.unreadable]

    @property
    def channels(self) -> int:
        """1 if all pictures are grey, 3 where any is in colour, else what the files hold."""
        return max(header.channels for header in self.readable)

    @property
    def dtype(self) -> Depth:
        """The depth that loses nothing of any picture."""
        found = {header.dtype for header in self.readable}
        return "float32" if "float32" in found else "uint16" if "uint16" in found else "uint8"

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Width and height of the usable pictures: (M, 2)."""
        return np.array([(header.width, header.height) for header in self.readable], np.int64).reshape(-1, 2)

    def fingerprint(self, source: Source) -> str:
        """Hash of the data: every file's content, name, label, split and group."""
        described = [
            [digest, s.name, s.target, s.split, s.group]
            for digest, s in zip(self.digests, source.samples, strict=True)
        ]
        return files.digest(json.dumps(described).encode())


def survey(source: Source, emit: Emit = ignore) -> Survey:
    """Read every file once, without its pixels: digest, size, channels, depth.

    Raises DataError where not one of them is a picture.
    """
    room = min(KEPT_BYTES, cache.free_memory() // 8)
    pictures = source.modality == "pictures"

    def look(i: int) -> tuple[str, Header | str, bytes]:
        try:
            data = read(source, i)
        except Unreadable as error:
            return "", error.reason, b""
        parts = (
            (f"{data.shape}{data.dtype}".encode(), data.tobytes())
            if isinstance(data, np.ndarray)
            else (data,)
        )
        try:
            header = decode.header(data) if pictures else sequence.header(data, source.modality)
            return files.digest(*parts), header, b"" if isinstance(data, np.ndarray) else data
        except Unreadable as error:
            return files.digest(*parts), error.reason, b""

    digests: list[str] = []
    headers: list[Header | None] = []
    unreadable: dict[int, str] = {}
    kept: dict[int, bytes] = {}
    for found in in_parallel(look, range(len(source.samples)), CHUNK, f"checking {source.noun}", emit):
        for digest, what, data in found:
            room -= len(data)
            if data and room >= 0:
                kept[len(digests)] = data
            if isinstance(what, str):
                unreadable[len(digests)] = what
            headers.append(None if isinstance(what, str) else what)
            digests.append(digest)
    if source.modality != "sound":  # which is mixed to one channel
        _refuse_other_channels(headers, unreadable, source.noun, mixes={1, 3} if pictures else set())
    if len(unreadable) == len(headers):
        raise nothing_readable(source, unreadable)
    return Survey(digests, headers, dict(sorted(unreadable.items())), kept)


def read(source: Source, i: int) -> bytes | NDArray[Any]:
    """Read one file or array. Raises Unreadable."""
    try:
        return source.read(i)
    except StriateError as error:
        raise Unreadable(error.message) from error
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Unreadable("damaged in its archive") from error


def in_parallel(
    work: Callable[[int], T], todo: Sequence[int], chunk: int, what: str, emit: Callable[[Working], None]
) -> Iterator[list[T]]:
    """Do the work in order, a chunk at a time, never far ahead of who takes the results.

    In threads, unless the first pictures show that each is done too quickly: threads that wait for each
    other at every small file are slower than one alone.
    """

    def some(start: int) -> list[T]:
        return [work(i) for i in todo[start : start + chunk]]

    def timed(i: int) -> tuple[T, float]:
        began = time.perf_counter()
        return work(i), time.perf_counter() - began

    def all_chunks() -> Iterator[list[T]]:
        first = [timed(i) for i in todo[: min(FIRST, chunk)]]
        yield [result for result, _ in first]
        starts = iter(range(len(first), len(todo), chunk))
        if not first or median(seconds for _, seconds in first) < QUICK:
            yield from map(some, starts)
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            waiting = deque(pool.submit(some, start) for start in islice(starts, 2 * WORKERS))
            try:
                while waiting:
                    results = waiting.popleft().result()
                    waiting.extend(pool.submit(some, start) for start in islice(starts, 1))
                    yield results
            finally:
                for future in waiting:
                    future.cancel()

    done, told = 0, 0.0
    with decode.quiet():
        for results in all_chunks():
            done += len(results)
            if done == len(todo) or time.monotonic() - told > 0.1:
                told = time.monotonic()
                emit(Working(what, done, len(todo), what.rsplit(" ", 1)[-1]))
            yield results


def _refuse_other_channels(
    headers: list[Header | None], unreadable: dict[int, str], noun: str, mixes: set[int]
) -> None:
    """Grey and colour go together; other numbers of channels do not mix: most files decide."""
    kinds = [h if h is None else 3 if h.channels in mixes else h.channels for h in headers]
    counts = Counter(kind for kind in kinds if kind is not None)
    most = max(counts, key=lambda kind: counts[kind], default=None)
    for i, (kind, header) in enumerate(zip(kinds, headers, strict=True)):
        if kind != most and header is not None:
            expected = "1 or 3" if most == 3 and mixes else str(most)
            unreadable[i] = f"{header.channels} channels, where most {noun} have {expected}"


def nothing_readable(source: Source, unreadable: dict[int, str]) -> DataError:
    """Say that not one file of many is a picture."""
    first, reason = next(iter(sorted(unreadable.items())))
    return DataError(
        f"{source.name}: none of the {len(source.samples)} files can be read as {source.noun}.",
        f"The first is {source.samples[first].name}: {reason}.",
    )
