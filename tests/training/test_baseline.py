from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from striate.data.preprocess import Preprocess
from striate.data.sequence import Sequences
from striate.training import baseline
from striate.training.baseline import plain_answers
from striate.training.features import features
from striate.training.next_step import NextStep
from striate.training.plainsteps import plain_steps
from striate.training.reconstruction import Reconstruction
from striate.training.task import Classification, Regression

ABC = Classification(("a", "b", "c"))
DIGITS = Classification(tuple("0123456789"))
PICTURES = Preprocess(channels=1, size=8)


def digits() -> tuple[Any, Any, Any, Any]:
    data = load_digits()
    pixels = (data.images[..., None] * 16).clip(0, 255).astype(np.uint8)
    return pixels, data.target, np.arange(1400), np.arange(1400, 1797)


def test_a_linear_model_reads_the_digits_and_a_constant_does_not() -> None:
    constant, linear = plain_answers(*digits(), task=DIGITS, preprocess=PICTURES, seed=0)
    assert constant.name == "Always answering “3”"
    assert constant.scores["balanced_accuracy"] == pytest.approx(0.1)
    assert linear.scores["accuracy"] > 0.9
    assert set(constant.scores) == set(linear.scores)


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    pixels, targets = rng.integers(0, 256, (6000, 4, 4, 1), dtype=np.uint8), rng.integers(0, 3, 6000)
    runs = [
        plain_answers(
            pixels, targets, np.arange(6000), np.arange(300), task=ABC, preprocess=PICTURES, seed=seed
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
    answers = plain_answers(pixels, targets, rows, rows, task=ABC, preprocess=PICTURES, seed=0)
    assert [a.scores["accuracy"] for a in answers] == [5 / 8, 1.0]
    one = plain_answers(pixels, targets, rows[:3], rows, task=ABC, preprocess=PICTURES, seed=0)
    assert [a.scores["accuracy"] for a in one] == [3 / 8, 3 / 8]


def test_a_hundred_classes_and_nan_in_a_file() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(400) % 100
    pixels = rng.normal(size=(100, 6, 6, 1))[targets] + rng.normal(size=(400, 6, 6, 1)) / 4
    pixels[3, 2, 2], pixels[4, 2, 2:4, 0] = np.nan, (np.inf, -np.inf)
    names = tuple(f"class {i}" for i in range(100))
    rows = np.random.default_rng(1).permutation(400)
    _, linear = plain_answers(
        pixels, targets, rows[:300], rows[300:], task=Classification(names), preprocess=PICTURES, seed=0
    )
    assert linear.scores["accuracy"] > 0.9


def test_regression() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    targets = pixels[:, :4].mean((1, 2, 3)) * 2 + rng.normal(size=300)
    mean, linear = plain_answers(
        pixels, targets, np.arange(200), np.arange(200, 300), task=Regression(), preprocess=PICTURES, seed=0
    )
    assert mean.name.startswith("Always answering the mean (2")
    assert mean.scores["r2"] < 0.01
    assert linear.scores["r2"] > 0.95
    assert mean.scores["mae"] == pytest.approx(np.abs(targets[200:] - targets[:200].mean()).mean())


def series(values: Any, length: int) -> Any:
    """Lay arrays (n, C) of any length down as they are stored: (M, length, C), NaN at the ends."""
    stored = np.full((len(values), length, values[0].shape[1]), np.nan, np.float32)
    for row, sequence in zip(stored, values, strict=True):
        row[: len(sequence)] = sequence
    return stored


def test_tones_differ_in_their_bands_and_padding_is_not_heard() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(60) % 3
    lengths = rng.integers(500, 2000, 60)
    stored = np.zeros((60, 4000, 1), np.int16)
    for row, target, n in zip(stored, targets, lengths, strict=True):
        wave = np.sin(2 * np.pi * (0.02 + 0.05 * target) * np.arange(n) + rng.uniform(0, 6))
        row[:n, 0] = 8000 * wave + rng.normal(0, 800, n)
    sounds = Sequences(modality="sound", channels=1, length=4000, rate=8000, dtype="int16", std=(0.2,))
    rows = np.arange(60)
    _, linear = plain_answers(stored, targets, rows[:30], rows[30:], task=ABC, preprocess=sounds, seed=0)
    assert linear.name == "A linear model on the loudness in 24 bands"
    assert linear.scores["accuracy"] == 1.0
    shorter = dataclasses.replace(sounds, length=2000)
    assert (
        features(stored, rows, sounds).tolist() == features(stored[:, :2000].copy(), rows, shorter).tolist()
    )
    assert features(stored[:, :100].copy(), rows, sounds).shape == features(stored, rows, sounds).shape


def test_letters_are_counted_and_series_have_means_deviations_and_a_length() -> None:
    codes = np.array([[[1], [2], [2], [0]], [[3], [4], [0], [0]]], np.uint8)
    symbols = Sequences(modality="symbols", channels=3, length=4, alphabet="abc", dtype="uint8")
    third = 1 / 3
    counts = np.array([[1, 2, 0, 3], [third, third, 1 + third, 2]])
    assert features(codes, np.array([0, 1]), symbols) == pytest.approx(counts)
    stored = series([np.array([[1.0, 4], [3, 4]]), np.array([[5.0, 6]])], 3)
    plain = Sequences(modality="series", channels=2, length=3, mean=(0.0, 0.0), std=(1.0, 2.0))
    assert features(stored, np.array([0, 1]), plain).tolist() == [[2, 2, 1, 0, 2], [5, 3, 0, 0, 1]]


def test_a_chain_of_letters_is_guessed_from_the_last_one() -> None:
    rng = np.random.default_rng(0)
    chain = np.array([[0.8, 0.2, 0.0], [0.0, 0.8, 0.2], [0.2, 0.0, 0.8]])
    codes = np.zeros((200, 50, 1), np.uint8)
    for row in codes:
        letter = int(rng.integers(3))
        for t in range(50):
            row[t] = letter + 1
            letter = int(rng.choice(3, p=chain[letter]))
    symbols = Sequences(modality="symbols", channels=3, length=50, alphabet="abc", dtype="uint8")
    rows, targets = np.arange(200), np.zeros(200, np.int64)
    always, after = plain_answers(
        codes, targets, rows[:150], rows[150:], task=NextStep("symbols", 3), preprocess=symbols, seed=0
    )
    assert always.scores["nll"] == pytest.approx(np.log(3), abs=0.01)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))  # of the chain: nothing guesses better
    assert after.scores["nll"] == pytest.approx(entropy, abs=0.03)


def test_a_roll_is_guessed_channel_by_channel() -> None:
    before = np.array([[[1.0, 1, 0, 0, 0], [1, 0, 1, 0, 0]]])
    after = np.array([[[1.0, 0, 0, 0, np.nan], [0, 1, 0, 1, np.nan]]])
    (_, always), (_, chained) = plain_steps((before, after), (before, after), "binary")
    on, other = 2 / 6, 3 / 6  # one and two of four steps are on, each state seen once more
    by_hand = -(np.log(on) + 3 * np.log(1 - on) + 4 * np.log(other)) / 4
    assert always == {"nll": pytest.approx(by_hand)}
    # The first: on after on one time of two, on after off none of two. The second always turns round.
    by_hand = -(2 * np.log(2 / 4) + 2 * np.log(3 / 4) + 4 * np.log(3 / 4)) / 4
    assert chained == {"nll": pytest.approx(by_hand)}


def test_a_walk_stays_where_it_is() -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(20, 40, 60)]
    stored, rows = series(walks, 40), np.arange(60)
    plain = Sequences(modality="series", channels=2, length=40, mean=(0.0, 0.0), std=(1.0, 1.0))
    always, again = plain_answers(
        stored, np.zeros(60), rows[:40], rows[40:], task=NextStep("values", 2), preprocess=plain, seed=0
    )
    assert again.name == "The last values once more"
    assert again.scores["mse"] == pytest.approx(1.0, abs=0.1)
    assert always.scores["mse"] > 5


def test_a_reconstruction_has_no_plain_answer_here() -> None:
    rows = np.arange(4)
    pixels, targets = np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int64)
    assert (
        plain_answers(pixels, targets, rows, rows, task=Reconstruction(), preprocess=PICTURES, seed=0) == []
    )
