"""``striate explain`` from the words on the command line to the page."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from striate import api
from striate.cli.main import main

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def convolutional(trained: Path) -> Path:
    """Train a LeNet-5 on the same pictures for a moment."""
    run = trained.parent / "lenet"
    words = ["--model", "lenet5", "--size", "28", "--batch", "8", "--epochs", "2"]
    assert main(["train", str(trained.parent / "d"), *words, "--out", str(run)]) == 0
    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, list[str]]:
    capsys.readouterr()
    code = main(["explain", *words])
    found = capsys.readouterr()
    return code, found.out, found.err.splitlines()


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, err = asked(capsys, *words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_names_its_files_and_the_top_class(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = convolutional.parent / "d" / "dog" / "00.png"
    before = {path: path.stat().st_mtime_ns for path in convolutional.rglob("*")}
    told = document(capsys, str(convolutional), str(picture), "--out", "o")
    said = api.load(convolutional).predict(picture)[0]
    assert told["top_class"] == said.label
    (image,) = told["images"]
    assert image["file"] == str(picture)
    assert image["probability"] == pytest.approx(said.probability)
    assert (image["class"], image["versus"]) == tuple(label for label, _ in said.top[:2])
    methods = [one["method"] for one in image["maps"]]
    assert methods[:4] == ["grad-cam", "occlusion", "integrated-gradients", "saliency"]
    assert all(re.search(r"-?\d\.\d\d", one["badge"]) for one in image["maps"])
    assert told["files"][0] == "o/explain.html"
    assert all((here / name).stat().st_size for name in told["files"])
    assert f"o/01-grad-cam-{said.label}.png" in told["files"]
    assert {path: path.stat().st_mtime_ns for path in convolutional.rglob("*")} == before
    # It was among the training pictures, or has a twin of its class there.
    assert image["neighbours"][0]["label"] == "dog"
    assert told["layers"][0] == {"name": "c1", "kind": "Conv2d", "output": [6, 28, 28]}


def test_the_page_holds_everything_itself(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(convolutional.parent / "d" / "cat" / "03.png")
    code, out, _ = asked(capsys, str(convolutional), picture, "--html", "p.html")
    assert code == 0
    assert "wrote p.html" in out
    assert [path.name for path in here.iterdir()] == ["p.html"]
    page = (here / "p.html").read_text(encoding="utf-8")
    for words in (
        "Grad-CAM",
        "Occlusion",
        "Integrated gradients",
        "Gradient",
        "why not",
        "training pictures",
    ):
        assert words in page
    assert "12 × 12 PNG RGB, shown to the network as 28 × 28 colour" in page
    assert set(re.findall(r'(?:src|href)="([^"#]{5})', page)) == {"data:"}


def test_without_pictures_the_network_is_looked_into(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = document(capsys, str(convolutional), "--out", ".")
    assert told["top_class"] is None
    assert told["images"] == []
    assert "kernels-of-c1.png" in told["files"]
    assert {"made-for-class-cat.png", "made-for-class-dog.png"} <= set(told["files"])
    page = (here / "explain.html").read_text(encoding="utf-8")
    for words in ("Kernels of c1", "Feature maps of c1", "Made for each class", "t-SNE", "Is it well?"):
        assert words in page


def test_one_unit_of_one_layer(convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = document(capsys, str(convolutional), "--layer", "c3", "--unit", "5", "--out", ".")
    assert "kernels-of-c3.png" in told["files"]
    page = (here / "explain.html").read_text(encoding="utf-8")
    assert set(re.findall(r"Unit \d+ of \w+", page)) == {"Unit 5 of c3"}
    assert "Made for each class" not in page


def test_the_same_seed_gives_the_same_page(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(convolutional), "--layer", "c3", "--seed", "3", "--html"]
    for name in ("a.html", "b.html"):
        assert asked(capsys, *words, name)[0] == 0
    assert (here / "a.html").read_bytes() == (here / "b.html").read_bytes()


def test_one_class_and_one_method(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(convolutional.parent / "d" / "dog" / "00.png")
    for one, other in (("cat", "dog"), ("dog", "cat")):
        told = document(capsys, str(convolutional), picture, "--class", one, "--method", "occlusion")
        assert (told["images"][0]["class"], told["images"][0]["versus"]) == (one, other)
        assert [found["method"] for found in told["images"][0]["maps"]] == ["occlusion"]
    told = document(capsys, str(convolutional), picture, "--versus", "dog")
    assert (told["images"][0]["class"], told["images"][0]["versus"]) == ("cat", "dog")


def test_without_convolutions_the_other_methods_are_left(
    trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(trained.parent / "d" / "dog" / "00.png")
    code, _, err = asked(capsys, str(trained), picture)
    assert code == 0
    assert any("Grad-CAM is left out" in line and "no convolution" in line for line in err)
    told = document(capsys, str(trained), picture)
    methods = {one["method"] for one in told["images"][0]["maps"]}
    assert {"occlusion", "integrated-gradients", "saliency"} <= methods
    assert "grad-cam" not in methods
    code, _, err = asked(capsys, str(trained), picture, "--method", "grad-cam")
    assert code == 2
    assert "no convolution" in err[0]
    assert "occlusion" in err[1]
    # The network's own page: the first dense layer's kernels are as large as the picture.
    assert asked(capsys, str(trained))[0] == 0
    assert "Each spans the whole picture" in (here / "explain.html").read_text(encoding="utf-8")


def test_an_unreadable_picture_is_named_and_the_others_go_on(
    trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.png").write_bytes(b"x")
    Image.fromarray(np.zeros((5, 9, 4), np.uint8)).save(here / "alpha.png")
    code, out, err = asked(capsys, str(trained), "bad.png", "alpha.png", "--method", "saliency")
    assert code == 0
    assert "alpha.png" in out
    assert any(line.startswith("Left out bad.png: ") for line in err)
    assert "alpha.png: 9 × 5 PNG RGBA, shown to the network as 8 × 8 colour" in err
    code, _, err = asked(capsys, str(trained), "bad.png")
    assert code == 2
    assert "could be read" in err[-2]


def test_fits_a_terminal(
    trained: Path,
    here: Path,
    terminal: Callable[[str], io.StringIO],
) -> None:
    picture = str(trained.parent / "d" / "dog" / "00.png")
    screen = terminal("stdout")
    assert main(["explain", str(trained), picture, "--method", "saliency"]) == 0
    assert max(map(len, screen.getvalue().splitlines())) <= 80


def test_numbers_instead_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(24):
        shade = int(rng.integers(0, 200))
        Image.fromarray(rng.integers(shade, shade + 50, (8, 8), np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{shade / 10}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    run = str(tmp_path / "run")
    words = ["--task", "regression", "--model", "mlp", "--size", "8", "--epochs", "2", "--batch", "8"]
    assert main(["train", str(tmp_path / "labels.csv"), *words, "--out", run]) == 0
    told = document(capsys, run, str(tmp_path / "0.png"), "--html", str(tmp_path / "p.html"))
    assert told["top_class"] is None
    assert isinstance(told["images"][0]["number"], float)
    assert {"saliency", "occlusion"} <= {one["method"] for one in told["images"][0]["maps"]}
    assert "What raises the number" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert asked(capsys, run, "--html", str(tmp_path / "q.html"))[0] == 0
    code, _, err = asked(capsys, run, str(tmp_path / "0.png"), "--class", "cat")
    assert code == 2
    assert "gives numbers" in err[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--layer", "c33"], "no layer 'c33'"),
        (["--layer", "c3", "--unit", "99"], "no unit 99"),
        (["--unit", "3"], "--unit is a unit of a layer"),
        (["--class", "cta"], "no class 'cta'"),
        (["--class", "cat", "--versus", "cat"], "same class"),
        (["--html", "."], "is a folder"),
        (["--html", "nowhere/p.html"], "does not exist"),
        (["--out", "file"], "is a file"),
        (["--html", "n" * 300], "Could not write nnn"),
        (["--out", "n" * 300], "Could not write nnn"),
        (["--method", "magic"], "magic"),
        (["missing.png"], "missing.png does not exist"),
    ],
    ids=lambda value: "-".join(value)[:20].strip("-.").replace("/", "-") if isinstance(value, list) else "",
)
def test_a_mistake_takes_two_lines(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    (here / "file").write_text("")
    code, out, err = asked(capsys, str(convolutional), *words)
    assert code == 2
    assert out == ""
    assert told in err[0]
    assert len(err) <= 2
    assert [path.name for path in here.iterdir()] == ["file"]


def test_an_unknown_layer_lists_those_there_are(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, err = asked(capsys, str(convolutional), "--layer", "layer9")
    assert "c1, " in err[1]
    assert "c3" in err[1]


def test_a_network_of_no_numbers_is_told_to_be_one(
    convolutional: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(convolutional, here / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["c1.weight"][:] = float("nan")
    with safe_open(broken / "model.safetensors", "pt") as file:
        about = file.metadata()
    save_file(weights, broken / "model.safetensors", metadata=about)
    told = document(capsys, str(broken), str(convolutional.parent / "d" / "dog" / "00.png"))
    assert told["images"][0]["probability"] is None
    told = document(capsys, str(broken))
    assert told["sentences"][0].startswith("layer c1: weights or gradients are no numbers")


FLAT = """
import torch
from torch import nn


class Flat(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv, self.flat = nn.Conv2d(channels, 8, 3), nn.Flatten(2)
        self.mix, self.dense = nn.Linear(36, 5), nn.Linear(40, classes)

    def forward(self, x):
        return self.dense(torch.relu(self.mix(self.flat(self.conv(x)))).flatten(1))


def flat(channels=3, classes=2, **more):
    return Flat(channels, classes)
"""


def test_a_layer_whose_units_are_rows_is_shown(
    trained: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "rowed.py").write_text(FLAT)
    monkeypatch.syspath_prepend(here)
    words = ["--model", "rowed:flat", "--size", "8", "--batch", "8", "--epochs", "1", "--out", "run"]
    assert main(["train", str(trained.parent / "d"), *words]) == 0
    picture = str(trained.parent / "d" / "dog" / "00.png")
    code, _, err = asked(capsys, "run", picture, "--trust", "--layer", "mix")
    assert code == 0, err
    assert any("Grad-CAM is left out: Layer mix puts out (8, 5), not maps" in line for line in err)
    assert "5 values each, on one scale, one unit" in (here / "explain.html").read_text(encoding="utf-8")
