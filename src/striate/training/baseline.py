"""Two plain answers that a network has to beat: the commonest class (or the mean), and a linear model.

They cost about a second. A network that is no better has learnt nothing from the shapes in the pictures, or
from what happens when in the sequences.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data.sequence import Sequences
from striate.training.features import NAMES, features
from striate.training.next_step import NextStep
from striate.training.plainsteps import plain_steps
from striate.training.task import Classification, Regression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.training.task import Prepared, Task

SIDE = 16  # pictures are averaged down to at most this many pixels a side
TRAIN_LIMIT, TEST_LIMIT = 5_000, 10_000  # samples, drawn by the seed where there are more
VALUES = 20_000_000  # of sequences whose next step is asked: 80 MB


@dataclass(frozen=True)
class Answer:
    """A plain way to answer, and how well it does: ``scores`` has the keys of the run's own metrics."""

    name: str
    scores: dict[str, float]


def plain_answers(
    pixels: NDArray[Any],
    targets: NDArray[Any],
    train: NDArray[Any],
    test: NDArray[Any],
    *,
    task: Task,
    preprocess: Prepared,
    seed: int,
) -> list[Answer]:
    """Score two plain answers on what the network is scored on.

    pixels: (M, H, W, C) or (M, L, C'), any dtype, maybe memory-mapped.   targets: (M,) class indices, or
    numbers for regression.   train, test: rows of both.   task, preprocess: the run's.
    Returns the constant answer, then the linear model; for the next step what :mod:`.plainsteps` says, and
    nothing for a reconstruction.
    """
    draw = np.random.default_rng((seed, 5))
    some, others = _drawn(draw, train, TRAIN_LIMIT), _drawn(draw, test, TEST_LIMIT)
    if isinstance(task, NextStep):
        learnt, asked = (_steps(pixels, targets, rows, task, preprocess) for rows in (some, others))
        return [Answer(*answer) for answer in plain_steps(learnt, asked, task.kind)]
    if isinstance(preprocess, Sequences):
        train_x, test_x = (features(pixels, rows, preprocess) for rows in (some, others))
        looks = NAMES[preprocess.modality]
    else:
        train_x, test_x = _averaged(pixels, some), _averaged(pixels, others)
        looks = "the pixels"
    train_x, test_x = _standardised(train_x, test_x)
    learnt_y, asked_y = np.asarray(targets)[train], np.asarray(targets)[test]
    train_y, test_y = np.asarray(targets)[some], np.asarray(targets)[others]
    if isinstance(task, Regression):
        mean = float(learnt_y.mean())
        constant, linear = np.full(len(asked_y), mean), _ridge(train_x, train_y, test_x)
        name = f"Always answering the mean ({mean:.4g})"
    elif isinstance(task, Classification):
        shares = np.bincount(learnt_y, minlength=task.outputs) / len(learnt_y)
        constant = np.tile(shares, (len(asked_y), 1))
        linear = _logistic(train_x, train_y, test_x, task.outputs)
        name = f"Always answering “{task.classes[int(shares.argmax())]}”"
    else:
        return []
    return [
        Answer(name, task.score(constant, asked_y).summary()),
        Answer(f"A linear model on {looks}", task.score(linear, test_y).summary()),
    ]


def _steps(
    pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], task: NextStep, preprocess: Prepared
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give sequences as the network sees them and what follows each step, of as many rows as memory likes."""
    rows = rows[:: math.ceil(len(rows) * math.prod(preprocess.shape) / VALUES)]
    x = preprocess.tensor(torch.from_numpy(np.ascontiguousarray(pixels[rows].swapaxes(1, 2))))
    return x.numpy(), task.truths(pixels, targets, rows, preprocess)


def _drawn(draw: np.random.Generator, rows: NDArray[Any], limit: int) -> NDArray[Any]:
    return np.sort(rows if len(rows) <= limit else draw.choice(rows, limit, replace=False))


def _averaged(pixels: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Average pictures down to (N, at most 16 x 16 x C); a slice at a time, as the pixels may be on disk."""
    _, height, width, channels = pixels.shape
    tops, lefts = (np.arange(min(n, SIDE)) * n // min(n, SIDE) for n in (height, width))
    area = np.diff(tops, append=height)[:, None, None] * np.diff(lefts, append=width)[:, None]
    averaged = np.empty((len(rows), len(tops), len(lefts), channels))
    for start in range(0, len(rows), 256):
        some = pixels[rows[start : start + 256]]
        # A file of floats may hold NaN or infinity, which no linear model takes.
        some = np.nan_to_num(some, posinf=0, neginf=0)
        sums = np.add.reduceat(np.add.reduceat(some, tops, axis=1, dtype=np.float64), lefts, axis=2)
        averaged[start : start + 256] = sums / area
    return averaged.reshape(len(rows), -1)


def _standardised(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean, std = train.mean(0), train.std(0)
    std[std < 1e-9] = 1.0
    return ((train - mean) / std).astype(np.float32), ((test - mean) / std).astype(np.float32)


def _logistic(train: NDArray[Any], targets: NDArray[Any], test: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Fit logistic regression and give (N, K) probabilities; 0 for classes without a training picture.

    The penalty grows with the number of pixels. It was the best of C = 0.0001..0.1 on photographs, CIFAR-10
    and the digits alike, and it stops early: the last iterations cost time and no longer change the accuracy.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    odds = np.zeros((len(test), k))
    present = np.unique(targets)
    if len(present) == 1:
        odds[:, present] = 1.0
        return odds
    model = LogisticRegression(C=10 / train.shape[1], max_iter=50 if k <= 50 else 20)
    # The matrices are small: several threads wait for each other, for seconds where other work is going on.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, targets)
    odds[:, present] = model.predict_proba(test)
    return odds


def _ridge(train: NDArray[Any], targets: NDArray[Any], test: NDArray[Any]) -> NDArray[np.float64]:
    """Fit ridge regression; leave-one-out error, which ridge has in closed form, chooses its penalty."""
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=np.logspace(0, 5, 6))
    return np.asarray(model.fit(train, targets).predict(test), np.float64)
