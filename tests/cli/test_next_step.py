"""What comes next, from the command line: letters, numbers and rolls, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from striate.cli.main import main

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

WORDS = ["--task", "next-step", "--batch", "8", "--lr", "0.02"]


def trained(data: Path, model: str, *more: str) -> dict[str, Any]:
    out = data.parent / "run"
    assert main(["train", str(data), *WORDS, "--model", model, "--out", str(out), *more]) == 0
    info: dict[str, Any] = json.loads((out / "run.json").read_text())
    return info


def evaluated(data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", str(data.parent / "run"), str(data), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Lay down 60 words, in which a consonant comes after a vowel and a vowel after a consonant."""
    draw = np.random.default_rng(0).choice
    words = ["".join(draw(list("aei" if t % 2 else "bdgk")) for t in range(n)) for n in range(3, 63)]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(word[:12] for word in words), encoding="utf-8")
    return path


def test_letters(names: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = trained(names, "gru-16", "--epochs", "6")
    assert info["target"] == {"kind": "symbols", "channels": 7}
    assert info["classes"] == []
    always, after = (answer["scores"]["nll"] for answer in info["plain_answers"])
    own = info["metrics"]["test"]
    assert own["nll"] < always - 0.2  # which of the two kinds it is, the network has seen
    assert own["perplexity"] == pytest.approx(np.exp(own["nll"]))
    assert after < always
    again = evaluated(names, capsys)  # on all of them
    assert (again["n"], again["kind"]) == (60, "symbols")
    assert again["interval"][0] < own["nll"] < always
    assert "negative log-likelihood" not in (names.parent / "run" / "report.html").read_text()
    assert "cross-entropy a letter" in (names.parent / "run" / "report.html").read_text()


def test_a_terminal_offers_what_such_a_run_can_do(
    names: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    trained(names, "gru-4", "--epochs", "1")
    screen = terminal("stdout")
    assert main(["train", "--resume", str(names.parent / "run")]) == 0
    lines = screen.getvalue().splitlines()
    assert lines[0].startswith("gru-4, on the test sequences: NLL ")
    assert [line.split()[0] for line in lines[1:]] == ["report", "encode", "evaluate"]
    assert max(map(len, lines[:1])) <= 80


def test_series_of_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(24) * 0.7 + rng.uniform(0, 6, (60, 1)))
    rows = [",".join(f"t{i}" for i in range(24))] + [",".join(f"{v:.4f}" for v in row) for row in waves]
    (tmp_path / "waves.csv").write_text("\n".join(rows), encoding="utf-8")
    info = trained(tmp_path / "waves.csv", "tcn-2-2-16", "--epochs", "12")
    assert info["target"] == {"kind": "values", "channels": 1}
    always, again = (answer["scores"]["mse"] for answer in info["plain_answers"])
    assert always == pytest.approx(1.0, abs=0.1)  # in units of the deviation
    assert info["metrics"]["test"]["mse"] < min(always, again)


def test_rolls_of_unequal_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rolls = np.empty(40, object)
    for i, n in enumerate(rng.integers(6, 20, 40)):
        rolls[i] = ((np.arange(n)[:, None] + rng.integers(3)) % 3 == np.arange(3)).astype(np.uint8)
    from scipy.io import savemat

    path = tmp_path / "rolls.mat"
    savemat(path, {"traindata": rolls[:24], "validdata": rolls[24:32], "testdata": rolls[32:]})
    info = trained(path, "tcn-2-2-16", "--clip", "0.4", "--epochs", "20")
    assert info["target"] == {"kind": "binary", "channels": 3}
    assert info["data"]["pictures"] == {"train": 24, "val": 8, "test": 8}
    assert info["preprocess"]["length"] == max(len(roll) for roll in rolls)
    best = min(answer["scores"]["nll"] for answer in info["plain_answers"])
    assert info["metrics"]["test"]["nll"] < best
    found = evaluated(path, capsys)
    assert found["nll"] == pytest.approx(info["metrics"]["test"]["nll"], rel=1e-5)
    assert found["n"] == 8
    assert found["steps"] == sum(len(roll) - 1 for roll in rolls[32:])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("bigru-8", "would see what is to be foretold"),
        ("dna", "answers once a sequence"),
        ("lenet5", "answers once a sequence"),
    ],
)
def test_networks_that_cannot(names: Path, model: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(names), *WORDS, "--model", model, "--out", str(names.parent / "run")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-2]
    assert not (names.parent / "run").exists()


def test_pictures_have_no_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", *WORDS, "--model", "tcn"]) == 2
    assert "and these are pictures" in capsys.readouterr().err
