"""Long recordings: read once from front to back, a block at a time, with memory for one block.

A file or a stream of WAV, which may have no end; other formats from a file, through soundfile.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from striate.data import sound, wav
from striate.data.decode import Unreadable
from striate.data.listing import unreadable
from striate.data.wav import Wav
from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BLOCK = 1 << 16  # frames read at a time


@dataclass(frozen=True)
class Recording:
    """A recording of any length, read once from front to back.

    rate: samples a second of the blocks.   frames: their number as far as the header tells, else None.
    """

    rate: int
    frames: int | None
    _blocks: Iterable[NDArray[np.float32]]

    def blocks(self, frames: int) -> Iterator[NDArray[np.float32]]:
        """Yield (frames,) samples at a time, mono, full scale 1, the last block shorter.

        Raises DataError for samples that are no numbers, and for a stream that ends too early.
        """
        waiting: list[NDArray[np.float32]] = []
        count = 0
        for block in self._blocks:
            waiting.append(block)
            count += len(block)
            if count >= frames:
                joined = np.concatenate(waiting)
                whole = count // frames * frames
                yield from joined[:whole].reshape(-1, frames)
                waiting, count = [joined[whole:]], count - whole
        if count:
            yield np.concatenate(waiting)


@contextmanager
def recording(where: Path | IO[bytes], rate: int | None = None) -> Iterator[Recording]:
    """Open a recording to be read in blocks, with memory for one of them.

    where: a file; or a stream, such as a pipe, which must be WAV.   rate: samples a second wanted; None is
    the recording's own. Resampled blocks are those of the whole recording, to float32's rounding.
    Raises DataError where it cannot be read; a file that is cut off is refused here.
    """
    if not isinstance(where, Path):
        yield _opened(where, getattr(where, "name", "the stream"), None, rate)
        return
    try:
        file = where.open("rb")
    except OSError as error:
        raise unreadable(where, error) from error
    with file:
        yield _opened(file, where.name, os.fstat(file.fileno()).st_size, rate)


def _opened(file: IO[bytes], name: Any, size: int | None, rate: int | None) -> Recording:
    try:
        have, frames, blocks = _raw_blocks(file, str(name), size)
    except Unreadable as error:
        raise DataError(f"{name}: {error.reason}.", "Give a WAV file, or install the extra audio.") from error
    if rate is None or rate == have:
        return Recording(have, frames, blocks)
    return Recording(rate, frames and -(-frames * rate // have), _resampled_blocks(blocks, have, rate))


def _raw_blocks(
    file: IO[bytes], name: str, size: int | None
) -> tuple[int, int | None, Iterator[NDArray[np.float32]]]:
    """Give rate, number of frames and the mono blocks of an opened file.

    size: its bytes, None for a stream.
    """
    start = file.read(12)
    if wav.holds(start):
        ahead = io.BytesIO(start)
        try:
            found = wav.start(lambda n: ahead.read(n) or file.read(n))
        except wav.OtherCodec:
            found = None
        if found is not None:
            if size is not None:
                found = _fitting(found, size - file.tell())
            return found.rate, found.frames, _wav_blocks(file, found, name)
    if size is None:
        raise Unreadable("a stream must be WAV with PCM or float samples")
    file.seek(0)
    soundfile = sound.needs_soundfile(start)
    try:
        other = soundfile.SoundFile(file)
    except RuntimeError as error:  # soundfile's own errors are such
        raise Unreadable("it is no sound file that can be read") from error
    blocks = (sound.mono(block) for block in other.blocks(BLOCK, dtype="float32", always_2d=True))
    return other.samplerate, other.frames, _finite(blocks, name)


def _fitting(found: Wav, left: int) -> Wav:
    there = left // found.frame_bytes
    if found.frames is not None and found.frames > there:
        raise Unreadable(f"cut off: {there:,} of {found.frames:,} samples are there")
    if there == 0 or found.frames == 0:
        raise Unreadable("holds no samples")
    frames = there if found.frames is None else found.frames
    return Wav(found.rate, found.channels, found.bits, found.floating, frames)


def _wav_blocks(file: IO[bytes], found: Wav, name: str) -> Iterator[NDArray[np.float32]]:
    def raw() -> Iterator[NDArray[np.float32]]:
        left = found.frames
        while left is None or left > 0:
            wanted = BLOCK if left is None else min(BLOCK, left)
            data = file.read(wanted * found.frame_bytes)
            count = len(data) // found.frame_bytes
            if count:
                yield sound.to_depth(sound.mono(found.samples(data)), "float32")
            left = left and left - count
            if count < wanted:
                break
        if left:
            raise DataError(
                f"{name} ended {left / found.rate:,.1f} s before its header says.",
                "What came before was read; let the writer finish, or leave the length 0 in the header.",
            )

    return _finite(raw(), name)


def _finite(blocks: Iterable[NDArray[np.float32]], name: str) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        if not np.isfinite(block).all():
            raise DataError(
                f"{name} holds samples that are no numbers (NaN or infinite).", "Write it again as PCM."
            )
        yield block


def _resampled_blocks(
    blocks: Iterable[NDArray[np.float32]], have: int, want: int
) -> Iterator[NDArray[np.float32]]:
    """Resample without the whole: each part with as much around it as the filter reaches."""
    up, down = sound.ratio(have, want)
    # Parts begin at multiples of ``down``, where an input and an output sample fall together.
    around = down * -(-(sound.CROSSINGS * max(up, down) // up + 1) // down)
    held, lead = (
        np.empty(0, np.float32),
        0,
    )  # lead: samples in front that are only context, and were given out
    for block in blocks:
        held = np.concatenate([held, block])
        new = (len(held) - lead - around) // down * down
        if new < down:
            continue
        found = sound.resampled(held[: lead + new + around], have, want)
        yield found[lead * up // down :][: new * up // down]
        kept = min(around, lead + new)
        held, lead = held[lead + new - kept :], kept
    yield sound.resampled(held, have, want)[lead * up // down :]
