"""What ``striate scan`` prints and writes: a bright dog on a dark canvas, where dark is a cat."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate import api
from striate.cli.main import main
from striate.scan.found import Scanned

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def canvas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 x 40 pixels of cat with a dog of 16 x 16 whose corner is at (36, 12)."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 100, (40, 60, 3))
    pixels[12:28, 36:52] += 150
    path = tmp_path_factory.mktemp("canvas") / "a <b>.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def scanned(trained: Path, canvas: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["scan", str(trained), str(canvas), "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_dog_is_found_where_it_is(
    trained: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scanned(trained, canvas, capsys, "--class", "dog", "--threshold", "0.6")
    assert {"mode", "difference", "stride", "window", "scales", "classes", "answer"} <= set(found)
    assert (found["mode"], found["stride"], found["window"]) == ("exact", 1, 8)
    assert found["difference"] < 1e-4
    assert found["scales"][0] == 1
    assert found["scales"][-1] == pytest.approx(0.2)
    assert found["answer"] == ["dog"]
    assert list(found["classes"]) == ["dog"]
    for box in found["classes"]["dog"]["boxes"]:
        assert box["right"] - box["left"] == pytest.approx(box["bottom"] - box["top"], rel=0.1)
        middle = (box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2
        assert 34 < middle[0] < 54
        assert 10 < middle[1] < 30
        assert box["score"] <= found["classes"]["dog"]["best"]


def test_a_window_by_hand_gets_the_probability_that_the_map_has(trained: Path, canvas: Path) -> None:
    run = striate.load(trained)
    found = api.scan(run, canvas, scales=[1.0])
    assert isinstance(found, Scanned)
    pixels = np.asarray(Image.open(canvas))
    for top, left in ((0, 0), (13, 37), (32, 52)):
        (told,) = run.predict(pixels[top : top + 8, left : left + 8])
        scores = dict(zip(found.names, found.levels[0].scores[:, top, left].tolist(), strict=True))
        assert scores[str(told.label)] == pytest.approx(told.probability, abs=1e-5)


def test_windows_one_by_one_say_what_the_map_says(
    trained: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = striate.load(trained)
    whole, apart = api.scan(run, canvas), api.scan(run, canvas, stride=3)
    assert isinstance(whole, Scanned)
    assert isinstance(apart, Scanned)
    assert (whole.mode, apart.mode, apart.stride) == ("exact", "windows", 3)
    for one, other in zip(whole.levels, apart.levels, strict=True):
        assert torch.allclose(one.scores[:, ::3, ::3], other.scores, atol=1e-5)
    assert scanned(trained, canvas, capsys, "--stride", "3")["difference"] is None


def test_a_terminal_of_80_columns_gets_table_and_answer(
    trained: Path, canvas: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    screen = terminal("stdout")
    assert main(["scan", str(trained), str(canvas), "--threshold", "0.6"]) == 0
    told = screen.getvalue().splitlines()
    assert max(map(len, told)) <= 80
    assert "60 × 40 pixels" in screen.getvalue()
    assert "exact: no inner padding" in screen.getvalue()
    assert ["class", "probability", "left", "top", "width", "height"] in [line.split() for line in told]
    assert any(line.startswith("Answer: ") and "dog" in line and "cat" in line for line in told)


def test_a_class_named_nothing_is_not_looked_for(trained: Path, canvas: Path, tmp_path: Path) -> None:
    info = json.loads((trained / "run.json").read_text())
    renamed = tmp_path / "run"
    shutil.copytree(trained, renamed)
    (renamed / "run.json").write_text(json.dumps(info | {"classes": ["nothing", "dog"]}))
    found = api.scan(striate.load(renamed), canvas, threshold=0.6)
    assert [one.name for one in found.classes] == ["dog"]
    assert found.classes[0].best == api.scan(striate.load(trained), canvas, name="dog").classes[0].best


def test_nothing_found_is_an_answer_too(
    trained: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["scan", str(trained), str(canvas), "--class", "dog", "--threshold", "1"]
    assert main(words) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"Answer: no dog; the best window is [\d.]+% dog, below 1\.", last)


def test_a_page_holds_boxes_and_maps_and_loads_nothing(
    trained: Path, canvas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    found = scanned(trained, canvas, capsys, "--threshold", "0.6", "--html", str(page))
    body = page.read_text(encoding="utf-8")
    boxes = sum(len(one["boxes"]) for one in found["classes"].values())
    assert body.count('<span class="frame"') == min(boxes, 30)
    assert body.count("<figcaption>") == 2
    assert "a &lt;b&gt;.png" in body
    assert "<b>.png" not in body
    assert not re.search(r'(?:src|href)="(?!data:|#)', body)


def test_a_small_picture_is_enlarged_and_that_is_said(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (9, 5), 200).save(tmp_path / "small.png")
    assert main(["scan", str(trained), str(tmp_path / "small.png"), "--json"]) == 0
    told = capsys.readouterr()
    assert "9 × 5, is smaller than a window of 8" in told.err
    assert json.loads(told.out)["scales"] == [pytest.approx(8 / 5)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class", "dgo"], "Did you mean dog?"),
        (["--threshold", "90"], "from 0 to 1"),
        (["--stride", "0"], "--stride of 1 or more"),
        (["--scales", "0"], "above 0"),
        (["--scales", "nan"], "above 0"),
        (["--scales", "inf"], "above 0"),
        (["--scales", "1", "0.1"], "smaller than the window of 8 pixels"),
        (["--scales", "5000"], "300000 × 200000 pixels: more than the 100 million"),
        (["--html", "."], "--html . is a folder"),
        (["--html", "nowhere/x.html"], "The folder nowhere does not exist"),
    ],
    ids=["class", "threshold", "stride", "scale", "nan", "inf", "small scale", "vast", "folder", "no folder"],
)
def test_impossible_wishes_are_told_in_two_lines(
    words: list[str], said: str, trained: Path, canvas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", str(trained), str(canvas), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) <= 2


def test_what_is_no_picture_and_what_has_no_classes(
    trained: Path, canvas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    for path in (tmp_path / "broken.png", tmp_path, tmp_path / "none.png"):
        assert main(["scan", str(trained), str(path)]) == 2
        assert f"Cannot read {path}" in capsys.readouterr().err
    numbers = tmp_path / "run"
    numbers.mkdir()
    for file in trained.iterdir():
        if file.is_file():
            (numbers / file.name).write_bytes(file.read_bytes())
    info = json.loads((numbers / "run.json").read_text())
    (numbers / "run.json").write_text(json.dumps(info | {"classes": [], "task": "regression"}))
    assert main(["scan", str(numbers), str(canvas)]) == 2
    assert "no classes to look for" in capsys.readouterr().err
