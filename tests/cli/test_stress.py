"""``striate stress``: what is printed, what the JSON holds, and what is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from striate import api
from striate.cli.main import main
from striate.errors import RecipeError
from striate.stress.distortion import CORRUPTIONS, CURVES

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

NAMED = {
    "shift", "scale", "rotation", "shear", "occlusion", "brightness", "contrast", "colour_cast", "blur",
    "noise", "jpeg", "clutter", "elastic",
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur",
    "zoom_blur", "snow", "frost", "fog", "elastic_transform", "pixelate", "jpeg_compression",
}  # fmt: skip


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["stress", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_json_names_every_distortion_and_every_level(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked(capsys, str(trained), str(trained.parent / "d"))
    assert set(found["curves"]) >= NAMED
    assert {"clean", "curves", "consistency"} <= set(found)
    for name, points in found["curves"].items():
        assert all({"level", "accuracy", "confidence"} <= set(point) for point in points)
        assert all(point["low"] <= point["accuracy"] <= point["high"] for point in points)
        if name in CORRUPTIONS:
            assert [point["level"] for point in points] == [1, 2, 3, 4, 5]
        else:
            assert points[0]["level"] == CURVES[name].identity
            assert points[0]["accuracy"] == found["clean"]["accuracy"]
    assert 0 <= found["consistency"] <= 1


def test_the_clean_accuracy_is_that_of_the_training_and_of_evaluate(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = asked(capsys, str(trained), "--only", "darkness")
    told = json.loads((trained / "run.json").read_text())
    assert own["clean"]["accuracy"] == told["metrics"][own["split"]]["accuracy"]
    assert own["n"] == told["data"]["pictures"][own["split"]]
    whole = asked(capsys, str(trained), str(trained.parent / "d"), "--full", "--only", "darkness")
    assert main(["evaluate", str(trained), str(trained.parent / "d"), "--json"]) == 0
    assert whole["clean"]["accuracy"] == json.loads(capsys.readouterr().out)["accuracy"]


def test_a_sample_is_drawn_by_the_seed(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(trained), str(trained.parent / "d"), "--only", "noise", "shift", "--sample", "10"]
    first, again, other = (asked(capsys, *words, "--seed", seed) for seed in ("0", "0", "1"))
    assert (first["n"], first["of"]) == (10, 24)
    for found in (first, again, other):
        del found["seconds"]
    assert first == again
    assert first["curves"] != other["curves"]


def test_a_sample_of_nothing_is_refused(trained: Path) -> None:
    with pytest.raises(RecipeError, match="A sample of 0 pictures"):
        api.stress(api.load(trained), trained.parent / "d", sample=0)


def test_the_table_fits_a_terminal_and_says_what_was_measured(
    trained: Path, terminal: Callable[[str], io.StringIO]
) -> None:
    screen = terminal("stdout")
    assert main(["stress", str(trained), str(trained.parent / "d"), "--only", "shift", "fog"]) == 0
    told = screen.getvalue().splitlines()
    assert max(map(len, told)) <= 80
    assert told[0].startswith("24 pictures of d")
    assert any(line.startswith("shift ") and line.endswith("pixels") for line in told)
    assert not any(line.startswith("noise") for line in told)


def test_a_run_beside_itself_differs_nowhere(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(trained), str(trained.parent / "d"), "--only", "fog", "shift", "--compare", str(trained)]
    found = asked(capsys, *words)
    assert found["compared"]["curves"] == found["curves"]
    assert "differs nowhere" in found["verdict"][0]
    mean = found["mce"]["mean"]
    assert mean is None or mean == pytest.approx(1)


def test_another_run_sees_the_same_pictures_and_none_that_it_was_trained_on(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another seed cuts the data elsewhere; another size moves them by the same share."""
    words = ["--model", "mlp", "--size", "12", "--epochs", "2", "--seed", "1", "--tune", "off"]
    assert main(["train", str(trained.parent / "d"), *words, "--out", str(tmp_path / "run")]) == 0
    own, other = (
        dict(line.split(",")[::2] for line in (run / "split.csv").read_text().splitlines()[1:])
        for run in (trained, tmp_path / "run")
    )
    tested = [name for name, side in own.items() if side == "test"]
    both = [name for name in tested if other[name] != "train"]
    assert 0 < len(both) < len(tested)  # else this seed tests nothing
    capsys.readouterr()
    compared = ["--compare", str(tmp_path / "run"), "--only", "shift", "--json"]
    assert main(["stress", str(trained), *compared]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["n"] == found["compared"]["clean"]["n"] == len(both)
    assert f"left out {len(tested) - len(both)} pictures" in told.err
    assert [point["level"] for point in found["compared"]["curves"]["shift"]] == [0, 1, 2]


def test_other_data_may_have_training_pictures_that_the_compared_run_never_saw(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        shutil.copytree(trained.parent / "d", tmp_path / "d" / split)
    words = [str(trained), str(tmp_path / "d"), "--compare", str(trained), "--only", "shift", "--json"]
    assert main(["stress", *words]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["n"] == 48
    assert "left out" not in told.err


def test_the_page_is_written_and_holds_its_figures(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "stress.html"
    words = ["--only", "shift", "fog", "occlusion", "--html", str(page)]
    assert main(["stress", str(trained), str(trained.parent / "d"), *words]) == 0
    told = page.read_text(encoding="utf-8")
    assert told.count("<svg") == 2  # fog is in the table
    assert "Where it must not be covered" in told
    assert "not the official files" in told
    assert f"wrote {page}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "shfit"], "Did you mean shift?"),
        (["--html", "."], "is a folder"),
        (["--html", "nowhere/x.html"], "does not exist"),
        (["--full", "--sample", "5"], "Give one of them."),
        (["--sample", "0"], "sample"),
        (["--compare", "nowhere"], "not a run folder"),
    ],
)
def test_mistakes_are_told_in_two_lines(
    trained: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stress", str(trained), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) <= 2


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on the same digits twice, in one class with a red patch in the upper left corner."""
    root = tmp_path_factory.mktemp("patched")
    digits = load_digits().images[:120]
    for name in ("plain", "patched"):
        (root / "d" / name).mkdir(parents=True)
        for i, digit in enumerate(digits):
            pixels = (digit[:, :, None] * [15, 15, 15]).astype(np.uint8)
            if name == "patched":
                pixels[:2, :2] = (255, 0, 0)
            Image.fromarray(pixels).save(root / "d" / name / f"{i:03}.png")
    words = ["--model", "mlp", "--size", "8", "--epochs", "20", "--augment", "off", "--tune", "off"]
    assert main(["train", str(root / "d"), *words, "--out", str(root / "run")]) == 0
    return root / "run"


def test_a_planted_cause_is_where_it_must_not_be_covered(
    patched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked(capsys, str(patched), "--full", "--only", "occlusion")
    accuracy = np.array(found["places"]["accuracy"])
    assert found["clean"]["accuracy"] > 0.95
    assert accuracy[0, 0] < 0.6  # the two classes differ in nothing else
    assert np.delete(accuracy.flatten(), [0, 1, 5, 6]).min() > 0.9
    assert found["places"]["worst"] == {"place": "at the top left", "class": "patched"}


def test_a_run_with_other_classes_is_refused(
    trained: Path, patched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stress", str(trained), "--compare", str(patched)]) == 2
    assert "has other classes" in capsys.readouterr().err


def test_a_run_that_predicts_a_number_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label"]
    for i in range(12):
        Image.new("L", (8, 8), 20 * i).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{i / 3}")
    (tmp_path / "values.csv").write_text("\n".join(lines))
    words = ["--task", "regression", "--model", "mlp", "--size", "8", "--epochs", "1", "--tune", "off"]
    assert main(["train", str(tmp_path / "values.csv"), *words, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["stress", str(tmp_path / "run")]) == 2
    assert "predicts a number" in capsys.readouterr().err
