"""The spread of several runs, and the labels that they doubt, against built cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from striate.training.several import outliers, spread, suspects


def test_the_spread_is_that_of_a_sample() -> None:
    found = spread([{"accuracy": value} for value in (0.90, 0.92, 0.97)])["accuracy"]
    assert found["mean"] == pytest.approx(0.93)
    assert found["std"] == pytest.approx(np.std([0.90, 0.92, 0.97], ddof=1))
    assert (found["min"], found["max"]) == (0.90, 0.97)
    # Student's t with 2 degrees of freedom: 4.3027 (any table).
    half = 4.3027 * found["std"] / 3**0.5
    assert found["interval"] == pytest.approx([0.93 - half, 0.93 + half], abs=1e-4)


def test_a_single_run_has_no_spread_and_figures_that_not_all_have_are_left_out() -> None:
    assert spread([{"mae": 2.0}])["mae"] == {
        "mean": 2.0,
        "std": None,
        "min": 2.0,
        "max": 2.0,
        "interval": None,
    }
    assert list(spread([{"mae": 2.0, "r2": 0.5}, {"mae": 1.0}])) == ["mae"]
    assert spread([]) == {}


def test_suspects_by_hand() -> None:
    # Class 0 is usually given 0.7 (mean of .9 .8 .4), class 1 0.58 (mean of .9 .25 .6).
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.75, 0.25], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = suspects(p, labels)
    assert found.rows.tolist() == [4, 2]
    assert found.suggested.tolist() == [0, 1]
    assert found.scores.tolist() == [0.25, 0.4]
    # Less sure than usual: contradicted, and no suspect.
    p[4:] = [[0.69, 0.31], [0.45, 0.55]]
    assert suspects(p, labels).rows.tolist() == [2]


def test_flipped_digits_are_found() -> None:
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(y))[:90]  # 5 %
    wrong = y.copy()
    wrong[chosen] = (y[chosen] + rng.integers(1, 10, 90)) % 10
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = LogisticRegression(C=0.1, max_iter=200)
    found = suspects(cross_val_predict(model, x / 16, wrong, cv=folds, method="predict_proba"), wrong)
    right = np.isin(found.rows, chosen)
    assert right.sum() >= 0.7 * 90
    assert right[:50].mean() >= 0.95  # the first are nearly all flipped
    assert (found.suggested == y[found.rows])[right].mean() >= 0.9


def test_outliers_are_far_from_what_is_usual() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=500)
    answers = numbers + rng.normal(scale=0.1, size=500)
    numbers[[7, 70]] += [3, -5]
    found = outliers(answers, numbers)
    assert found.rows[:2].tolist() == [70, 7]
    assert len(found.rows) <= 6  # 0.3 % of a normal distribution lie beyond three deviations
    assert (np.diff(found.scores) <= 0).all()
    assert len(outliers(numbers, numbers).rows) == 0
