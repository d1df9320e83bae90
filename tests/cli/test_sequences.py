"""Sounds, letters and series through the command line: what is read, and bad input in two lines."""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from striate.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = ["--epochs", "1", "--batch", "8", "--offline"]
PATTERN = ["--label-pattern", "{label}_{speaker}_{n}.wav"]


def tone(pitch: float, n: int = 400, rate: int = 2000) -> bytes:
    """A WAV of 16 bits."""
    samples = np.rint(8000 * np.sin(2 * np.pi * pitch * np.arange(n) / rate)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def words(root: Path) -> Path:
    """A flat folder: two words, three speakers, eight recordings of each."""
    root.mkdir()
    for label, pitch in (("low", 100), ("high", 400)):
        for voice, speaker in enumerate(("anna", "ben", "eve")):
            for n in range(8):
                name = f"{label}_{speaker}_{n}.wav"
                (root / name).write_bytes(tone(pitch + 10 * voice + n, 300 + 20 * n))
    return root


def odd_numbers() -> bytes:
    """Float samples, one of them NaN."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 2000, 8000, 4, 32)
    body = b"WAVE" + form + struct.pack("<4sI3f", b"data", 12, 0.5, float("nan"), 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


BROKEN: dict[str, tuple[bytes, str]] = {
    "cut.wav": (tone(100)[:-50], "cut off: 375 of 400 samples are there"),
    "none.wav": (tone(100, 0), "holds no samples"),
    "lies.wav": (
        tone(100)[:40] + struct.pack("<I", 200) + tone(100)[44:],
        "its header says 100 samples, but",
    ),
    "nan.wav": (odd_numbers(), "holds samples that are no numbers"),
    "empty.wav": (b"", "is empty"),
    "text.wav": (b"this is no sound", "damaged, or no sound that soundfile reads"),
}


def said(capsys: pytest.CaptureFixture[str], asked: list[str], code: int = 2) -> str:
    """Run a command that must fail in at most two lines; give them."""
    assert main([*asked, *(["--json"] if asked[0] == "train" else [])]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert 1 <= len(captured.err.splitlines()) <= 2, captured.err
    return captured.err


def test_a_flat_folder_of_words_is_counted_and_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(words(tmp_path / "d")), *PATTERN, "--group", "speaker", "--test", "n<2"]
    assert main(["data", *asked]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "class  train  val  test  all",
        "high      12    6     6   24",
        "low       12    6     6   24",
        "all       24   12    12   48",
        "",
        "largest class: 1 times the smallest",
        "seconds: 0.15 to 0.22, median 0.19",
        "2,000 Hz, 16 bits, mono: 48",
    ]


def test_what_is_cut_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = words(tmp_path / "d")
    assert main(["data", str(root), *PATTERN, "--length", "0.2"]) == 0
    assert "12 recordings are longer than 0.2 s and are cut; see --length" in capsys.readouterr().out
    assert main(["data", str(root), *PATTERN, "--length", "0.22"]) == 0
    assert "are cut" not in capsys.readouterr().out


def test_broken_recordings_are_left_out_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = words(tmp_path / "d")
    for name, (data, _) in BROKEN.items():
        (root / f"low_ben_x{name}").write_bytes(data)
    assert main(["data", str(root), *PATTERN, "--json"]) == 0
    captured = capsys.readouterr()
    found = {entry["file"]: entry["reason"] for entry in json.loads(captured.out)["unreadable"]}
    assert len(found) == len(BROKEN)
    for name, (data, reason) in BROKEN.items():
        assert found[f"low_ben_x{name}"].startswith(reason)
        assert (root / f"low_ben_x{name}").read_bytes() == data
    assert json.loads(captured.out)["splits"] == {"train": 34, "val": 7, "test": 7}


def test_without_soundfile_other_formats_are_left_out_with_the_extra_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = words(tmp_path / "d")
    (root / "low_ben_9.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert main(["data", str(root), "--label-pattern", "{label}_{speaker}_{n}", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["unreadable"]
    assert entry["reason"] == "FLAC needs the extra audio: pip install 'striate[audio]'"


def test_recordings_are_learned_from_and_their_speakers_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = words(tmp_path / "d"), tmp_path / "run"
    (root / "low_ben_9.wav").write_bytes(BROKEN["cut.wav"][0])
    asked = [str(root), *PATTERN, "--group", "speaker", "--test", "n<2", "--augment", "place,gain=6"]
    assert main(["train", *asked, *QUICK, "--model", "mlp", "--tune", "off", "--out", str(out)]) == 0
    assert "left out" in capsys.readouterr().err
    with open(out / "split.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    by_n = {row["path"]: row["path"].removesuffix(".wav").split("_")[1:] for row in rows}
    assert all((row["split"] == "test") == (int(by_n[row["path"]][1]) < 2) for row in rows)
    sides: dict[str, set[str]] = {}
    for row in rows:
        if row["split"] != "test":
            sides.setdefault(by_n[row["path"]][0], set()).add(row["split"])
    assert sorted(map(sorted, sides.values())) == [["train"], ["train"], ["val"]]
    info = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert info["preprocess"]["rate"] == 2000
    assert [entry["file"] for entry in info["check"]["unreadable"]] == ["low_ben_9.wav"]
    assert main(["evaluate", str(out), str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_no_labels_are_needed_to_reconstruct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = words(tmp_path / "d")
    assert main(["data", str(root), "--task", "reconstruction"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "            train  val  test  all",
        "recordings     34    7     7   48",
    ]
    assert "--task reconstruction" in said(capsys, ["data", str(one_file(tmp_path))])


# ---- what is refused --------------------------------------------------------------------------------


def one_file(tmp: Path) -> Path:
    (tmp / "one.txt").write_text("anna\nben\n", encoding="utf-8")
    return tmp / "one.txt"


def texts(tmp: Path, **files: str) -> list[str]:
    (tmp / "d").mkdir()
    for name, text in files.items():
        (tmp / "d" / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return [str(tmp / "d")]


def only_broken(tmp: Path) -> list[str]:
    root = tmp / "d"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for name, (data, _) in BROKEN.items():
            (root / label / name).write_bytes(data)
    return [str(root)]


def table(text: str) -> Callable[[Path], list[str]]:
    def make(tmp: Path) -> list[str]:
        (tmp / "series.csv").write_text(text, encoding="utf-8")
        return [str(tmp / "series.csv")]

    return make


def spoken(*more: str) -> Callable[[Path], list[str]]:
    return lambda tmp: [str(words(tmp / "d")), *more]


REFUSED: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "only broken recordings": (only_broken, "none of the 12 files can be read as recordings"),
    "a flat folder": (spoken(), "holds 48 recordings but no class folders"),
    "a pattern that matches nothing": (
        spoken("--label-pattern", "{label}-{n}.wav"), "matches no file, the first is 'high_anna_0.wav'",
    ),
    "a pattern without a label": (spoken("--label-pattern", "{a}_{b}_{n}.wav"), "it needs {label}"),
    "a field that is not there": (spoken(*PATTERN, "--test", "m<5"), "the pattern has no field 'm'"),
    "a rule without a pattern": (spoken("--test", "n<5"), "no --label-pattern says how to read them"),
    "a rule that is none": (spoken(*PATTERN, "--test", "n~5"), "neither a share nor a rule"),
    "other letters": (
        lambda tmp: texts(tmp, a__fa=">1\nACGTACGTAC?T\n", b__fa=">1\nACGT\n"), "has '?', which is no letter",
    ),
    "no header": (lambda tmp: texts(tmp, a__fa="ACGT\n", b__fa=">1\nACGT\n"), "FASTA begins with a header"),
    "one file of text": (lambda tmp: [str(one_file(tmp))], "all 2 sequences are of one class"),
    "series of different width": (table("label,a,b\nx,1,2\ny,1\n"), "line 3: 2 values for 3 columns"),
    "a series with a hole": (table("label,a,b\nx,1,\ny,1,2\n"), "line 2: the value in column b is missing"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["train", "data"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_told_in_two_lines(
    what: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = REFUSED[what]
    more: list[Any] = [*QUICK, "--out", str(tmp_path / "run")] if command == "train" else []
    assert message in said(capsys, [command, *make(tmp_path), *more])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--augment", "flip"], "'flip' is nothing that can be done to recordings"),
        (["--length", "100000000"], "of memory"),
        (["--size", "32"], "is for pictures"),
    ],
)
def test_what_sounds_do_not_have(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", str(words(tmp_path / "d")), *PATTERN, *QUICK, "--model", "tdnn", *more]
    assert message in said(capsys, [*asked, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
