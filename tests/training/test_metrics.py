from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from striate.errors import DataError, Diverged
from striate.training.metrics import Classified, classified, measured, rebuilt, stepped, wilson


def answers(n: int, k: int, seed: int, used: int | None = None) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, used or k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), targets] += 1.0
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True), targets


def scored(n: int, k: int, seed: int, used: int | None = None) -> tuple[Classified, Any, Any]:
    probabilities, targets = answers(n, k, seed, used)
    return classified(probabilities, targets, [f"c{i}" for i in range(k)]), probabilities, targets


@given(st.integers(1, 80), st.integers(2, 7), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_agrees_with_scikit_learn(n: int, k: int, seed: int) -> None:
    scores, probabilities, targets = scored(n, k, seed)
    predicted = probabilities.argmax(1)
    present = np.unique(targets)
    assert scores.accuracy == pytest.approx(oracle.accuracy_score(targets, predicted))
    assert scores.confusion == oracle.confusion_matrix(targets, predicted, labels=range(k)).tolist()
    assert scores.loss == pytest.approx(oracle.log_loss(targets, probabilities, labels=range(k)))
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        targets, predicted, labels=range(k), zero_division=0.0
    )
    for i, row in enumerate(scores.per_class):
        assert row.n == support[i]
        assert (row.precision or 0.0) == pytest.approx(precision[i])
        assert (row.recall or 0.0) == pytest.approx(recall[i])
        assert (row.f1 or 0.0) == pytest.approx(f1[i])
        assert (row.recall is None) == (row.f1 is None) == (i not in present)
        assert (row.precision is None) == (i not in predicted)
    assert scores.balanced_accuracy == pytest.approx(recall[present].mean())
    assert scores.macro_f1 == pytest.approx(f1[present].mean())


@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_every_interval_holds_its_value_and_json_holds_no_nan(n: int, k: int, seed: int) -> None:
    scores, _, _ = scored(n, k, seed, used=max(1, k - 1))
    pairs = [
        (scores.accuracy, scores.accuracy_interval),
        (scores.balanced_accuracy, scores.balanced_accuracy_interval),
    ]
    for row in scores.per_class:
        pairs += [
            (value, interval)
            for value, interval in (
                (row.precision, row.precision_interval),
                (row.recall, row.recall_interval),
                (row.f1, row.f1_interval),
            )
            if value is not None and interval is not None
        ]
    for value, (low, high) in pairs:
        assert 0 <= low <= value + 1e-12
        assert value - 1e-12 <= high <= 1
    json.dumps([scores.json(), scores.summary()], allow_nan=False)


def test_wilson_against_published_values() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


def test_intervals_cover_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[0.30, 0.10], [0.15, 0.45]])  # joint probabilities of (true, predicted)
    recall = (0.3 / 0.4 + 0.45 / 0.6) / 2
    f1 = 2 * 0.3 / (0.4 + 0.45)
    hits = np.zeros(2)
    for _ in range(400):
        cells = rng.choice(4, size=80, p=truth.ravel())
        scores = classified(np.eye(2)[cells % 2], cells // 2, ["a", "b"])
        low, high = scores.balanced_accuracy_interval
        hits[0] += low <= recall <= high
        first = scores.per_class[0].f1_interval
        assert first is not None
        hits[1] += first[0] <= f1 <= first[1]
    assert (hits / 400 > 0.92).all(), hits / 400
    assert (hits / 400 < 0.99).all(), hits / 400


def test_calibration_by_hand() -> None:
    probabilities = np.array([[0.78, 0.22], [0.78, 0.22], [0.6, 0.4], [1.0, 0.0]])
    scores = classified(probabilities, np.array([0, 1, 0, 0]), ["a", "b"])
    # The bin up to 12/15 holds 0.78 twice, half right; that up to 9/15 holds 0.6, right; the last 1.0, right.
    assert [(i, b["n"]) for i, b in enumerate(scores.bins) if b["n"]] == [(8, 1), (11, 2), (14, 1)]
    assert scores.calibration_error == pytest.approx(0.5 * 0.28 + 0.25 * 0.4 + 0.0)
    assert len(scores.bins) == 15
    assert sum(int(b["n"] or 0) for b in scores.bins) == 4


def test_certain_and_wrong_is_a_large_loss_and_not_infinity() -> None:
    scores = classified(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0]), ["a", "b"])
    assert 40 < scores.loss < 50
    json.dumps(scores.json(), allow_nan=False)


def test_the_headline_follows_the_classes() -> None:
    even = classified(np.eye(2)[[0, 0, 1]], np.array([0, 0, 1]), ["a", "b"])
    assert even.headline == ("accuracy", 1.0)
    uneven = classified(np.eye(3)[[0, 0, 0, 0]], np.array([0, 0, 0, 1]), ["a", "b", "empty"])
    assert uneven.uneven
    assert uneven.headline == ("balanced accuracy", 0.5)
    assert uneven.interval == uneven.balanced_accuracy_interval


def test_one_class_lacks_pictures_and_one_is_never_predicted() -> None:
    scores = classified(np.eye(3)[[0, 0, 0]], np.array([0, 0, 1]), ["a", "b", "empty"])
    a, b, empty = scores.per_class
    assert (b.precision, b.recall, b.f1) == (None, 0.0, 0.0)
    assert (empty.n, empty.precision, empty.recall, empty.f1, empty.f1_interval) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert a.f1 == pytest.approx(0.8)
    assert scores.macro_f1 == pytest.approx(0.4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_numbers_are_refused(value: float) -> None:
    with pytest.raises(Diverged, match="1 of 2 pictures"):
        classified(np.array([[0.5, 0.5], [value, 0.5]]), np.array([0, 1]), ["a", "b"])
    with pytest.raises(Diverged, match="1 of 2 pictures"):
        measured(np.array([value, 0.5]), np.array([0.0, 1.0]))


def test_an_empty_split_is_our_bug() -> None:
    with pytest.raises(ValueError, match="at least one"):
        classified(np.zeros((0, 2)), np.zeros(0, int), ["a", "b"])
    with pytest.raises(ValueError, match="3 classes"):
        classified(np.eye(2), np.array([0, 1]), ["a", "b", "c"])


@given(st.integers(2, 60), st.integers(0, 9999))
@settings(max_examples=30, deadline=None)
def test_regression_agrees_with_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=n)
    outputs = targets + rng.normal(size=n)
    scores = measured(outputs, targets)
    assert scores.mae == pytest.approx(oracle.mean_absolute_error(targets, outputs))
    assert scores.rmse == pytest.approx(oracle.root_mean_squared_error(targets, outputs))
    assert scores.r2 == pytest.approx(oracle.r2_score(targets, outputs))
    assert scores.mae_interval[0] <= scores.mae <= scores.mae_interval[1]
    assert scores.rmse_interval[0] <= scores.rmse <= scores.rmse_interval[1]
    assert set(scores.summary()) == {"mae", "rmse", "r2"}


def test_equal_targets_have_no_r2() -> None:
    scores = measured(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert scores.r2 is None
    assert scores.summary() == {"mae": 0.5, "rmse": pytest.approx(0.5**0.5)}
    json.dumps(measured(np.array([1.0]), np.array([1.5])).json(), allow_nan=False)


def pieces(n: int, channels: int, length: int, seed: int, kind: str) -> tuple[Any, Any]:
    """Logits, and truths that are NaN after lengths which differ."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, channels, length)).astype(np.float32)
    if kind == "symbols":
        truths = np.eye(channels)[rng.integers(channels, size=(n, length))].transpose(0, 2, 1)
    else:
        truths = rng.normal(size=(n, channels, length))
        truths = (truths > 0).astype(float) if kind == "binary" else truths
    for i, steps in enumerate(rng.integers(1, length + 1, n)):
        truths[i, :, steps:] = np.nan
    return logits, truths.astype(np.float32)


@given(st.integers(1, 6), st.integers(2, 5), st.integers(1, 9), st.integers(0, 9999))
@settings(max_examples=30, deadline=None)
def test_steps_agree_with_torch_on_the_steps_laid_end_to_end(n: int, k: int, length: int, seed: int) -> None:
    for kind in ("binary", "symbols", "values"):
        logits, truths = pieces(n, k, length, seed, kind)
        known = ~np.isnan(truths[:, 0])
        flat, truth = (torch.tensor(x.transpose(0, 2, 1)[known]) for x in (logits, truths))
        if kind == "binary":
            expected = F.binary_cross_entropy_with_logits(flat, truth) * k
            scores = stepped(1 / (1 + np.exp(-logits)), truths, kind)
        elif kind == "symbols":
            expected = F.cross_entropy(flat, truth.argmax(1))
            scores = stepped(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), truths, kind)
            assert scores.perplexity == pytest.approx(float(expected.exp()), rel=1e-5)
        else:
            expected = F.mse_loss(flat, truth)
            scores = stepped(logits, truths, kind)
        assert scores.loss == pytest.approx(float(expected), rel=1e-5)
        assert (scores.n, scores.steps) == (n, known.sum())
        assert 0 <= scores.interval[0] <= scores.loss <= scores.interval[1]
        json.dumps([scores.json(), scores.summary()], allow_nan=False)


def test_padding_changes_no_score_even_where_the_answer_there_is_broken() -> None:
    logits, truths = pieces(4, 3, 7, 0, "values")
    more = np.full((4, 3, 5), np.nan, np.float32)
    assert stepped(np.concatenate((logits, more), 2), np.concatenate((truths, more), 2), "values") == stepped(
        logits, truths, "values"
    )


def test_every_step_weighs_the_same_and_not_every_sequence() -> None:
    truths = np.array([[[0.0, np.nan, np.nan]], [[1.0, 1.0, 1.0]]])
    assert stepped(np.zeros_like(truths), truths, "values").loss == 0.75
    assert stepped(np.zeros_like(truths), truths, "values").steps == 4


def test_the_interval_of_steps_covers_the_truth_where_sequences_differ() -> None:
    """Steps of one sequence are alike; taken for independent, they would cover half as often."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        lengths = rng.integers(5, 30, 40)
        truths = np.where(np.arange(30) < lengths[:, None], rng.exponential(size=(40, 1)) ** 0.5, np.nan)
        low, high = stepped(np.zeros((40, 1, 30)), truths[:, None], "values").interval
        hits += low <= 1.0 <= high
    assert 0.90 < hits / 300 < 0.98


def test_certain_and_wrong_at_a_step_is_a_large_loss_and_not_infinity() -> None:
    assert 16 < stepped(np.ones((1, 1, 1)), np.zeros((1, 1, 1)), "binary").loss < 17
    assert 16 < stepped(np.array([[[1.0], [0.0]]]), np.array([[[0.0], [1.0]]]), "symbols").loss < 17


def test_the_headline_of_steps_names_what_was_measured() -> None:
    one = np.full((1, 2, 1), 0.5)
    assert stepped(one, one, "binary").headline[0] == "negative log-likelihood a step"
    name, value = stepped(one, one, "symbols").headline
    assert (name, round(value, 6)) == ("cross-entropy a letter", round(np.log(2), 6))
    assert stepped(one, one, "values").headline == ("mean squared error a step", 0.0)
    assert set(stepped(one, one, "symbols").summary()) == {"nll", "perplexity"}
    assert set(stepped(one, one, "values").summary()) == {"mse", "rmse"}


def test_a_broken_step_is_refused_and_an_empty_split_is_our_bug() -> None:
    ones = np.ones((2, 1, 2))
    with pytest.raises(Diverged, match="1 of 2 sequences"):
        stepped(np.array([[[1.0, 1.0]], [[np.nan, 1.0]]]), ones, "binary")
    with pytest.raises(DataError, match="each of the 2 sequences to score has one step"):
        stepped(ones, ones * np.nan, "values")
    with pytest.raises(ValueError, match="same is needed"):
        stepped(ones[:0], ones[:0], "values")


@given(st.integers(1, 20), st.integers(0, 9999))
@settings(max_examples=20, deadline=None)
def test_reconstruction_agrees_with_the_sum_by_hand(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    both = rng.random((2, n, 3, 4, 5), np.float32)
    outputs, truths = both
    scores = rebuilt(outputs, truths)
    assert scores.error == pytest.approx(F.mse_loss(*torch.tensor(both)).item() * 60, rel=1e-5)
    assert scores.rmse == pytest.approx(oracle.root_mean_squared_error(truths.ravel(), outputs.ravel()))
    assert scores.headline == ("squared error", scores.error)
    assert 0 <= scores.interval[0] <= scores.error <= scores.interval[1]
    assert set(scores.summary()) == {"squared_error", "rmse"}
    json.dumps(scores.json(), allow_nan=False)


def test_a_reconstruction_of_padding_is_not_scored_and_a_broken_one_is_refused() -> None:
    truths = np.array([[1.0, np.nan], [1.0, 1.0]])
    scores = rebuilt(np.array([[0.0, np.nan], [1.0, 1.0]]), truths)
    assert scores.error == 0.5
    assert scores.rmse == pytest.approx((1 / 3) ** 0.5)
    with pytest.raises(Diverged, match="1 of 2 samples"):
        rebuilt(np.array([[0.0, np.nan], [1.0, np.inf]]), truths)
    with pytest.raises(ValueError, match="same is needed"):
        rebuilt(truths[:0], truths[:0])
