"""From a sound file to samples at the run's rate, mono.

WAV is read by :mod:`striate.data.wav`, everything else by soundfile where it is installed (the extra
``audio``). Channels are averaged. Another rate is brought to the run's by a polyphase filter
(scipy.signal.resample_poly: linear phase, Kaiser window of 5.0, 20 zero crossings), n samples becoming
ceil(n * to / from).
"""

from __future__ import annotations

import functools
import io
import math
import posixpath
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data import wav
from striate.data.decode import Header, Unreadable
from striate.data.wav import Wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from striate.data.sequence import Sequences

ENDINGS = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"}
CROSSINGS, KAISER = 10, 5.0  # zero crossings of the resampling filter on each side, and its window's beta
PCM_16 = {"PCM_S8", "PCM_U8", "PCM_16"}  # soundfile's names of what int16 holds
MAGIC = {b"fLaC": "FLAC", b"OggS": "Ogg", b"FORM": "AIFF", b"ID3": "MP3"}


def named(name: str) -> bool:
    """Tell by its ending whether a file is a sound.

    >>> named("words/yes/1.WAV"), named("cat.jpg")
    (True, False)
    """
    return posixpath.splitext(name)[1].lower() in ENDINGS


def header(data: bytes) -> Header:
    r"""Read length, rate and depth: ``width`` is the length in samples, at the file's own rate.

    Raises Unreadable for what cannot be read rightly: cut off, without samples, of no known kind.

    >>> header(b"RIFF\x04\0\0\0WAVE")
    Traceback (most recent call last):
    striate.data.decode.Unreadable: cut off: the file ends before its first sample
    """
    found, dtype, kind = _described(data)
    mode = f"{found.rate:,} Hz, {kind}, {_channels(found.channels)}"
    return Header(found.frames or 0, 1, 1, dtype, mode, found.rate)


def decode(data: bytes, preprocess: Sequences) -> NDArray[Any]:
    """Read all samples, mono, at ``preprocess.rate`` and in ``preprocess.dtype``.

    Returns: (n, 1) int16, or float32 with full scale 1.   Raises Unreadable, for NaN and infinity too.
    """
    rate, samples = _samples(data)
    _check_numbers(samples)
    return to_depth(resampled(mono(samples), rate, preprocess.rate), preprocess.dtype)[:, None]


def mono(samples: NDArray[Any]) -> NDArray[Any]:
    """Average the channels: (n, channels) int16 or float32 -> (n,) of that dtype, int16 rounded to even.

    >>> mono(np.array([[1, 2], [3, 4]], np.int16))
    array([2, 4], dtype=int16)
    """
    if samples.shape[1] == 1:
        return samples[:, 0]
    mean = samples.mean(1, dtype=np.float64)
    return _rounded(mean) if samples.dtype == np.int16 else mean.astype(np.float32)


def resampled(samples: NDArray[Any], have: int, want: int) -> NDArray[Any]:
    """Bring (n,) samples from one rate to another: (ceil(n * want / have),), the same dtype.

    Kept within 0.1 dB: frequencies up to 0.8 of half the lower rate. Weakened by more than 55 dB: what would
    alias from 1.2 of it on, by 64 dB from 1.4 on; the filter's slope lies between (measured in the tests).
    """
    if have == want or not want:
        return samples
    from scipy.signal import resample_poly

    up, down = ratio(have, want)
    found = resample_poly(samples.astype(np.float32, copy=False), up, down, window=_filter(up, down))
    return _rounded(found) if samples.dtype == np.int16 else found.astype(np.float32, copy=False)


def to_depth(samples: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Change between int16 and float32, in which full scale is 1; what int16 cannot hold is clipped.

    >>> to_depth(np.array([-32768, 16384], np.int16), "float32")
    array([-1. ,  0.5], dtype=float32)
    """
    if samples.dtype == np.dtype(dtype):
        return samples
    if dtype == "float32":
        return samples.astype(np.float32) / np.float32(32768)
    return _rounded(samples * np.float32(32768))


def ratio(have: int, want: int) -> tuple[int, int]:
    """Reduce a change of rate: how many samples come from how many.

    >>> ratio(44100, 8000)
    (80, 441)
    """
    common = math.gcd(have, want)
    return want // common, have // common


@functools.lru_cache(maxsize=16)
def _filter(up: int, down: int) -> NDArray[np.float32]:
    from scipy.signal import firwin

    wider = max(up, down)
    taps: NDArray[np.float32] = firwin(
        2 * CROSSINGS * wider + 1, 1 / wider, window=("kaiser", KAISER)
    ).astype(np.float32)
    return taps


def _rounded(samples: NDArray[Any]) -> NDArray[np.int16]:
    rounded: NDArray[np.int16] = np.rint(samples).clip(-32768, 32767).astype(np.int16)
    return rounded


def _parsed(data: bytes) -> tuple[Wav, memoryview] | None:
    """Give a WAV file's header and the bytes of its samples; None for what another reader has to read."""
    if not wav.holds(data):
        return None
    try:
        return wav.parse(data)
    except wav.OtherCodec:
        return None


def _described(data: bytes) -> tuple[Wav, str, str]:
    """Give header, dtype and depth in words."""
    parsed = _parsed(data)
    if parsed is not None:
        found, raw = parsed
        if found.floating:
            _check_numbers(found.samples(raw))
        return found, found.dtype, f"{found.bits} bits" + (" float" if found.floating else "")
    with _opened_by_soundfile(data) as file:
        if not file.frames:
            raise Unreadable("holds no samples")
        found = Wav(file.samplerate, file.channels, 16, floating=False, frames=file.frames)
        return found, "int16" if file.subtype in PCM_16 else "float32", file.format


def _samples(data: bytes) -> tuple[int, NDArray[Any]]:
    parsed = _parsed(data)
    if parsed is not None:
        found, raw = parsed
        return found.rate, found.samples(raw)
    with _opened_by_soundfile(data) as file:
        depth = "int16" if file.subtype in PCM_16 else "float32"
        samples: NDArray[Any] = file.read(dtype=depth, always_2d=True)
        if len(samples) < file.frames:
            raise Unreadable(f"cut off: {len(samples):,} of {file.frames:,} samples are there")
        return file.samplerate, samples


def _check_numbers(samples: NDArray[Any]) -> None:
    if samples.dtype == np.float32 and not np.isfinite(samples).all():
        raise Unreadable("holds samples that are no numbers (NaN or infinite)")


@contextmanager
def _opened_by_soundfile(data: bytes) -> Iterator[Any]:
    soundfile = needs_soundfile(data[:12])
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            yield file
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise Unreadable("damaged, or no sound that soundfile reads") from error


def needs_soundfile(start: bytes) -> Any:
    """Import soundfile, or say which kind of file needs it."""
    if not start:
        raise Unreadable("is empty")
    try:
        import soundfile
    except ImportError as error:
        kind = next((word for magic, word in MAGIC.items() if start.startswith(magic)), "")
        kind = kind or ("compressed WAV" if wav.holds(start) else "what is not WAV")
        raise Unreadable(f"{kind} needs the extra audio: pip install 'striate[audio]'") from error
    return soundfile


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")
