"""What several runs say together: how far they spread, and which labels the networks do not believe.

Nothing here needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FAR = 3.0  # robust standard deviations from which on a number is suspected


class Suspects(NamedTuple):
    """Pictures whose labels may be wrong, the most suspicious first.

    rows: (S,) places in what was judged.   suggested: (S,) class index, or number.   scores: (S,) what ranks
    them.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[Any]
    scores: NDArray[np.float64]


def spread(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Give mean, standard deviation, least and greatest of every figure that all runs have.

    std: of a sample (n - 1).   interval: 95 % interval of the mean over such runs, by Student's t: how far
    the mean can be trusted, not how one more run will do. Folds share training pictures, so theirs is too
    narrow. Both are None for a single run.

    >>> found = spread([{"accuracy": 0.9}, {"accuracy": 0.92}])["accuracy"]
    >>> round(found["mean"], 3), round(found["std"], 3), found["min"]
    (0.91, 0.014, 0.9)
    """
    from scipy.stats import t

    names = [name for name in runs[0] if all(run.get(name) is not None for run in runs)] if runs else []
    found = {}
    for name in names:
        values, n = np.array([run[name] for run in runs], float), len(runs)
        mean, std = float(values.mean()), float(values.std(ddof=1)) if n > 1 else None
        half = None if std is None else float(t.ppf(0.975, n - 1)) * std / n**0.5
        found[name] = {
            "mean": mean,
            "std": std,
            "min": float(values.min()),
            "max": float(values.max()),
            "interval": None if half is None else [mean - half, mean + half],
        }
    return found


def suspects(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> Suspects:
    """Find the labels that networks contradict as surely as they usually agree.

    A picture is suspected where the likeliest class is not its label, and is at least as likely as it is on
    average over the pictures labelled so. scores: the probability of the label (self-confidence), smallest
    first.
    probabilities: (N, K), each row by a network that was not trained on it.   labels: (N,) class index.
    Source: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels":
    its class thresholds and confident joint, of which only the likeliest class is looked at.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]])
    >>> suspects(p, np.array([0, 0, 1, 1])).rows.tolist()
    [3]
    """
    probabilities = np.asarray(probabilities, np.float64)
    each = np.arange(len(labels))
    confidence, said = probabilities[each, labels], probabilities.argmax(1)
    count = np.bincount(labels, minlength=probabilities.shape[1])
    usual = np.bincount(labels, weights=confidence, minlength=len(count)) / np.maximum(count, 1)
    doubted = np.flatnonzero((said != labels) & (probabilities[each, said] >= usual[said]))
    rows = doubted[np.argsort(confidence[doubted], kind="stable")]
    return Suspects(rows, said[rows], confidence[rows])


def outliers(answers: NDArray[Any], numbers: NDArray[Any]) -> Suspects:
    """Find the numbers that networks are farthest off from, beyond what is usual for them.

    A picture is suspected where its error lies more than three robust standard deviations (1.4826 times the
    median absolute deviation) from the median error. scores: how many, greatest first.
    answers: (N,), each by a network that was not trained on that picture.   numbers: (N,) labels.

    >>> outliers(np.array([1.0, 2.1, 2.9, 4.0, 5.1]), np.array([1, 2, 3, 40, 5])).rows.tolist()
    [3]
    """
    error = np.asarray(answers, np.float64) - np.asarray(numbers, np.float64)
    away = np.abs(error - np.median(error))
    usual = 1.4826 * float(np.median(away))
    scores = away / usual if usual > 0 else np.zeros(len(away))
    order = np.argsort(-scores, kind="stable")
    rows = order[scores[order] > FAR]
    return Suspects(rows, np.asarray(answers)[rows], scores[rows])
