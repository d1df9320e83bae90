from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pytest

from striate.report import Story
from striate.report.page import page
from striate.training.baseline import Answer
from striate.training.metrics import Stepped, stepped


def read(scores: Stepped, answers: list[Answer] | None = None) -> str:
    """Give the words of a next-step run's page."""
    metric = next(iter(scores.summary()))
    history: list[dict[str, Any]] = [
        {"epoch": i, "step": i, "lr": 0.1, "train": {"loss": 9 / i, metric: 9 / i}, "val": None}
        for i in (1, 2)
    ]
    run = {"run": "runs/tune", "task": "next-step", "model": "tcn", "classes": [], "seconds": 3.0}
    told = page(Story(run=run, history=history, scores={"test": scores}, answers=answers or []))
    words = re.sub(r"<style.*?</style>|<[^>]+>", " ", told, flags=re.DOTALL)
    return " ".join(html.unescape(words).split())


def test_a_roll_is_told_in_nats_and_odds_and_plain_answers_reach_theirs() -> None:
    scores = Stepped("binary", n=77, steps=4_700, loss=8.1, interval=(7.9, 8.3))
    plain = [Answer("Each channel as often as in training", {"nll": 11.09})]
    words = read(scores, plain)
    assert "8.1 negative log-likelihood a step on 77 test sequences of 4,700 steps together" in words
    assert "interval: 7.9 to 8.3" in words
    assert "one chance in 3,294" in words
    assert "Each channel as often as in training reaches 11.09." in words
    assert "Negative log-likelihood a step" in words
    assert "Loss" not in words  # it is the same curve


def test_letters_are_told_as_a_choice_and_values_as_a_share_of_their_spread() -> None:
    letters = np.full((1, 4, 1), 0.25)
    assert "as if 4 were equally likely" in read(stepped(letters, np.eye(4)[None, :, :1], "symbols"))
    values = stepped(np.zeros((1, 1, 2)), np.full((1, 1, 2), 0.3), "values")
    assert "foretold to 0.3 of a channel's deviation" in read(values)


@pytest.mark.parametrize("word", ["Confusion", "Class by class", "confidence", "accuracy"])
def test_nothing_of_classes_is_on_the_page(word: str) -> None:
    assert word not in read(Stepped("symbols", 3, 9, 2.0, (1.0, 3.0)))


def test_what_it_can_be_used_for_is_not_prediction() -> None:
    words = read(Stepped("symbols", 3, 9, 2.0, (1.0, 3.0)))
    assert "striate evaluate runs/tune DATA" in words
    assert "predict" not in words


def test_a_plain_answer_that_is_better_is_said() -> None:
    scores = Stepped("values", 3, 9, 2.0, (1.0, 3.0))
    assert "A plain answer does better" in read(scores, [Answer("The last values once more", {"mse": 1.0})])
    assert "A plain answer" not in read(scores, [Answer("The last values once more", {"mse": 3.0})])
