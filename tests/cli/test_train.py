"""``striate train`` from words to a run folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from striate.cli.flags import settings
from striate.cli.main import main

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

QUICK = ["digits", "--model", "mlp", "--size", "8", "--epochs", "2"]


def recipe(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    assert main(["train", *QUICK, "--out", str(out)]) == 0
    return out


def test_a_pipe_gets_the_run_folder_as_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *QUICK, "--epochs", "1"][:-2]) == 0
    captured = capsys.readouterr()
    assert (tmp_path / captured.out.splitlines()[-1] / "report.html").exists()
    assert "epoch 1/2" in captured.err


def test_out_names_the_folder(run: Path) -> None:
    assert (run / "run.json").exists()
    assert recipe(run)["epochs"] == 2


def test_a_terminal_ends_with_what_came_out_and_what_to_do_next(
    run: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    screen = terminal("stdout")
    assert main(["train", "--resume", str(run)]) == 0
    lines = screen.getvalue().splitlines()
    assert lines[0].startswith("mlp, on the test pictures: accuracy ")
    assert [line.split()[0] for line in lines[1:]] == ["report", "predict", "evaluate"]
    assert Path(lines[1].split()[1]).exists()


def test_resuming_a_finished_run_says_so_and_is_no_error(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "run.json").read_bytes()
    assert main(["train", "--resume", str(run)]) == 0
    captured = capsys.readouterr()
    assert "already finished" in captured.err
    assert captured.out.splitlines() == [str(run)]
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("words", [["digits"], ["--epochs", "9"], ["--recipe", "r.toml"], ["--out", "x"]])
def test_resume_takes_no_other_setting(
    words: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", str(run), *words]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_recipe_is_repeated_and_a_flag_changes_only_what_it_names(run: Path, tmp_path: Path) -> None:
    words = ["train", "--recipe", str(run / "recipe.toml"), "--epochs", "1", "--out", str(tmp_path / "again")]
    assert main(words) == 0
    first, second = recipe(run), recipe(tmp_path / "again")
    assert second["epochs"] == 1
    assert {name for name in first if first[name] != second[name]} == {"epochs", "steps"}


def test_a_recipe_alone_gives_the_same_weights(run: Path, tmp_path: Path) -> None:
    assert main(["train", "--recipe", str(run / "recipe.toml"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_json_prints_one_event_a_line_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *QUICK, "--json", "--out", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2]
    assert any(event["event"] == "choice" and event["reason"] for event in events)
    assert events[-1]["event"] == "finished"
    assert events[-1]["run"] == str(tmp_path / "run")
    assert captured.err == ""


def test_flags_are_the_fields_of_the_recipe() -> None:
    import dataclasses

    from striate.runs.recipe import Recipe

    names = {field.name for field in dataclasses.fields(Recipe)}
    assert set(settings().__annotations__) == names - {"data"}
    assert set(settings(("val", "seed")).__annotations__) == {"val", "seed"}


def test_the_console_script_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "striate", "train", *QUICK, "--out", str(tmp_path / "run")]
    out = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.splitlines() == [str(tmp_path / "run")]
    assert "Warning:" not in out.stderr


def test_a_terminal_shows_each_fold_the_spread_and_where_the_suspects_are(
    tmp_path: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    screen = terminal("stdout")
    assert main(["train", *QUICK, "--folds", "2", "--out", str(tmp_path / "out")]) == 0
    lines = screen.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == [
        "run", "fold-1", "fold-2", "mean", "±", "out", "suspects"
    ]  # fmt: skip
    shares = [float(line.split()[1].rstrip("%")) for line in lines[1:4]]
    assert shares[2] == pytest.approx((shares[0] + shares[1]) / 2, abs=0.11)
    assert Path(lines[-1].split()[-1]).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "striate", "train", *QUICK[:-1], "40", "--json", "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        said = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert len(said) == 2
    assert said[1] == f"Go on with: striate train --resume {out}"
    step = int(said[0].split("step ")[1].split()[0])
    assert main(["train", "--resume", str(out), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(event["step"] for event in events if event["event"] == "step") == step + 1
