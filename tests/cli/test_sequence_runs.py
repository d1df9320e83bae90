"""A run of sounds, of letters and of series through every command that takes a run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from striate.cli.main import main

from .test_sequences import words

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ["--epochs", "2", "--batch", "8", "--offline", "--tune", "off", "--val", "0.25", "--test", "0"]


def letters(root: Path) -> Path:
    """Give two files of lines: names that end in oka, and names that end in son."""
    rng = np.random.default_rng(0)
    root.mkdir()
    for label, end in (("japanese", "oka"), ("english", "son")):
        starts = ["".join(rng.choice(list("abdeikm<&"), rng.integers(2, 6))) for _ in range(40)]
        (root / f"{label}.txt").write_text("\n".join(start + end for start in starts))
    return root


def series(root: Path) -> Path:
    """Give series of two channels, of unequal lengths, in long form; the label is whether the first rises."""
    rng = np.random.default_rng(0)
    rows = ["series,time,a,b,label"]
    for i in range(40):
        way, label = (1, "up") if i % 2 else (-1, "down")
        values = rng.normal(size=(rng.integers(8, 16), 2))
        rows += [f"s{i},{t},{way * t / 5 + a / 5:.4f},{b:.4f},{label}" for t, (a, b) in enumerate(values)]
    path = root.with_suffix(".csv")
    path.write_text("\n".join(rows))
    return path


MADE = {"sound": (words, "tcn-3-2-8"), "symbols": (letters, "gru-8"), "series": (series, "tcn-3-2-8")}


@pytest.fixture(scope="module", params=MADE)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Train a small network: the kind of sequence, the data and the run."""
    kind = request.param
    root = tmp_path_factory.mktemp(kind)
    build, model = MADE[kind]
    data = build(root / "data")
    more = ["--label-pattern", "{label}_{speaker}_{n}.wav"] if kind == "sound" else []
    assert main(["train", str(data), "--model", model, *more, *QUICK, "--out", str(root / "run")]) == 0
    return kind, data, root / "run"


def files_of(kind: str, data: Path, tmp_path: Path) -> list[str]:
    """Give a few files as a user has them."""
    if kind == "sound":
        return [str(data / "low_anna_1.wav"), str(data / "high_eve_2.wav")]
    if kind == "symbols":
        path = tmp_path / "new.txt"
        path.write_text("makioka\nded&son\n")
        return [str(path)]
    path = tmp_path / "new.csv"
    path.write_text("series,time,a,b\nx,0,1,0\nx,1,2,0\ny,0,3,1\ny,1,2,0\ny,2,1,0\n")
    return [str(path)]


def told(capsys: pytest.CaptureFixture[str], *asked: str) -> dict[str, Any]:
    """Ask for JSON and read it."""
    code = main([*asked, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_every_sequence_of_a_file_is_predicted(
    made: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, data, run = made
    found: Any = told(capsys, "predict", str(run), *files_of(kind, data, tmp_path))
    assert len(found) == 2
    assert len({one["file"] for one in found}) == 2
    assert all(0 <= one["probability"] <= 1 for one in found)


def test_scores_are_told_of_what_they_are_of(
    made: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    kind, data, run = made
    assert main(["evaluate", str(run), str(data)]) == 0
    noun = "recordings" if kind == "sound" else "sequences"
    out = capsys.readouterr().out
    assert f" {noun}; in brackets" in out.splitlines()[0]
    assert "picture" not in out


def test_the_report_speaks_of_no_pictures(made: tuple[str, Path, Path]) -> None:
    kind, _, run = made
    page = re.sub("<details>.*?</details>", "", (run / "report.html").read_text(), flags=re.DOTALL)
    assert "picture" not in page
    assert "Where it breaks" in page
    assert "What it looks at" in page
    drawn = {"sound": 'class="sound"', "symbols": 'class="letters', "series": 'class="line'}[kind]
    assert drawn in page


def test_a_sequence_is_explained(
    made: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, data, run = made
    page, files = tmp_path / "why.html", files_of(kind, data, tmp_path)
    found = told(capsys, "explain", str(run), *files, "--html", str(page), "--out", str(tmp_path / "out"))
    methods = {one["method"] for one in found["images"][0]["maps"]}
    assert {"occlusion", "integrated-gradients", "saliency"} <= methods
    assert ("grad-cam" in methods) == (kind != "symbols")  # a GRU has no maps
    assert len(found["images"]) == 2
    text = page.read_text()
    assert "picture" not in text.replace("picture-", "")
    assert "Nearest to it" in text
    if kind == "symbols":
        assert "&amp;</i>" in text
        assert main(["explain", str(run), *files, "--method", "deconvnet"]) == 2
        assert "No ReLU was found" in capsys.readouterr().err


def test_the_network_alone_is_looked_into(
    made: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, _, run = made
    page = tmp_path / "net.html"
    told(capsys, "explain", str(run), "--html", str(page))
    text = page.read_text()
    assert "picture" not in text
    assert ("What it looks for first" in text) == (kind != "symbols")
    assert "Is it well?" in text


def test_it_is_stressed_along_time(
    made: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, _, run = made
    page = tmp_path / "stress.html"
    found = told(capsys, "stress", str(run), "--html", str(page))
    expected = {"letter_shift", "mutation", "gap"}
    if kind != "symbols":
        expected = {"time_shift", "speed", "white_noise", "gain", "gap"}
    assert set(found["curves"]) == expected
    assert all(one[0]["accuracy"] == found["clean"]["accuracy"] for one in found["curves"].values())
    assert "picture" not in page.read_text()
    assert main(["stress", str(run), "--only", "jpeg"]) == 2
    assert "is for pictures" in capsys.readouterr().err


def test_a_file_of_another_kind_takes_two_lines(
    made: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, _, run = made
    other = tmp_path / ("other.txt" if kind != "symbols" else "other.csv")
    other.write_text("maki\nsuzu\n" if kind != "symbols" else "a,b,label\n1,2,x\n")
    for command in ("predict", "explain", "evaluate"):
        assert main([command, str(run), str(other)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert 1 <= len([line for line in lines if not line.startswith("Left out")]) <= 2, lines


def test_a_run_of_the_next_step_has_no_class_to_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = letters(tmp_path / "data")
    asked = ["train", str(data), "--task", "next-step", "--model", "gru-8", *QUICK]
    assert main([*asked, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    for command in ("predict", "explain"):
        assert main([command, str(tmp_path / "run"), str(data / "english.txt")]) == 2
        assert "no class or number: its task is next-step" in capsys.readouterr().err
    assert main(["stress", str(tmp_path / "run")]) == 2
    assert "predicts no class" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run"), str(data)]) == 0
    assert "perplexity" in capsys.readouterr().out
