"""What ``striate evaluate`` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from striate.cli.evaluate import lines
from striate.cli.main import main
from striate.training.metrics import classified, measured

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_classifier_gets_its_numbers_and_a_row_a_class() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    told = lines(classified(probabilities, np.array([0, 0, 1, 1]), ["cat", "dog"]))
    assert told == [
        "4 pictures; in brackets the 95 % interval",
        "accuracy           75.0%  (30.1% to 95.4%)",
        f"balanced accuracy  75.0%  ({told[2].split('(')[1]}",
        "",
        "class  pictures  precision  recall     F1",
        "cat           2      66.7%  100.0%  80.0%",
        "dog           2     100.0%   50.0%  66.7%",
    ]


def test_a_class_without_pictures_has_a_dash_and_no_nan() -> None:
    told = lines(classified(np.array([[0.9, 0.1]]), np.array([0]), ["cat", "dog"]))
    assert told[-1].split() == ["dog", "0", "-", "-", "-"]


def test_a_regression_has_its_own_numbers() -> None:
    told = lines(measured(np.array([1.0, 2.0, 3.5]), np.array([1.0, 2.0, 3.0])))
    assert told[0].startswith("3 pictures")
    assert "mean absolute error      0.1667  (" in told[1]
    assert "R²                       0.875" in told[3]


def test_equal_targets_have_no_r2() -> None:
    assert lines(measured(np.array([1.0, 2.0]), np.array([1.0, 1.0])))[3].split() == ["R²", "-"]


def test_json_is_one_document(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), str(trained.parent / "d"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert {"accuracy", "per_class", "confusion"} <= set(scores)
    assert np.sum(scores["confusion"]) == 24
    assert scores["accuracy"] == np.trace(scores["confusion"]) / 24 > 0.5


def test_a_split_that_the_data_lack_is_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), str(trained.parent / "d"), "--split", "test"]) == 2
    assert len(capsys.readouterr().err.splitlines()) <= 2
