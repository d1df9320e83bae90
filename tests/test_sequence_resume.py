"""Runs of sequences and of reconstructions that are cut off and resumed end as if they had not been."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striate import train
from striate.cli.main import main
from striate.errors import DataError, Interrupted, RecipeError
from striate.events import Event, Step, ignore
from striate.runs.folder import Run

QUICK: dict[str, Any] = {"epochs": 2, "batch": 8, "tune": "off"}
RUNS: dict[str, dict[str, Any]] = {
    "classes": {"model": "gru-4", "augment": "place,noise=0.1", "ema": 0.5},
    "next step": {"task": "next-step", "model": "tcn-2-2-8", "dropout": 0.3},
    "denoising": {"task": "reconstruction", "model": "autoencoder-8-3", "corrupt": "noise=0.5,mask=0.2"},
    "pretrained": {"task": "reconstruction", "model": "autoencoder-8-3", "pretrain": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "series.npz"
    draw = np.random.default_rng(0)
    values = draw.normal(size=(40, 6, 2)) + 3
    for i, n in enumerate(draw.integers(2, 7, 40)):
        values[i, n:] = np.nan
    np.savez(path, sequences=values, y=np.arange(40) % 2)
    return path


def result(run: Run) -> tuple[bytes, Any, Any]:
    history = [{k: v for k, v in line.items() if k != "seconds"} for line in run.history]
    return (run.path / "model.safetensors").read_bytes(), history, run.health[0]


def cut(event: Event) -> None:
    if isinstance(event, Step) and event.step == 4:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", RUNS)
def test_resumed_and_repeated_runs_are_equal(kind: str, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = train(data, out=tmp_path / "whole", **RUNS[kind], **QUICK)
    torch.manual_seed(2)  # what a caller's generator holds decides nothing
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(data, out=tmp_path / "cut", emit=cut, **RUNS[kind], **QUICK)
    resumed = train(resume=tmp_path / "cut")
    again = train(recipe=whole.path / "recipe.toml", out=tmp_path / "again", emit=ignore)
    assert result(resumed) == result(whole)
    assert result(again) == result(whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_series_of_other_channels_are_refused(
    channels: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(data, out=tmp_path / "run", model="gru-4", **QUICK)
    other = tmp_path / "other.npz"
    np.savez(other, sequences=np.ones((4, 6, channels)), y=np.arange(4) % 2)
    assert main(["evaluate", str(run.path), str(other), "--json"]) == 2
    assert f"{channels} numbers a step, where the run takes 2" in capsys.readouterr().err
    with pytest.raises(DataError, match="none of the 4"):
        train(other, out=tmp_path / "from", weights=str(run.path), **QUICK)


def test_a_reconstruction_mixes_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "train",
        "digits",
        "--task",
        "reconstruction",
        "--augment",
        "mixup=0.2",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main([*asked, "--json"]) == 2
    said = capsys.readouterr().err
    assert "mixup" in said
    assert len(said.splitlines()) <= 2


def test_own_recordings_named_by_a_pattern_are_scored_on_their_own_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d").mkdir()
    draw = np.random.default_rng(0)
    for label in ("high", "low"):
        for n in range(10):
            with wave.open(str(tmp_path / "d" / f"{label}_{n}.wav"), "wb") as file:
                file.setparams((1, 2, 1000, 0, "NONE", ""))
                file.writeframes(draw.integers(-3000, 3000, 200).astype("<i2").tobytes())
    rule: dict[str, Any] = {"label_pattern": "{label}_{n}.wav", "test": "n<3", "model": "mlp"}
    run = train(tmp_path / "d", out=tmp_path / "run", **rule, **QUICK)
    assert main(["evaluate", str(run.path), str(tmp_path / "d"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 6
    assert {name: said[name] for name in run.metrics["test"]} == pytest.approx(run.metrics["test"], rel=1e-6)


def test_weights_keep_their_length(data: Path, tmp_path: Path) -> None:
    run = train(data, out=tmp_path / "run", model="gru-4", **QUICK)
    with pytest.raises(RecipeError, match="those of the weights"):
        train(data, weights=str(run.path), length=3, **QUICK)
    train(data, out=tmp_path / "same", weights=str(run.path), length=6, **QUICK)
