"""What cannot be done with sequences, with fresh eyes: two lines at most, and nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def lines(root: Path, *texts: str) -> Path:
    (root / "d").mkdir()
    for name, text in zip("ab", texts, strict=False):
        (root / "d" / f"{name}.txt").write_text(text, encoding="utf-8")
    return root / "d"


def words(root: Path) -> Path:
    return lines(root, "\n".join(["abba", "aab", "bab"] * 4), "\n".join(["cab", "abcc", "cc"] * 4))


def one_letter_each(root: Path) -> Path:
    return lines(root, "\n".join("abcdefgh"))


def series(root: Path) -> Path:
    draw = np.random.default_rng(0).normal(size=(20, 8))
    rows = [",".join(f"t{i}" for i in range(8)) + ",label"]
    rows += [",".join(f"{v:.3f}" for v in row) + f",{'xy'[i % 2]}" for i, row in enumerate(draw)]
    (root / "d.csv").write_text("\n".join(rows), encoding="utf-8")
    return root / "d.csv"


def not_matlab(root: Path) -> Path:
    (root / "d.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    return root / "d.mat"


def objects(root: Path) -> Path:
    np.savez(root / "d.npz", sequences=np.array([[1], None], object))
    return root / "d.npz"


def header_alone(root: Path) -> Path:
    (root / "d.csv").write_text("t0,t1,t2,label\n", encoding="utf-8")
    return root / "d.csv"


NEXT = ["--task", "next-step", "--model", "tcn-2-2-8"]
REFUSED: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "letters longer than any memory": (words, ["--length", "1e12"], "GiB of memory, and"),
    "series longer than any memory": (series, ["--length", "1e12", "--model", "gru-8"], "GiB of memory, and"),
    "a length below the network's": (words, ["--length", "1", "--model", "dna"], "dna needs 26 steps"),
    "no length": (words, ["--length", "0"], "--length"),
    "a rate for letters": (words, ["--rate", "8000"], "--rate 8000: that is for sounds"),
    "a rate for series": (series, ["--rate", "8000"], "--rate 8000: that is for sounds"),
    "a side for letters": (words, ["--size", "32"], "--size 32: that is for pictures"),
    "what letters are not changed by": (words, ["--augment", "flip"], "--augment"),
    "a network for pictures": (words, ["--model", "resnet18"], "given 3x4: it takes 3 axes"),
    "nothing that follows": (one_letter_each, NEXT, "one step each, and nothing follows"),
    "one step is seen": (series, [*NEXT, "--length", "1"], "one step each, and nothing follows"),
    "a network that answers once": (words, [*NEXT[:2], "--model", "dna"], "answers once a sequence"),
    "a network that sees the end": (words, [*NEXT[:2], "--model", "bilstm-8"], "would see what is to be"),
    "letters as numbers": (words, ["--task", "regression"], "has classes, and regression needs numbers"),
    "a damaged .mat": (not_matlab, NEXT, "is damaged"),
    "objects in an npz": (objects, NEXT, "pickle"),
    "a header alone": (header_alone, NEXT, "holds no sequences"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build, more, message = REFUSED[what]
    data = build(tmp_path)
    found = main(["train", str(data), "--epochs", "1", "--out", str(tmp_path / "run"), "--offline", *more])
    assert found == 2
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    error = told[-2:] if len(told) > 1 else told
    assert message in " ".join(error), told
    assert "internal" not in " ".join(told)
    assert not (tmp_path / "run").exists()


def test_a_part_of_single_letters_cannot_be_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = lines(tmp_path, "\n".join(["abcde", *"abcdefg"]))
    assert main(["train", str(data), "--epochs", "1", *NEXT, "--out", str(tmp_path / "run")]) == 2
    assert "Nothing is to be foretold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "t0,t1,u\n1,2,x\n", "no finite number: 'x'"),
        ("x.fa", ">a\nAC!T\n", "no letter of"),
        ("x.txt", "", "holds no sequences"),
        ("x.wav", "RIFF", "holds no symbols, which this run takes"),
    ],
)
def test_a_finished_run_is_given_something_else(
    name: str, text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--epochs", "1", "--batch", "8", "--model", "gru-4", "--tune", "off"]
    assert main(["train", str(words(tmp_path)), *quick, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / name)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) <= 2
    assert message in " ".join(error)
