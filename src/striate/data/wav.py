"""WAV files: what the header says and what the samples are, read from front to back so that a pipe will do.

Read are PCM of 8 (unsigned), 16, 24 and 32 bits and float of 32 and 64 bits, in RIFF or RF64, plain or
WAVE_FORMAT_EXTENSIBLE, with other chunks anywhere. Source: Multimedia Programming Interface and Data
Specifications 1.0 (IBM and Microsoft 1991); EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data.decode import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
RATES = (100, 1_000_000)
MOST_CHANNELS = 256
UNKNOWN = 0x7FFFF000  # from here on, a length is what writers put who cannot go back to fill it in
LARGEST_FORMAT = 1 << 16


class OtherCodec(Exception):  # noqa: N818 - says that another reader is asked
    """A WAV file whose samples are compressed, such as mu-law or ADPCM."""


@dataclass(frozen=True, slots=True)
class Wav:
    """The header. A frame is one sample of every channel.

    bits: of a sample as it is stored.   frames: None where the writer did not know how many would come.
    """

    rate: int
    channels: int
    bits: int
    floating: bool
    frames: int | None

    @property
    def frame_bytes(self) -> int:
        """Bytes that one frame takes."""
        return self.channels * self.bits // 8

    @property
    def dtype(self) -> str:
        """The narrower of "int16" and "float32" that holds the samples."""
        return "int16" if self.bits <= 16 and not self.floating else "float32"

    def samples(self, data: bytes | memoryview) -> NDArray[Any]:
        """Read the whole frames in ``data``: (n, channels) int16, or float32 with full scale 1."""
        whole = data[: len(data) // self.frame_bytes * self.frame_bytes]
        return _numbers(whole, self.bits, floating=self.floating).reshape(-1, self.channels)


def holds(start: bytes) -> bool:
    r"""Tell by its first 12 bytes whether a file is a WAV.

    >>> holds(b"RIFF\x24\0\0\0WAVEfmt "), holds(b"fLaC")
    (True, False)
    """
    return start[:4] in {b"RIFF", b"RF64"} and start[8:12] == b"WAVE"


def parse(data: bytes) -> tuple[Wav, memoryview]:
    """Give a file's header, with ``frames`` filled in, and the bytes of its samples.

    Raises Unreadable: fewer samples than announced, none, or bytes behind them that are no chunk; and
    OtherCodec.
    """
    file = io.BytesIO(data)
    wav = start(file.read)
    rest = memoryview(data)[file.tell() :]
    there = len(rest) // wav.frame_bytes
    frames = there if wav.frames is None else wav.frames
    if frames > there:
        raise Unreadable(f"cut off: {there:,} of {frames:,} samples are there")
    if frames == 0:
        raise Unreadable("holds no samples")
    end = frames * wav.frame_bytes
    behind = bytes(rest[end + end % 2 :][:8])
    if wav.frames is not None and not _is_chunk(behind):
        raise Unreadable(f"its header says {frames:,} samples, but more follow: {there:,} in all")
    return Wav(wav.rate, wav.channels, wav.bits, wav.floating, frames), rest[:end]


def start(read: Callable[[int], bytes]) -> Wav:
    """Read up to the first sample. Raises Unreadable, and OtherCodec."""
    riff = read(12)
    if not holds(riff):
        raise Unreadable("is no WAV file")
    declared = struct.unpack_from("<I", riff, 4)[0]
    form: tuple[int, int, int, int] | None = None
    long: int | None = None
    behind = 12
    while len(head := read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        behind += 8
        if name == b"data":
            if form is None:
                raise Unreadable("damaged: its samples come before their format")
            if size == 0xFFFFFFFF and long is not None:
                size = long
            # Zero may be the truth, or the place that was never filled in: then the file's own length
            # has nothing behind it either.
            unknown = size >= UNKNOWN and long is None
            unknown |= size == 0 and (declared + 8 <= behind or declared >= UNKNOWN)
            return _header(form, None if unknown else size)
        if name == b"fmt " and size <= LARGEST_FORMAT:
            form = _format(read(size))
        elif name == b"ds64" and 16 <= size <= LARGEST_FORMAT:
            body = read(size)
            long = struct.unpack_from("<Q", body, 8)[0] if len(body) == size else None
        else:
            _skip(read, size)
        _skip(read, size % 2)
        behind += size + size % 2
    raise Unreadable("cut off: the file ends before its first sample")


def _format(body: bytes) -> tuple[int, int, int, int]:
    """Give codec, channels, rate and bytes a frame."""
    if len(body) < 16:
        raise Unreadable("cut off: the file ends in its header")
    codec, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", body)
    if codec == EXTENSIBLE:
        if len(body) < 26:
            raise Unreadable("damaged: its header lacks the kind of its samples")
        (codec,) = struct.unpack_from("<H", body, 24)
    if codec not in {PCM, FLOAT}:
        raise OtherCodec
    if not 1 <= channels <= MOST_CHANNELS:
        raise Unreadable(f"its header says {channels:,} channels")
    if not RATES[0] <= rate <= RATES[1]:
        raise Unreadable(f"its header says {rate:,} samples a second")
    known = {4, 8} if codec == FLOAT else {1, 2, 3, 4}
    if frame != channels * -(-bits // 8) or frame // channels not in known:
        raise Unreadable(f"its header says samples of {bits} bits in frames of {frame} bytes")
    return codec, channels, rate, frame


def _header(form: tuple[int, int, int, int], size: int | None) -> Wav:
    codec, channels, rate, frame = form
    frames = None if size is None else size // frame
    return Wav(rate, channels, frame // channels * 8, codec == FLOAT, frames)


def _numbers(data: bytes | memoryview, bits: int, *, floating: bool) -> NDArray[Any]:
    if floating:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is then refused
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    if bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.int16) - np.int16(128)) << np.int16(8)
    if bits == 16:
        return np.frombuffer(data, "<i2").astype(np.int16)
    wide = np.zeros((len(data) * 8 // bits, 4), np.uint8)
    wide[:, 4 - bits // 8 :] = np.frombuffer(data, np.uint8).reshape(-1, bits // 8)
    return (wide.view("<i4")[:, 0] / np.float64(2**31)).astype(np.float32)


def _is_chunk(behind: bytes) -> bool:
    """Tell whether what follows the samples may: the end, filling with zeros, or a chunk, named in ASCII."""
    return not behind.strip(b"\0") or len(behind) < 8 or all(32 <= byte < 127 for byte in behind[:4])


def _skip(read: Callable[[int], bytes], size: int) -> None:
    while size > 0 and (block := read(min(size, 1 << 20))):
        size -= len(block)
