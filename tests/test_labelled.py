"""A run finds its own held-out pictures again, as they were cut when it was trained."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import striate
from striate.api.labelled import labelled
from striate.data.preprocess import from_json
from striate.errors import DataError, RunError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> striate.Run:
    root = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    for name, shade in (("cat", 0), ("dog", 150)):
        (root / "d" / name).mkdir(parents=True)
        for i in range(20):
            pixels = (random.integers(0, 100, (12, 12, 3)) + shade).astype(np.uint8)
            Image.fromarray(pixels).save(root / "d" / name / f"{i:02}.png")
    return striate.train(root / "d", model="mlp", size=8, batch=8, steps=2, out=root / "run", tune="off")


def test_the_parts_are_those_of_split_csv(run: striate.Run) -> None:
    found = labelled(run)
    with (run.path / "split.csv").open(newline="") as lines:
        sides = {line["path"]: line["split"] for line in csv.DictReader(lines)}
    assert found.split == "test"
    assert sorted(found.parts) == ["test", "train", "val"]
    for part, rows in found.parts.items():
        assert {found.names[row] for row in rows} == {name for name, side in sides.items() if side == part}
    assert np.array_equal(found.rows, found.parts["test"])
    assert np.array_equal(labelled(run, split="val").rows, found.parts["val"])


def test_pixels_and_targets_are_those_of_the_files(run: striate.Run) -> None:
    found, preprocess = labelled(run), from_json(run.info["preprocess"])
    row = int(found.rows[0])
    name = found.names[row]
    picture = np.asarray(Image.open(run.path.parent / "d" / name))
    assert np.array_equal(found.pixels[row], preprocess.pixels(picture))
    assert run.classes[found.targets[row]] == name.split("/")[0]


def test_other_data_are_taken_whole_unless_they_have_a_test_part(run: striate.Run, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for i in range(3):
        Image.new("RGB", (9, 9), (i, 0, 0)).save(tmp_path / "cat" / f"{i}.png")
    found = labelled(run, tmp_path)
    assert (found.split, len(found.rows)) == (None, 3)
    with pytest.raises(DataError, match="no readable pictures in the split 'val'"):
        labelled(run, tmp_path, split="val")


def test_data_that_changed_since_are_refused(run: striate.Run) -> None:
    added = run.path.parent / "d" / "cat" / "99.png"
    Image.new("RGB", (12, 12)).save(added)
    try:
        with pytest.raises(RunError, match="have changed since it was trained"):
            labelled(run)
    finally:
        added.unlink()
