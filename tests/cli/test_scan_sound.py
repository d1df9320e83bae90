"""What ``striate scan`` says of a recording: a high and a low tone, somewhere in seconds of noise."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import sys
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate import api
from striate.cli.main import main
from striate.data import sound
from striate.data.sequence import Sequences
from striate.runs.load import preprocess_of
from striate.scan.heard import Heard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 4000
TONES = {"low": 400, "high": 1500}


def noise(seconds: float, random: np.random.Generator) -> NDArray[Any]:
    return random.normal(0, 300, round(seconds * RATE))


def with_tone(hertz: int, at: float, seconds: float, random: np.random.Generator) -> NDArray[Any]:
    """Put a tone of 0.3 s into noise, its middle at a time."""
    made = noise(seconds, random)
    first = round((at - 0.15) * RATE)
    made[first : first + 1200] += 3000 * np.sin(2 * np.pi * hertz / RATE * np.arange(1200))
    return made


def write(path: Path, samples: NDArray[Any], rate: int = RATE, *, streamed: bool = False) -> Path:
    """Write 16-bit mono WAV; streamed: with the length that a writer leaves which knows no end."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples).astype("<i2").tobytes())
    data = bytearray(buffer.getvalue())
    if streamed:
        struct.pack_into("<I", data, 4, 0xFFFFFFFF)
        struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on half a second of noise with a tone anywhere in it, or without: the run folder."""
    root = tmp_path_factory.mktemp("heard")
    random = np.random.default_rng(0)
    for i in range(30):
        for name, hertz in TONES.items():
            (root / "d" / name).mkdir(parents=True, exist_ok=True)
            write(root / "d" / name / f"{i}.wav", with_tone(hertz, random.uniform(0.15, 0.35), 0.5, random))
        (root / "d" / "nothing").mkdir(exist_ok=True)
        write(root / "d" / "nothing" / f"{i}.wav", noise(0.5, random))
    words = ["--model", "tdnn", "--epochs", "8", "--batch", "16", "--out", str(root / "run")]
    assert main(["train", str(root / "d"), *words]) == 0
    return root / "run"


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds with a low tone at 2.0 and a high one at 6.5 s."""
    random = np.random.default_rng(1)
    made = [with_tone(400, 2.0, 4.0, random), with_tone(1500, 2.5, 5.0, random)]
    return write(tmp_path_factory.mktemp("tones") / "a <b>.wav", np.concatenate(made))


def scanned(run: Path, file: Path | str, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["scan", str(run), str(file), "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_tone_is_heard_once_and_when_it_sounds(
    heard: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scanned(heard, tones, capsys, "--threshold", "0.9")
    assert (found["mode"], found["rate"], found["window"], found["seconds"]) == ("exact", RATE, 0.5, 9.0)
    assert found["hop"] == pytest.approx(0.02)
    assert found["difference"] < 1e-4
    assert set(found["answer"]) == {"low", "high"} == set(found["classes"])
    for name, time in (("low", 2.0), ("high", 6.5)):
        (one,) = found["classes"][name]["detections"]
        assert abs(one["time"] - time) < 0.2
        assert one["end"] - one["start"] == pytest.approx(0.5)
        assert one["score"] == found["classes"][name]["best"] > 0.9


def test_scores_are_those_of_windows_cut_by_hand_prepared_as_in_training(heard: Path, tmp_path: Path) -> None:
    run = striate.load(heard)
    preprocess = preprocess_of(run)
    assert isinstance(preprocess, Sequences)
    path = write(tmp_path / "fast.wav", 3000 * np.sin(np.arange(3 * 11025) ** 1.3 / 50), rate=11025)
    found = api.scan(run, path)
    assert isinstance(found, Heard)
    raw = sound.decode(path.read_bytes(), preprocess)[:, 0]
    assert found.seconds == len(raw) / RATE
    hop = round(found.hop * RATE)
    cut = np.stack([raw[start : start + 2000] for start in range(0, len(raw) - 1999, hop)])
    with torch.no_grad():
        wanted = run.model(preprocess.tensor(torch.from_numpy(cut)[:, None])).softmax(1).T
    assert found.scores.values.shape[1] == len(cut)
    for name, line in zip(found.names, found.scores.values.sigmoid(), strict=True):
        assert torch.allclose(line, wanted[run.classes.index(name)], atol=1e-5)


def test_a_stream_without_an_end_is_heard_as_its_file(
    heard: Path,
    tones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = scanned(heard, tones, capsys)
    with wave.open(str(tones)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    endless = write(tmp_path / "endless.wav", samples, streamed=True)
    with endless.open("rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        assert main(["scan", str(heard), "-", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == wanted | {"file": "the stream"}
    assert re.search(r"^ +\d+\.\d\d s +low +\d", told.err, re.MULTILINE)


def test_a_rate_of_false_alarms_gives_each_class_its_threshold(
    heard: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(heard), str(tones), "--alarms", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name, one in found["classes"].items():
        alarms = one["alarms"]
        assert alarms["alarms"] <= 60 * alarms["minutes"], name
        assert alarms["low"] <= alarms["alarms"] / alarms["minutes"] <= alarms["high"]
        assert all(place["odds"] >= alarms["odds"] for place in one["detections"])
    # A tenth of the clips is less than a minute: one alarm a minute cannot be shown, and that is said.
    assert main(["scan", str(heard), str(tones), "--alarms", "1", "--class", "low"]) == 0
    told = capsys.readouterr()
    assert "of validation without low cannot show 1 false alarms a minute" in told.err
    assert "min of validation: 0 to" in told.out


def test_windows_at_a_stride_of_one_s_own_say_the_same(
    heard: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scanned(heard, tones, capsys, "--stride", "100", "--threshold", "0.5")
    assert (found["mode"], found["hop"]) == ("windows", pytest.approx(0.1))
    assert set(found["answer"]) == {"low", "high"}


def test_a_terminal_of_80_columns_gets_table_and_answer(
    heard: Path, tones: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    screen = terminal("stdout")
    assert main(["scan", str(heard), str(tones), "--threshold", "0.9"]) == 0
    told = screen.getvalue().splitlines()
    assert max(map(len, told)) <= 80
    said = " ".join(screen.getvalue().split())
    assert "0:09 at 4,000 Hz, a window of 0.50 s every 20 ms" in said
    assert ["class", "probability", "at,", "s", "window,", "s"] in [line.split() for line in told]
    assert re.search(r"^Answer: (low|high) \(1, \d+\.\d%\), (low|high) \(1, \d+\.\d%\)\.$", told[-1])


def test_a_page_shows_wave_spectrogram_and_scores_and_loads_nothing(
    heard: Path, tones: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    words = ["scan", str(heard), str(tones), "--threshold", "0.9", "--html", str(page)]
    assert main(words) == 0
    body = page.read_text(encoding="utf-8")
    rows = body.count('<figure class="heard">')
    assert rows == body.count('class="spectrum"') == body.count('<svg class="score"') == 2
    assert body.count('<span class="mark') == 2
    assert body.count("</b></span>") == 2
    assert "a &lt;b&gt;.wav" in body
    assert "<b>.wav" not in body
    assert not re.search(r'(?:src|href)="(?!data:|#)', body)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class", "hgih"], "Did you mean high?"),
        (["--threshold", "2"], "from 0 to 1"),
        (["--stride", "0"], "--stride of 1 or more"),
        (["--scales", "1"], "--scales is for pictures"),
        (["--alarms", "0"], "A rate of false alarms is above 0"),
        (["--alarms", "1", "--threshold", "0.5"], "Give one of them"),
    ],
    ids=["class", "threshold", "stride", "scales", "alarms", "both"],
)
def test_impossible_wishes_are_told_in_two_lines(
    words: list[str], said: str, heard: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(heard), str(tones), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) <= 2


def test_what_cannot_be_heard_is_told_in_two_lines(
    heard: Path, trained: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(2)
    short = write(tmp_path / "short.wav", noise(0.4, random))
    cut = tmp_path / "cut.wav"
    cut.write_bytes(tones.read_bytes()[:-1000])
    Image.new("L", (9, 5), 200).save(tmp_path / "picture.png")
    letters = tmp_path / "letters"
    shutil.copytree(heard, letters)
    info = json.loads((heard / "run.json").read_text())
    info["preprocess"] |= {"modality": "symbols", "alphabet": "A", "dtype": "uint8"}
    (letters / "run.json").write_text(json.dumps(info))
    for run, file, said in (
        (heard, short, "lasts 0.40 s; a window of the run is 0.50 s"),
        (heard, cut, "cut off"),
        (heard, tmp_path / "picture.png", "it is no sound file"),
        (heard, tmp_path / "none.wav", "none.wav"),
        (trained, tones, "it is a sound, and the run was trained on pictures"),
        (trained, "-", "A picture is no stream"),
        (letters, tones, "trained on symbols: only pictures and sounds are scanned"),
    ):
        assert main(["scan", str(run), str(file)]) == 2
        *progress, first, hint = capsys.readouterr().err.splitlines()
        assert said in first
        assert hint
        assert all(line.startswith("listening") for line in progress)
