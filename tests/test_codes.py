"""``striate encode`` and ``striate reconstruct`` from the command line, on runs of two small trainings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import striate
from striate import api
from striate.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder of the digits with a code of 6."""
    asked: dict[str, Any] = {"model": "autoencoder_relu-24-6", "epochs": 12, "tune": "off"}
    found = striate.train(
        "digits", task="reconstruction", **asked, out=tmp_path_factory.mktemp("runs") / "codes"
    )
    return found.path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classes"
    return striate.train("digits", model="mlp-7", size=8, epochs=1, tune="off", out=out).path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Nine pictures in one folder, and a file that is none."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for i, picture in enumerate(load_digits().images[:9]):
        Image.fromarray((picture * 15).astype(np.uint8)).save(folder / f"{i}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_codes_are_those_of_the_encoder_with_names_and_labels(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "codes.npz", tmp_path / "codes.html"
    found = said(capsys, "encode", str(run), "digits", "--out", str(out), "--html", str(page))
    assert (found["samples"], found["numbers"], len(found["labels"])) == (1797, 6, 10)
    assert found["files"] == [str(out), str(page)]
    with np.load(out, allow_pickle=False) as held:
        codes, names, labels = held["codes"], held["names"], held["labels"]
    opened = api.load(run)
    digits = load_digits()
    assert (codes.dtype, codes.shape) == (np.float32, (1797, 6))
    assert labels.tolist() == [str(target) for target in digits.target]
    assert names[5] == "digits[5]"
    seen = striate.runs.load.preprocess_of(opened).tensor(torch.from_numpy(_raw(digits.images[:4]))[:, None])
    with torch.no_grad():
        np.testing.assert_allclose(codes[:4], opened.model.encoder(seen).numpy(), atol=1e-4)  # type: ignore[operator]
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "1,797 pictures as 6 numbers each" in text


def _raw(images: Any) -> Any:
    """The digits as striate's own data set stores them."""
    from striate.data.catalogue import open_named

    source = open_named("digits")
    return np.stack([np.asarray(source.read(i)) for i in range(len(images))])


def test_a_code_of_two_numbers_is_its_own_map(tmp_path: Path) -> None:
    out = tmp_path / "two"
    found = striate.train(
        "digits", task="reconstruction", model="autoencoder_linear-2", epochs=1, tune="off", out=out
    )
    encoded = api.encode(found, "digits", split="test", html=tmp_path / "page.html")
    (only,) = encoded.maps
    np.testing.assert_array_equal(only.places, encoded.codes)
    assert len(encoded.codes) == found.info["data"]["pictures"]["test"]


def test_a_flat_folder_will_do_and_what_is_broken_is_named(
    run: Path, flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(run), str(flat), "--out", str(tmp_path / "c.npz")]) == 0
    out, err = capsys.readouterr()
    assert "9 pictures as 6 numbers each\n" in out
    assert "broken.png" in err
    with np.load(tmp_path / "c.npz", allow_pickle=False) as held:
        assert set(held["labels"].tolist()) == {""}
    assert said(capsys, "reconstruct", str(run), str(flat))["scores"]["the network"]["n"] == 9


def test_one_class_and_classes_that_the_run_never_saw_are_no_error(
    classifier: Path, flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flat / "rocks").mkdir()
    for file in flat.glob("*.png"):
        file.rename(flat / "rocks" / file.name)
    found = said(capsys, "encode", str(classifier), str(flat), "--out", str(tmp_path / "c.npz"))
    assert (found["samples"], found["numbers"], found["labels"]) == (9, 7, ["rocks"])
    assert found["way"] == "the features before its last layer"


def test_reconstructions_beside_pca_of_the_same_size_on_the_runs_own_split(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    found = said(capsys, "reconstruct", str(run), "digits", "--split", "test", "--html", str(page))
    own = json.loads((run / "run.json").read_text())
    assert found["code"] == 6
    assert found["scores"]["the network"]["squared_error"] == pytest.approx(
        own["metrics"]["test"]["squared_error"], rel=1e-4
    )
    lines = (run / "split.csv").read_text().splitlines()[1:]
    sides = np.array([line.rsplit(",", 1)[1] for line in lines])
    numbers = [int(re.findall(r"\[(\d+)\]", line)[0]) for line in lines]
    flat = _raw(range(1797)).reshape(1797, -1)[numbers] / 255
    right = PCA(6, svd_solver="full").fit(flat[sides == "train"])
    test = flat[sides == "test"]
    error = np.square(test - right.inverse_transform(right.transform(test))).sum(1).mean()
    assert found["scores"]["PCA of 6 numbers"]["squared_error"] == pytest.approx(error, rel=1e-4)
    plain = {one["name"]: one["scores"]["squared_error"] for one in own["plain_answers"]}
    assert plain["PCA of 6 numbers"] == pytest.approx(error, rel=1e-4)
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 12 * 3
    assert "<script" not in text


def test_damage_is_drawn_by_the_seed_and_held_against_the_clean(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reconstruct", str(run), "digits", "--corrupt", "noise=0.5"]
    first, again = said(capsys, *words), said(capsys, *words)
    other = said(capsys, *words, "--seed", "1")
    assert first == again != other
    shown = first["scores"]["as it was shown"]["squared_error"]
    assert shown == pytest.approx(0.25 * 64, rel=0.02)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "damaged by noise=0.5" in out


def test_pca_is_left_out_with_a_warning_where_the_training_data_are_gone(
    run: Path, flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (moved / file.name).write_bytes(file.read_bytes())
    recipe = (moved / "recipe.toml").read_text()
    (moved / "recipe.toml").write_text(recipe.replace('data = "digits"', 'data = "gone/away"'))
    assert main(["reconstruct", str(moved), str(flat), "--json"]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["scores"]) == ["the network"]
    assert "No PCA is shown beside it" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["reconstruct", "CLASSIFIER", "digits"], "does not give its input back"),
        (["reconstruct", "RUN", "digits", "--corrupt", "fog"], "cannot read 'fog'"),
        (["reconstruct", "RUN", "nowhere"], "No such file"),
        (["encode", "RUN", "digits", "--out", "none/codes.npz"], "does not exist"),
        (["encode", "RUN", "digits", "--html", "."], "is a folder"),
        (["encode", "RUN", "FLAT", "--split", "test"], "no readable pictures in the split 'test'"),
    ],
)
def test_what_is_wrong_is_told_in_two_lines(
    words: list[str], told: str, run: Path, classifier: Path, flat: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": str(run), "CLASSIFIER": str(classifier), "FLAT": str(flat)}
    assert main([places.get(word, word) for word in words]) == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if not line.startswith("Warning: left out")]
    assert told in err
    assert 1 <= len(lines) <= 2


def test_the_report_of_the_training_shows_samples_and_the_map(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "What comes back from the code" in text
    assert "Where the codes lie" in text
    assert "PCA of 6 numbers" in text
    assert "Worst mistakes" not in text
    assert "Can its confidence be believed?" not in text
