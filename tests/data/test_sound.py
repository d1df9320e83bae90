"""Sounds: our WAV reader beside soundfile, the standard library and scipy; files that lie; resampling."""

from __future__ import annotations

import io
import math
import struct
import sys
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from striate.data import sound
from striate.data.decode import Unreadable
from striate.data.recording import recording
from striate.data.sequence import Sequences
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(0)
NOISE = RNG.uniform(-0.9, 0.9, (501, 2))


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes, size: int | None = None, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if size is None else size) + body


def form(codec: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, extra: bytes = b"") -> bytes:
    frame = channels * -(-bits // 8)
    return chunk(b"fmt ", struct.pack("<HHIIHH", codec, channels, rate, rate * frame, frame, bits) + extra)


def pcm(n: int = 10) -> bytes:
    return np.arange(1, n + 1, dtype="<i2").tobytes()


def read(data: bytes, rate: int = 0, dtype: Any = "float32") -> NDArray[Any]:
    return sound.decode(data, Sequences(modality="sound", channels=1, length=9, rate=rate, dtype=dtype))[:, 0]


def written(samples: NDArray[Any], subtype: str, format: str = "WAV", rate: int = 16000) -> bytes:  # noqa: A002 - soundfile's word
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=format)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_equal_to_soundfile(subtype: str, kind: str, channels: int) -> None:
    data = written(NOISE[:, :channels], subtype, kind)
    oracle, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    header = sound.header(data)
    assert (header.width, header.rate) == (501, rate)
    assert header.dtype == ("int16" if subtype in {"PCM_U8", "PCM_16"} else "float32")
    exact = 2**-24 if header.dtype == "float32" else (channels - 1) * 2**-16  # float32, or rounded again
    np.testing.assert_allclose(read(data), oracle.mean(1), rtol=0, atol=exact)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=40))
def test_16_bits_come_back_as_they_were(values: list[int]) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 11025, 0, "NONE", ""))
        writer.writeframes(np.array(values, "<i2").tobytes())
    data = file.getvalue()
    assert sound.header(data).mode == "11,025 Hz, 16 bits, mono"
    assert read(data, dtype="int16").tolist() == values == wavfile.read(io.BytesIO(data))[1].tolist()


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.integers(-(2**23), 2**23 - 1)] * 3), min_size=1, max_size=20))
def test_24_bits_of_three_channels_are_averaged(values: list[tuple[int, int, int]]) -> None:
    body = b"".join((v & 0xFFFFFF).to_bytes(3, "little") for frame in values for v in frame)
    found = read(riff(form(channels=3, bits=24), chunk(b"data", body)))
    np.testing.assert_allclose(found, np.mean(values, axis=1) / 2**23, rtol=0, atol=2**-23)


def test_other_chunks_before_and_after_and_odd_ones() -> None:
    data = riff(
        chunk(b"LIST", b"odd"), form(), chunk(b"junk", b""), chunk(b"data", pcm()), chunk(b"id3 ", b"x")
    )
    assert read(data, dtype="int16").tolist() == list(range(1, 11))
    odd = riff(form(bits=8), chunk(b"data", bytes([128, 129, 127])), chunk(b"LIST", b"abcd"))
    assert read(odd, dtype="int16").tolist() == [0, 256, -256]


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("whole", [0, 36, 0xFFFFFFFF])
def test_a_length_that_the_writer_never_filled_in_is_the_files_own(size: int, whole: int) -> None:
    data = riff(form(), chunk(b"data", pcm(), size), size=whole)
    assert sound.header(data).width == 10
    assert read(data, dtype="int16").tolist() == list(range(1, 11))


GOOD = riff(form(), chunk(b"data", pcm()))
FLOATS = riff(form(codec=3, bits=32), chunk(b"data", struct.pack("<3f", 0.5, math.nan, 0)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (GOOD[:-2], "cut off: 9 of 10 samples"),
        (GOOD[:44], "cut off: 0 of 10"),
        (GOOD[:30], "cut off: the file ends in its header"),
        (GOOD[:36], "cut off: the file ends before its first sample"),
        (riff(form(), chunk(b"data", b"")), "holds no samples"),
        (riff(form(), chunk(b"data", b""), chunk(b"LIST", b"abcd")), "holds no samples"),
        (riff(form(), chunk(b"data", pcm(), 1000)), "cut off: 10 of 500"),
        (riff(form(), chunk(b"data", pcm(500), 20)), "its header says 10 samples, but more follow: 500"),
        (riff(chunk(b"data", pcm()), form()), "its samples come before their format"),
        (riff(form(channels=0), chunk(b"data", pcm())), "its header says 0 channels"),
        (riff(form(channels=9999), chunk(b"data", pcm())), "its header says 9,999 channels"),
        (riff(form(rate=0), chunk(b"data", pcm())), "its header says 0 samples a second"),
        (riff(form(rate=2_000_000), chunk(b"data", pcm())), "its header says 2,000,000 samples a second"),
        (riff(form(bits=48), chunk(b"data", pcm())), "samples of 48 bits in frames of 6 bytes"),
        (riff(form(codec=0xFFFE), chunk(b"data", pcm())), "lacks the kind of its samples"),
        (b"a text, no sound", "damaged, or no sound that soundfile reads"),
        (b"RIFX" + GOOD[4:], "damaged, or no sound"),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_cannot_be_read_rightly_is_not_read(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        sound.header(data)
    with pytest.raises(Unreadable, match=reason):
        read(data)


def test_no_numbers_are_found_before_and_when_the_samples_are_read() -> None:
    huge = riff(form(codec=3, bits=64), chunk(b"data", struct.pack("<d", 1e300)))
    for data in (FLOATS, huge):
        for reader in (sound.header, read):
            with pytest.raises(Unreadable, match="no numbers"):
                reader(data)


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(0, len(GOOD)))
def test_damaged_bytes_never_raise_anything_else(junk: bytes, at: int) -> None:
    for data in (GOOD[:at] + junk, GOOD[:at] + junk + GOOD[at + len(junk) :], b"RIFF\0\0\0\0WAVE" + junk):
        try:
            header = sound.header(data)
        except Unreadable:
            continue
        assert len(read(data)) == header.width


@pytest.mark.parametrize(
    ("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_24"), ("WAV", "ULAW")]
)
def test_other_formats_through_soundfile(kind: str, subtype: str) -> None:
    data = written(NOISE[:, :1], subtype, kind)
    oracle, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert sound.header(data).width == 501
    np.testing.assert_array_equal(read(data), oracle)


def test_without_soundfile_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert read(GOOD, dtype="int16").tolist() == list(range(1, 11))
    for data, kind in (
        (b"fLaC" + GOOD, "FLAC"),
        (written_ulaw(), "compressed WAV"),
        (b"text", "what is not WAV"),
    ):
        with pytest.raises(
            Unreadable, match=rf"^{kind} needs the extra audio: pip install 'striate\[audio\]'$"
        ):
            sound.header(data)


def written_ulaw() -> bytes:
    return riff(form(codec=7, bits=8), chunk(b"data", bytes(10)))


def test_int16_and_float_hold_the_same_sound() -> None:
    data = written(NOISE[:, :1], "PCM_24")
    assert np.abs(read(data, dtype="int16") / 32768 - read(data)).max() <= 2**-16
    loud = riff(form(codec=3, bits=32), chunk(b"data", struct.pack("<2f", 1.5, -1.5)))
    assert read(loud, dtype="int16").tolist() == [32767, -32768]
    assert read(loud).tolist() == [1.5, -1.5]


def tone(frequency: float, rate: int, seconds: float = 1) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def level(samples: NDArray[Any]) -> float:
    """In dB of a full sine, away from the ends."""
    inner = samples[len(samples) // 8 : -len(samples) // 8].astype(np.float64)
    return 20 * math.log10(math.sqrt(2 * np.square(inner).mean()) + 1e-12)


@pytest.mark.parametrize(("have", "want"), [(16000, 8000), (44100, 8000), (48000, 16000), (48000, 44100)])
def test_resampling_keeps_what_fits_and_removes_what_would_alias(have: int, want: int) -> None:
    half = min(have, want) / 2
    for share in (0.1, 0.3, 0.5, 0.8):
        found = sound.resampled(tone(share * half, have), have, want)
        assert np.abs(found - tone(share * half, want))[200:-200].max() < 0.01
        assert abs(level(found)) < 0.1
    for share, limit in ((1.2, -55), (1.4, -64), (1.8, -64), (1.9, -64)):
        if share * half < have / 2:
            assert level(sound.resampled(tone(share * half, have), have, want)) < limit


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 300), st.sampled_from([8000, 11025, 16000, 22050]), st.sampled_from([8000, 12000, 44100])
)
def test_the_length_after_resampling(n: int, have: int, want: int) -> None:
    assert len(sound.resampled(np.ones(n, np.int16), have, want)) == math.ceil(n * want / have)


def test_decode_brings_every_file_to_the_runs_rate() -> None:
    data = written(tone(440, 16000), "PCM_16", rate=16000)
    found = read(data, rate=8000, dtype="int16")
    assert found.dtype == np.int16
    assert np.abs(found / 32768 - tone(440, 8000))[100:-100].max() < 0.01


# ---- a block at a time ------------------------------------------------------------------------------


@pytest.mark.parametrize("want", [None, 8000, 16000, 11025, 48000])
def test_blocks_are_those_of_the_whole(tmp_path: Path, want: int | None) -> None:
    noise = RNG.normal(0, 0.1, (200_001, 2)).astype(np.float32)
    path = tmp_path / "long.wav"
    path.write_bytes(written(noise, "FLOAT", rate=16000))
    whole = sound.resampled(noise.mean(1), 16000, want or 16000)
    with recording(path, want) as found:
        assert (found.rate, found.frames) == (want or 16000, len(whole))
        blocks = list(found.blocks(1000))
    assert {len(block) for block in blocks[:-1]} == {1000}
    np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=1e-6)


def test_a_stream_is_read_without_seeking() -> None:
    class Pipe(io.BytesIO):
        name = "pipe"

        def seek(self, *_: int) -> int:
            raise OSError("a pipe cannot")

    endless = riff(form(), chunk(b"data", pcm(1000), 0xFFFFFFFF))
    with recording(Pipe(endless)) as found:
        assert found.frames is None
        assert np.concatenate(list(found.blocks(300))).tolist() == (np.arange(1, 1001) / 32768).tolist()
    with recording(Pipe(riff(form(), chunk(b"data", pcm(1000), 4000)))) as found:
        blocks = found.blocks(300)
        assert len(next(blocks)) == 300
        with pytest.raises(DataError, match="pipe ended"):
            list(blocks)
    with pytest.raises(DataError, match="a stream must be WAV"), recording(Pipe(b"fLaC")):
        pass


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD[:-2], "x.wav: cut off: 9 of 10"),
        (riff(form(), chunk(b"data", b"")), "x.wav: holds no samples"),
        (FLOATS, "x.wav holds samples that are no numbers"),
        (b"", "x.wav: is empty"),
    ],
    ids=["cut off", "no samples", "NaN", "empty"],
)
def test_bad_recordings_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(DataError, match=message), recording(tmp_path / "x.wav") as found:
        list(found.blocks(100))


def test_a_flac_is_read_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "x.flac").write_bytes(written(NOISE, "PCM_16", "FLAC"))
    with recording(tmp_path / "x.flac") as found:
        blocks = list(found.blocks(200))
    assert [len(block) for block in blocks] == [200, 200, 101]
    np.testing.assert_allclose(np.concatenate(blocks), NOISE.mean(1), atol=2**-15)
