"""What ``striate data`` prints."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate.cli.data import lines
from striate.cli.main import main
from striate.data.check import Check

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    import pytest

FOUND = Check(
    classes={"jumper": {"train": 8, "val": 2, "test": 2}, "shirt": {"train": 5, "test": 1}},
    splits={"train": 13, "val": 2, "test": 3},
    sizes={"width": [48, 300, 400], "height": [64, 300, 533]},
    modes={"JPEG RGB": 17, "PNG palette": 1},
    unreadable=[("shirt/x.jpg", "cut off: the file ends before the picture does")],
    duplicates=[
        (["jumper/a.jpg", "jumper/b.jpg"], ["train", "test"], True),
        (["shirt/c.jpg", "shirt/d.jpg"], ["train", "train"], False),
    ],
    imbalance=2.0,
    warnings=["1 picture of test is also in train: the test result is too good"],
)


def many(classes: int) -> Check:
    return Check(
        classes={f"class {i:03}": {"train": i + 1} for i in range(classes)},
        splits={"train": classes * (classes + 1) // 2},
        sizes={},
        modes={},
        unreadable=[(f"{'deep/' * 40}{i}.jpg", "empty") for i in range(30)],
        duplicates=[],
        imbalance=1.0,
        warnings=[],
    )


def test_everything_that_was_found_is_told() -> None:
    assert "\n".join(lines(FOUND)) == (
        "class   train  val  test  all\n"
        "jumper      8    2     2   12\n"
        "shirt       5    0     1    6\n"
        "all        13    2     3   18\n"
        "\n"
        "largest class: 2 times the smallest\n"
        "width: 48 to 400 pixels, median 300\n"
        "height: 64 to 533 pixels, median 300\n"
        "JPEG RGB: 17\n"
        "PNG palette: 1\n"
        "\n"
        "Left out: 1\n"
        "  shirt/x.jpg: cut off: the file ends before the picture does\n"
        "\n"
        "The same picture: 1\n"
        "  jumper/a.jpg (train) = jumper/b.jpg (test)\n"
        "\n"
        "Nearly the same picture: 1\n"
        "  shirt/c.jpg (train) = shirt/d.jpg (train)\n"
        "\n"
        "Warning: 1 picture of test is also in train: the test result is too good"
    )


def test_many_classes_and_long_names_fit_a_terminal(terminal: Callable[[str], io.StringIO]) -> None:
    terminal("stdout")
    told = lines(many(100))
    assert "and 80 more classes" in told
    assert "  and 10 more" in told
    assert max(len(line) for line in told) <= 80
    assert sum(line.startswith("class ") for line in told) == 21  # the head and 20 classes
    assert told[22].split() == ["all", "5050", "5050"]


def test_exactly_as_many_classes_as_fit_hide_none() -> None:
    assert not any("more classes" in line for line in lines(many(20)))


def test_of_many_copies_a_few_are_named() -> None:
    group = ([f"{i}.jpg" for i in range(9)], ["train"] * 9, True)
    told = lines(dataclasses.replace(FOUND, duplicates=[group]))
    assert "  0.jpg (train) = 1.jpg (train) = 2.jpg (train) = 3.jpg (train) and 5 more" in told


def test_numbers_instead_of_classes_are_only_counted() -> None:
    found = Check({}, {"train": 10, "test": 2}, {"width": [8, 8, 8]}, {"PNG grey": 12}, [], [], 1.0, [])
    assert [line.split() for line in lines(found)[:2]] == [
        ["train", "test", "all"],
        ["pictures", "10", "2", "12"],
    ]


def test_the_command_changes_nothing_and_prints_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.fromarray(random.integers(0, 255, (12, 9, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "dog" / "copy.png").write_bytes((tmp_path / "dog" / "3.png").read_bytes())
    (tmp_path / "dog" / "broken.png").write_bytes(b"")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["data", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: sum(counts.values()) for name, counts in found["classes"].items()} == {"cat": 10, "dog": 11}
    assert sum(found["splits"].values()) == 21
    assert [entry["file"] for entry in found["unreadable"]] == ["dog/broken.png"]
    assert [sorted(group["files"]) for group in found["duplicates"]] == [["dog/3.png", "dog/copy.png"]]
    assert len(set(found["duplicates"][0]["splits"])) == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    assert main(["data", str(tmp_path), "--val", "0"]) == 0
    assert "val" not in capsys.readouterr().out.splitlines()[0]


def test_json_is_whole_in_a_pipe_that_takes_only_ascii(tmp_path: Path) -> None:
    for number, name in enumerate(("\u00e9t\u00e9", "\u732b\U0001f408")):
        (tmp_path / name).mkdir()
        for i in range(4):
            picture = np.full((8, 8, 3), 40 * i + number, np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{i}.png")
    told = subprocess.run(
        [sys.executable, "-m", "striate", "data", str(tmp_path), "--json"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    ).stdout
    assert set(json.loads(told)["classes"]) == {"\u00e9t\u00e9", "\u732b\U0001f408"}


def test_the_help_shows_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "--help"])
    told = capsys.readouterr().out
    assert all(f"--{name} " in told for name in ("task", "val", "test", "group", "seed", "offline", "json"))
