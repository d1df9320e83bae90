"""What somebody gives a finished run: read as in training, and told where it is of another kind."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.data.given import files_in, read
from striate.data.sequence import Sequences
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SOUND = Sequences(modality="sound", channels=1, length=300, rate=1000, dtype="int16")
TEXT = Sequences(modality="symbols", channels=3, length=5, alphabet="abc", dtype="uint8")
SERIES = Sequences(modality="series", channels=2, length=4)


def wav(path: Path, steps: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 1000, 0, "NONE", ""))
        file.writeframes(np.arange(1, steps + 1, dtype="<i2").tobytes())
    return path


def test_a_folder_of_sounds_is_every_sound_in_it_and_what_is_cut_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name, steps in (("a/short.wav", 200), ("long.WAV", 500), (".hidden/no.wav", 100)):
        wav(tmp_path / name, steps)
    (tmp_path / "notes.md").write_text("no sound")
    wav(tmp_path / "broken.wav", 100).write_bytes(b"RIFF\x04\0\0\0WAVE")
    found = read([tmp_path], SOUND)
    assert [name.rpartition("/")[2] for name in found.names] == ["short.wav", "long.WAV"]
    assert found.stored.shape == (2, 300, 1)
    assert found.stored[0, :200, 0].tolist() == list(range(1, 201))
    assert not found.stored[0, 200:].any()
    assert found.notes == ["", "long.WAV: 0.5 s, of which the network is shown the first 0.3 s"]
    assert [reason for _, reason in found.unreadable] == ["cut off: the file ends before its first sample"]


def test_a_text_is_as_many_sequences_as_it_has_lines_by_the_alphabet_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_text("abz\n\ncabcab\n")
    found = read([path], TEXT)
    assert found.names == ["new.txt:1", "new.txt:3"]
    assert found.stored[..., 0].tolist() == [[1, 2, 4, 0, 0], [3, 1, 2, 3, 1]]
    assert found.notes == ["", "new.txt:3: 6 steps, of which the network is shown the first 5"]


def test_arrays_are_raw_steps(tmp_path: Path) -> None:
    found = read([np.ones((3, 2)), np.ones((9, 3))], SERIES)
    assert found.names == ["sequence 0"]
    assert np.isnan(found.stored[0, 3]).all()
    assert found.unreadable == [("sequence 1", "3 numbers a step, where the run takes 2")]
    halves = read([np.full((10, 2), [0.5, 0.0])], SOUND)
    assert halves.stored[0, :10, 0].tolist() == [8192] * 10


def test_nothing_readable_leaves_an_empty_array() -> None:
    assert read([np.ones((9, 3))], SERIES).stored.shape == (0, 4, 2)


def test_other_kinds_and_missing_files_are_told(tmp_path: Path) -> None:
    sound = wav(tmp_path / "a.wav", 10)
    with pytest.raises(DataError, match="holds no symbols, which this run takes"):
        read([sound], TEXT)
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n")
    with pytest.raises(DataError, match="holds series, and this run takes symbols"):
        read([tmp_path / "t.csv"], TEXT)
    with pytest.raises(DataError, match="does not exist"):
        files_in([tmp_path / "no.wav"], "sound")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no recordings"):
        files_in([tmp_path / "empty"], "sound")
