from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from striate.training import baseline
from striate.training.baseline import plain_answers

NAMES = [str(i) for i in range(10)]


def digits() -> tuple[Any, Any, Any, Any]:
    data = load_digits()
    pixels = (data.images[..., None] * 16).clip(0, 255).astype(np.uint8)
    return pixels, data.target, np.arange(1400), np.arange(1400, 1797)


def test_a_linear_model_reads_the_digits_and_a_constant_does_not() -> None:
    constant, linear = plain_answers(*digits(), task="classification", classes=NAMES, seed=0)
    assert constant.name == "Always answering “3”"
    assert constant.scores["balanced_accuracy"] == pytest.approx(0.1)
    assert linear.scores["accuracy"] > 0.9
    assert set(constant.scores) == set(linear.scores)


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    pixels, targets = rng.integers(0, 256, (6000, 4, 4, 1), dtype=np.uint8), rng.integers(0, 3, 6000)
    runs = [
        plain_answers(
            pixels, targets, np.arange(6000), np.arange(300), task="classification", classes="abc", seed=seed
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


def test_pictures_are_averaged_over_their_area() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (3, 64, 33, 2), dtype=np.uint16)
    small = baseline._averaged(pixels, np.array([0, 2])).reshape(2, 16, 16, 2)
    assert small[0, 0, 0, 1] == pytest.approx(pixels[0, :4, :2, 1].mean())
    assert small[1, 3, 15, 0] == pytest.approx(pixels[2, 12:16, 30:33, 0].mean())
    tiny = rng.normal(size=(2, 5, 7, 1)).astype(np.float32)
    assert baseline._averaged(tiny, np.arange(2)).reshape(tiny.shape) == pytest.approx(tiny)


def test_a_class_without_training_pictures_gets_no_probability() -> None:
    pixels, targets = np.zeros((8, 4, 4, 1), np.uint8), np.array([0, 0, 0, 2, 2, 2, 2, 2])
    pixels[targets == 2] = 200
    rows = np.arange(8)
    answers = plain_answers(pixels, targets, rows, rows, task="classification", classes="abc", seed=0)
    assert [a.scores["accuracy"] for a in answers] == [5 / 8, 1.0]
    one = plain_answers(pixels, targets, rows[:3], rows, task="classification", classes="abc", seed=0)
    assert [a.scores["accuracy"] for a in one] == [3 / 8, 3 / 8]


def test_a_hundred_classes_and_nan_in_a_file() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(400) % 100
    pixels = rng.normal(size=(100, 6, 6, 1))[targets] + rng.normal(size=(400, 6, 6, 1)) / 4
    pixels[3, 2, 2], pixels[4, 2, 2:4, 0] = np.nan, (np.inf, -np.inf)
    names = [f"class {i}" for i in range(100)]
    rows = np.random.default_rng(1).permutation(400)
    _, linear = plain_answers(
        pixels, targets, rows[:300], rows[300:], task="classification", classes=names, seed=0
    )
    assert linear.scores["accuracy"] > 0.9


def test_regression() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    targets = pixels[:, :4].mean((1, 2, 3)) * 2 + rng.normal(size=300)
    mean, linear = plain_answers(
        pixels, targets, np.arange(200), np.arange(200, 300), task="regression", classes=(), seed=0
    )
    assert mean.name.startswith("Always answering the mean (2")
    assert mean.scores["r2"] < 0.01
    assert linear.scores["r2"] > 0.95
    assert mean.scores["mae"] == pytest.approx(np.abs(targets[200:] - targets[:200].mean()).mean())
