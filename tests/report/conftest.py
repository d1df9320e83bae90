"""Stories for the report's tests: one with everything in it, as hostile as a user's names can be."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from striate.report import Shown, Story
from striate.training.baseline import Answer
from striate.training.metrics import classified, measured

EVIL = "<script>alert(1)</script>\"'&$name${x}\x00\ud800\u202e<img src=http://a.example/x.png>"


def noise(side: int, seed: int = 0, channels: int = 3) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)


def told(k: int = 10, side: int = 160, n: int = 400, evil: str = EVIL, split: str = "test") -> Story:
    """Tell of k classes with every section filled, ``evil`` in every name."""
    rng = np.random.default_rng(0)
    targets = np.minimum(rng.geometric(0.3, n) - 1, k - 1)
    odds = np.exp(rng.normal(size=(n, k)) * 1.5 + 4 * np.eye(k)[targets])
    classes = [f"{evil}{i}" for i in range(k)]
    scores = classified(odds / odds.sum(1, keepdims=True), targets, classes)
    history = [
        {
            "epoch": i,
            "step": 10 * i,
            "lr": 0.1 / i,
            "train": {"loss": 2 / i, "accuracy": 1 - 0.9 / i},
            "val": {"loss": 2.2 / i, "accuracy": 1 - 0.95 / i} if i % 2 else None,
            "seconds": 1.0,
        }
        for i in range(1, 21)
    ]
    sides = ("train", "val", "test")
    return Story(
        run={
            "run": f"runs/{evil}",
            "created": "2026-07-14T10:22:31",
            "task": "classification",
            "model": f"mine.{evil}:net",
            "classes": classes,
            "seconds": 588.2,
            "parameters": 11_181_642,
            "hardware": {"cpu": evil},
            "versions": {"striate": "0.1.0"},
            "preprocess": {"size": 96, "mean": [0.5, 0.4, 0.3]},
            "data": {"name": evil, "pictures": {"train": 5}},
            "metrics": {"test": scores.summary()},
        },
        recipe=f'# {re.sub("[^ -~]", "", evil)}\nmodel = "resnet18"\npatience = 3\n',
        history=history,
        choices=[("model", evil, evil)],
        check={
            "classes": {name: dict.fromkeys(sides, 7) for name in classes},
            "splits": dict.fromkeys(sides, 7 * k),
            "unreadable": [{"file": f"{evil}{i}", "reason": evil} for i in range(200)],
            "duplicates": [
                {"files": [f"{evil}{j}" for j in range(50)], "splits": ["train"] * 50, "exact": i % 2 == 0}
                for i in range(200)
            ],
            "sizes": {"width": [1, 2, 3], "height": [4, 5, 6]},
            "modes": {evil: 3},
            "warnings": [evil],
        },
        scores={split: scores},
        answers=[
            Answer(f"Always answering “{evil}”", {"accuracy": 0.3, "balanced_accuracy": 1 / k}),
            Answer("A linear model on the pixels", {"accuracy": 0.61, "balanced_accuracy": 0.47}),
        ],
        mistakes=[Shown(noise(side, i), f"{evil} for {i}", evil * 3) for i in range(40)],
        augmented=[(Shown(noise(side, i), evil), [Shown(noise(side, i), "")] * 9) for i in range(9)],
    )


def told_numbers() -> Story:
    """Tell of a regression."""
    rng = np.random.default_rng(0)
    true = rng.normal(40, 12, 300)
    predicted = true + rng.normal(0, 4, 300)
    history = [
        {
            "epoch": i,
            "step": i,
            "lr": 0.01,
            "train": {"loss": 90 / i**3, "mae": 9 / i},
            "val": None,
            "seconds": 1.0,
        }
        for i in range(1, 9)
    ]
    return Story(
        run={"run": "runs/age", "task": "regression", "model": "resnet20", "metrics": {}},
        recipe='task = "regression"\n',
        history=history,
        scores={"test": measured(predicted, true)},
        answers=[
            Answer("Always answering the mean (40.1)", {"mae": 9.6}),
            Answer("A linear model on the pixels", {"mae": 6.1}),
        ],
        mistakes=[Shown(noise(24, channels=1)[:12], "61 for 40")],
        predicted=predicted,
        true=true,
    )


@pytest.fixture(scope="session")
def story() -> Story:
    return told()
