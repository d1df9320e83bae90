"""Losses and answers against formulas; a task read back from run.json answers as the trained one did."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from striate.runs.recipe import Recipe
from striate.training import task as tasks

CLASSES = ("a", "b", "c")


def test_smoothed_cross_entropy() -> None:
    outputs, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 0])
    task = tasks.Classification(CLASSES, smoothing=0.1)
    wanted = 0.9 * F.one_hot(targets, 3) + 0.1 / 3
    by_hand = -(wanted * outputs.log_softmax(1)).sum(1)
    torch.testing.assert_close(task.losses(outputs, targets), by_hand)


def test_weights_have_mean_one_and_favour_the_rare() -> None:
    targets = np.array([0] * 8 + [1] * 2)
    task = tasks.for_training(Recipe().replace(balance="weights"), targets, CLASSES)
    assert isinstance(task, tasks.Classification)
    assert task.weights[1] == pytest.approx(4 * task.weights[0])
    assert np.mean([task.weights[t] for t in targets]) == pytest.approx(1)
    plain = tasks.Classification(CLASSES)
    outputs, some = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    factors = torch.tensor([task.weights[t] for t in some])
    torch.testing.assert_close(task.losses(outputs, some), plain.losses(outputs, some) * factors)


def test_numbers_are_learned_scaled_and_answered_as_they_were() -> None:
    targets = np.array([10.0, 20.0, 60.0], np.float32)
    task = tasks.for_training(Recipe().replace(task="regression"), targets, ())
    scaled = (torch.tensor(targets) - targets.mean()) / targets.std()
    outputs = scaled[:, None]
    torch.testing.assert_close(task.losses(outputs, torch.tensor(targets)), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(task.answers(outputs), torch.tensor(targets))
    torch.testing.assert_close(task.hits(outputs + 1, torch.tensor(targets)), torch.full((3,), targets.std()))
    scores = task.score(targets + 5, targets)
    assert task.loss(scores, targets + 5, targets) == pytest.approx((5 / targets.std()) ** 2)


def test_equal_targets_do_not_divide_by_zero() -> None:
    task = tasks.for_training(Recipe().replace(task="regression"), np.full(4, 7.0, np.float32), ())
    assert task.scale == {"mean": 7.0, "std": 1.0}


def test_a_task_comes_back_from_run_json() -> None:
    outputs = torch.randn(4, 3)
    trained: list[tuple[str, tasks.Task]] = [
        ("classification", tasks.Classification(CLASSES, 0.1)),
        ("regression", tasks.Regression(3.0, 2.0)),
    ]
    for name, task in trained:
        classes = CLASSES if name == "classification" else ()
        info = json.loads(json.dumps({"task": name, "classes": classes, "target": task.scale}))
        torch.testing.assert_close(tasks.from_info(info).answers(outputs), task.answers(outputs))
