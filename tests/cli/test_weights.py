"""``striate train --weights``: from a run or a file to a new run, by the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from striate.cli.main import main
from striate.models.registry import build
from striate.runs import imagenet


def made(folder: Path, colours: dict[str, tuple[int, int, int]]) -> Path:
    random = np.random.default_rng(0)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for i in range(14):
            pixels = random.integers(0, 120, (20, 24, 3)) + np.array(colour)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run on two classes of pictures."""
    root = tmp_path_factory.mktemp("first")
    data = made(root / "data", {"red": (120, 0, 0), "green": (0, 120, 0)})
    words = [
        "--model",
        "resnet20",
        "--size",
        "16",
        "--batch",
        "8",
        "--epochs",
        "2",
        "--out",
        str(root / "run"),
    ]
    assert main(["train", str(data), *words]) == 0
    return root / "run"


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("others")
    return made(root / "data", {"blue": (0, 0, 120), "grey": (60, 60, 60), "dark": (0, 0, 0)})


def info(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text(encoding="utf-8")))


def recipe(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_brings_network_preprocessing_and_features(first: Path, others: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", str(others), "--weights", str(first), "--epochs", "1", "--out", str(out)]) == 0
    asked, there = recipe(out), info(first)["preprocess"]
    assert (asked["model"], asked["size"], asked["weights"]) == ("resnet20", 16, str(first))
    assert asked["lr_bottom"] == 0.1
    here = info(out)["preprocess"]
    assert {key: here[key] for key in ("mean", "std", "size")} == {
        key: there[key] for key in ("mean", "std", "size")
    }
    lines = history(out)
    assert [line["epoch"] for line in lines] == [0, 1]  # 0: the new head on the features as they were
    assert info(out)["classes"] == ["blue", "dark", "grey"]
    assert any(choice["name"] == "head" for choice in info(out)["choices"])
    assert main(["predict", str(out), str(others / "blue"), "--json"]) == 0


def test_freeze_trains_the_head_alone(
    first: Path, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", str(others), "--weights", str(first), "--out", str(out), "--freeze"]) == 0
    assert recipe(out)["freeze"] == "body"
    assert recipe(out)["steps"] == 0
    before, after = (load_file(run / "model.safetensors") for run in (first, out))
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"fc.weight", "fc.bias"}
    assert (out / "report.html").exists()
    assert info(out)["metrics"]["train"]["accuracy"] > 0.5
    again = tmp_path / "again"  # the recipe repeats it
    assert main(["train", "--recipe", str(out / "recipe.toml"), "--out", str(again)]) == 0
    assert (again / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_freeze_up_to_a_layer_and_go_on_after_a_stop(first: Path, others: Path, tmp_path: Path) -> None:
    words = ["train", str(others), "--weights", str(first / "model.safetensors"), "--freeze", "layer2"]
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert main([*words, "--epochs", "2", "--out", str(whole)]) == 0
    before, after = (load_file(run / "model.safetensors") for run in (first, whole))
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"layer3", "fc"}
    assert main([*words, "--epochs", "2", "--out", str(out)]) == 0
    (out / "model.safetensors").unlink()  # as if it had been cut off after the checkpoint
    (out / "run.json").write_text(json.dumps(info(out) | {"status": "training"}), encoding="utf-8")
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_published_weights_by_name_from_the_hubs_cache(
    others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    torch.save(build("resnet18").state_dict(), hub / "a.pth")
    name = f"resnet18-{hashlib.sha256((hub / 'a.pth').read_bytes()).hexdigest()[:8]}.pth"
    (hub / "a.pth").rename(hub / name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(imagenet.FILES, "resnet18", name)
    out = tmp_path / "out"
    words = ["train", str(others), "--weights", "imagenet", "--size", "32", "--offline", "--out", str(out)]
    assert main([*words, "--freeze"]) == 0
    preprocess = info(out)["preprocess"]
    assert (preprocess["size"], preprocess["interpolation"]) == (32, "bilinear")
    assert preprocess["mean"] == [0.485, 0.456, 0.406]
    (hub / name).unlink()
    assert main([*words[:-1], str(tmp_path / "other")]) == 2
    lines = told(capsys)
    assert name in lines
    assert str(hub) in lines


def test_grey_pictures_become_what_the_weights_take(first: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, shade in (("bright", 120), ("black", 0)):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(10):
            pixels = (random.integers(0, 100, (16, 16)) + shade).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "d" / name / f"{i}.png")
    out = tmp_path / "out"
    words = ["--weights", str(first), "--freeze", "--out", str(out)]
    assert main(["train", str(tmp_path / "d"), *words]) == 0
    assert info(out)["preprocess"]["channels"] == 3


def told(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    return "\n".join(lines[-2:])


def test_what_cannot_be_is_told_in_two_lines(
    first: Path, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    for words, expected in (
        (["--freeze"], "--freeze keeps starting weights, and there are none."),
        (["--steps", "0"], "--steps 0 trains nothing."),
        (["--weights", str(first), "--init", "zeros"], "--init and --weights both say"),
        (["--weights", str(first), "--model", "resnet32"], "does not fit resnet32"),
        (["--weights", str(first), "--freeze", "layer7", "--epochs", "1"], "no layer 'layer7'"),
        (["--weights", str(tmp_path / "none.pth")], "There are no weights"),
        (["--stem", "small", "--model", "lenet5"], "lenet5 has no small stem"),
    ):
        assert main(["train", str(others), *words, *out]) == 2, words
        assert expected in told(capsys)
        assert not (tmp_path / "out").exists()


def test_weights_of_a_network_that_is_code_from_elsewhere_run_none_of_it(
    first: Path, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(first, tmp_path / "foreign")
    foreign = info(first) | {"model": "antigravity:geohash"}
    (tmp_path / "foreign" / "run.json").write_text(json.dumps(foreign), encoding="utf-8")
    words = ["--weights", str(tmp_path / "foreign"), "--out", str(tmp_path / "out")]
    assert main(["train", str(others), *words]) == 2
    assert "code from outside striate" in told(capsys)
    assert "antigravity" not in sys.modules
    assert main(["train", str(others), *words, "--model", "resnet20", "--freeze"]) == 0


def test_few_pictures_from_scratch_are_told_of_weights(
    others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "mlp", "--size", "8", "--epochs", "1", "--out", str(tmp_path / "out")]
    assert main(["train", str(others), *words]) == 0
    assert "About 14 pictures a class: --weights imagenet" in capsys.readouterr().err
