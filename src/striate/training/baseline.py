"""Two plain answers that a network has to beat: the commonest class (or the mean), and a linear model.

They cost about a second. A network that is no better has learnt nothing from the shapes in the pictures.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.training.metrics import classified, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE = 16  # pictures are averaged down to at most this many pixels a side
TRAIN_LIMIT, TEST_LIMIT = 5_000, 10_000  # pictures, drawn by the seed where there are more


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
    task: str,
    classes: Sequence[str],
    seed: int,
) -> list[Answer]:
    """Score two plain answers on the pictures the network is scored on.

    pixels: (M, H, W, C), any dtype, maybe memory-mapped.   targets: (M,) class indices, or numbers for
    regression.   train, test: rows of both.   task: "classification" or "regression".
    Returns the constant answer, then the linear model.
    """
    learnt, asked = np.asarray(targets)[train], np.asarray(targets)[test]
    draw = np.random.default_rng((seed, 5))
    some, others = _drawn(draw, train, TRAIN_LIMIT), _drawn(draw, test, TEST_LIMIT)
    train_x, test_x = _standardised(_averaged(pixels, some), _averaged(pixels, others))
    train_y, test_y = np.asarray(targets)[some], np.asarray(targets)[others]
    if task == "regression":
        mean = float(learnt.mean())
        constant = measured(np.full(len(asked), mean), asked)
        linear = measured(_ridge(train_x, train_y, test_x), test_y)
        return [
            Answer(f"Always answering the mean ({mean:.4g})", constant.summary()),
            Answer("A linear model on the pixels", linear.summary()),
        ]
    shares = np.bincount(learnt, minlength=len(classes)) / len(learnt)
    always = classified(np.tile(shares, (len(asked), 1)), asked, classes)
    odds = _logistic(train_x, train_y, test_x, len(classes))
    return [
        Answer(f"Always answering “{classes[int(shares.argmax())]}”", always.summary()),
        Answer("A linear model on the pixels", classified(odds, test_y, classes).summary()),
    ]


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
