"""How good a set of answers is, with intervals that say how far to trust the numbers.

Every interval is a 95 % one in closed form, so the same answers always give the same report. A class without
a picture in the split has no recall and no F1, and a class that was never predicted has no precision: they
are ``None``, never NaN. Balanced accuracy and macro F1 average over the classes that have pictures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import DataError, Diverged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Interval = tuple[float, float]
BINS = 15
Z = 1.959963984540054  # the standard normal's 97.5 % point
UNEVEN = 2.0  # classes are uneven when the largest has more than this many times the smallest's pictures


@dataclass(frozen=True)
class ClassScores:
    """How one class fares. ``n``: its pictures in the split."""

    label: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    precision_interval: Interval | None
    recall_interval: Interval | None
    f1_interval: Interval | None


@dataclass(frozen=True)
class Classified:
    """How a classifier fares on one split.

    loss: mean negative log-likelihood of the true class, in nats.
    calibration_error: the expected gap between confidence and accuracy, over ``bins`` of equal width.
    confusion: counts, a row a true class, a column a predicted one.
    """

    n: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    macro_f1: float
    loss: float
    calibration_error: float
    bins: list[dict[str, float | int | None]]
    per_class: tuple[ClassScores, ...]
    confusion: list[list[int]]

    @property
    def uneven(self) -> bool:
        """Say whether the largest class has more than twice the pictures of the smallest that has any."""
        sizes = [scores.n for scores in self.per_class if scores.n]
        return max(sizes) > UNEVEN * min(sizes)

    @property
    def headline(self) -> tuple[str, float]:
        """Name the one number to quote, and give it."""
        if self.uneven:
            return "balanced accuracy", self.balanced_accuracy
        return "accuracy", self.accuracy

    @property
    def interval(self) -> Interval:
        """Give the interval of the headline."""
        return self.balanced_accuracy_interval if self.uneven else self.accuracy_interval

    def summary(self) -> dict[str, float]:
        """Give the few numbers that run.json keeps."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "loss", "calibration_error")
        return {name: getattr(self, name) for name in names}

    def json(self) -> dict[str, Any]:
        """Give everything, for ``evaluate --json``."""
        return asdict(self)


@dataclass(frozen=True)
class Measured:
    """How a regression fares on one split, in the target's units. ``r2``: None if all targets are equal."""

    n: int
    mae: float
    mae_interval: Interval
    rmse: float
    rmse_interval: Interval
    r2: float | None

    @property
    def headline(self) -> tuple[str, float]:
        """Name the one number to quote, and give it."""
        return "mean absolute error", self.mae

    @property
    def interval(self) -> Interval:
        """Give the interval of the headline."""
        return self.mae_interval

    def summary(self) -> dict[str, float]:
        """Give the few numbers that run.json keeps; R² is left out where it does not exist."""
        return {"mae": self.mae, "rmse": self.rmse} | ({} if self.r2 is None else {"r2": self.r2})

    def json(self) -> dict[str, Any]:
        """Give everything, for ``evaluate --json``."""
        return asdict(self)


@dataclass(frozen=True)
class Stepped:
    """How a network that says at each step what comes next fares on one split.

    kind: what a step is: "binary" (channels that are on or off, each an independent Bernoulli variable),
    "symbols" (one letter of an alphabet) or "values" (real numbers).
    n: sequences.   steps: steps that were predicted; each has the same weight, whatever its sequence.
    loss: the mean over them of the negative log-likelihood in nats, summed over the channels; of the squared
    error, averaged over the channels, for values.   interval: clustered by sequence.
    Source: Bai, Kolter and Koltun 2018, section 5 (the loss of a split is total loss over total steps).
    """

    kind: str
    n: int
    steps: int
    loss: float
    interval: Interval

    @property
    def perplexity(self) -> float:
        """Give the number of equally likely letters that would be as hard to guess."""
        return float(np.exp(self.loss))

    @property
    def headline(self) -> tuple[str, float]:
        """Name the one number to quote, and give it."""
        return STEPPED[self.kind], self.loss

    def summary(self) -> dict[str, float]:
        """Give the few numbers that run.json keeps."""
        if self.kind == "values":
            return {"mse": self.loss, "rmse": self.loss**0.5}
        return {"nll": self.loss} | ({"perplexity": self.perplexity} if self.kind == "symbols" else {})

    def json(self) -> dict[str, Any]:
        """Give everything, for ``evaluate --json``."""
        rest = asdict(self)
        del rest["loss"]
        return rest | self.summary()


STEPPED = {
    "binary": "negative log-likelihood a step",
    "symbols": "cross-entropy a letter",
    "values": "mean squared error a step",
}


@dataclass(frozen=True)
class Rebuilt:
    """How a reconstruction fares on one split.

    error: the squared error summed over the values of a sample, averaged over samples, as Hinton and
    Salakhutdinov 2006 count it (values in 0..1).   rmse: the same as a root mean square a value.
    """

    n: int
    error: float
    interval: Interval
    rmse: float

    @property
    def headline(self) -> tuple[str, float]:
        """Name the one number to quote, and give it."""
        return "squared error", self.error

    def summary(self) -> dict[str, float]:
        """Give the few numbers that run.json keeps."""
        return {"squared_error": self.error, "rmse": self.rmse}

    def json(self) -> dict[str, Any]:
        """Give everything, for ``evaluate --json``."""
        return {"n": self.n, "interval": self.interval} | self.summary()


def wilson(hits: float, n: float) -> Interval:
    """Bound a proportion: ``hits`` of ``n`` independent trials, n >= 1.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.

    >>> low, high = wilson(10, 10)
    >>> round(low, 3), high
    (0.722, 1.0)
    """
    share, weight = hits / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * np.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    # At 0 and at n the formula is exact there and rounding is not.
    low = 0.0 if hits == 0 else max(0.0, float(centre - half))
    high = 1.0 if hits == n else min(1.0, float(centre + half))
    return low, high


def classified(probabilities: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> Classified:
    """Score a classifier's answers.

    probabilities: (N, K), rows sum to 1.   targets: (N,) class indices.   classes: K names.   N >= 1.
    Raises Diverged where a probability is not a number.
    """
    probabilities, targets = np.asarray(probabilities, np.float64), np.asarray(targets, np.int64)
    _check(probabilities, targets)
    n, k = probabilities.shape
    if k != len(classes):
        raise ValueError(f"{k} probabilities a picture, {len(classes)} classes")
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    right = predicted == targets
    confusion = np.bincount(targets * k + predicted, minlength=k * k).reshape(k, k)
    per_class = tuple(_class_scores(label, i, confusion) for i, label in enumerate(classes))
    recalls = [(s.recall, s.recall_interval) for s in per_class if s.recall is not None and s.recall_interval]
    balanced, balanced_interval = _mean_of_proportions(recalls)
    likelihood = np.maximum(probabilities[np.arange(n), targets], float(np.finfo(np.float32).tiny))
    bins = _bins(confidence, right)
    return Classified(
        n=n,
        accuracy=float(right.mean()),
        accuracy_interval=wilson(int(right.sum()), n),
        balanced_accuracy=balanced,
        balanced_accuracy_interval=balanced_interval,
        macro_f1=float(np.mean([s.f1 for s in per_class if s.f1 is not None])),
        loss=float(-np.log(likelihood).mean()),
        calibration_error=sum(b["n"] / n * abs(b["confidence"] - b["accuracy"]) for b in bins if b["n"]),
        bins=bins,
        per_class=per_class,
        confusion=confusion.tolist(),
    )


def measured(outputs: NDArray[Any], targets: NDArray[Any]) -> Measured:
    """Score a regression: outputs and targets (N,), N >= 1.

    The intervals are those of the mean absolute and the mean squared error under the normal approximation.
    Raises Diverged where an output is not a number.
    """
    outputs, targets = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    _check(outputs, targets)
    error = outputs - targets
    mae, mse = float(np.abs(error).mean()), float((error**2).mean())
    low, high = _around(mse, error**2)
    spread = float(((targets - targets.mean()) ** 2).mean())
    return Measured(
        n=len(error),
        mae=mae,
        mae_interval=_around(mae, np.abs(error)),
        rmse=mse**0.5,
        rmse_interval=(low**0.5, high**0.5),
        r2=1 - mse / spread if spread > 0 else None,
    )


def stepped(answers: NDArray[Any], truths: NDArray[Any], kind: str) -> Stepped:
    """Score what was said at each step against what came.

    answers: (N, C, L) probabilities ("binary": of each channel being on; "symbols": of each letter, summing
    to 1), or numbers ("values").   truths: (N, C, L), NaN at steps that nothing follows; N >= 1.
    kind: see :class:`Stepped`.   A probability counts as no nearer to 0 or 1 than 6e-8, where float32 ends.
    Raises Diverged where an answer that is scored is no number, DataError where no step is followed by one.

    >>> scores = stepped(np.array([[[0.5, 0.5, 0.9]]]), np.array([[[1.0, 0.0, np.nan]]]), "binary")
    >>> scores.steps, round(scores.loss, 4)
    (2, 0.6931)
    """
    if answers.shape != truths.shape or not len(answers):
        raise ValueError(f"answers {answers.shape} for truths {truths.shape}; the same is needed, N >= 1")
    steps, losses = np.zeros(len(answers)), np.zeros(len(answers))
    for i, truth in enumerate(truths):  # one at a time: a split of long sequences is large in float64
        known = ~np.isnan(truth).any(0)
        steps[i] = known.sum()
        losses[i] = _step_losses(answers[i][:, known], truth[:, known], kind).sum()
    _refuse_broken(losses, "sequences")
    total = int(steps.sum())
    if not total:
        raise DataError(
            f"Nothing is to be foretold: each of the {len(answers):,} sequences to score has one step.",
            "Give longer ones, or more of them.",
        )
    mean = float(losses.sum()) / total
    return Stepped(kind, len(answers), total, mean, _around_ratio(mean, losses, steps))


def rebuilt(outputs: NDArray[Any], truths: NDArray[Any]) -> Rebuilt:
    """Score reconstructions: outputs and truths (N, ...), N >= 1; a truth that is NaN is not scored.

    Raises Diverged where an output that is scored is not a number.

    >>> rebuilt(np.array([[0.0, 0.5]]), np.array([[1.0, 0.5]])).error
    1.0
    """
    if outputs.shape != truths.shape or not len(outputs):
        raise ValueError(f"outputs {outputs.shape} for truths {truths.shape}; the same is needed, N >= 1")
    errors, values = np.zeros(len(outputs)), 0
    for i, truth in enumerate(truths):
        known = ~np.isnan(truth)
        errors[i] = np.square(np.subtract(outputs[i][known], truth[known], dtype=np.float64)).sum()
        values += int(known.sum())
    _refuse_broken(errors, "samples")
    mean = float(errors.mean())
    return Rebuilt(len(errors), mean, _around(mean, errors), float(errors.sum() / max(values, 1)) ** 0.5)


def _step_losses(answers: NDArray[Any], truths: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Give the loss of each step: (C, n), (C, n) -> (n,)."""
    answers, truths = np.asarray(answers, np.float64), np.asarray(truths, np.float64)
    if kind == "values":
        return np.asarray(np.square(answers - truths).mean(0))
    least = float(np.finfo(np.float32).epsneg)
    likelihood = np.log(np.clip(answers, least, 1 - least))
    if kind == "binary":
        likelihood = truths * likelihood + (1 - truths) * np.log(np.clip(1 - answers, least, 1 - least))
    else:
        likelihood = truths * likelihood
    return np.asarray(-likelihood.sum(0))


def _check(outputs: NDArray[Any], targets: NDArray[Any]) -> None:
    if len(outputs) != len(targets) or not len(targets):
        raise ValueError(
            f"{len(outputs)} outputs for {len(targets)} targets; one each is needed, and at least one"
        )
    _refuse_broken(outputs, "pictures")


def _refuse_broken(outputs: NDArray[Any], things: str) -> None:
    broken = len(outputs) - int(np.isfinite(outputs.reshape(len(outputs), -1)).all(1).sum())
    if broken:
        raise Diverged(
            f"The network's answer is not a number for {broken} of {len(outputs)} {things}.",
            "Train with a smaller --lr or with --clip 1, and look for NaN in the files if they hold floats.",
        )


def _class_scores(label: str, i: int, confusion: NDArray[np.int64]) -> ClassScores:
    """Score class ``i``.

    F1 = 2J / (1 + J) for J = TP / (TP + FP + FN); J is a plain proportion (of the pictures that are or were
    called i, those that are and were), so its Wilson interval carries over.
    """
    hits, n, named = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
    union = n + named - hits
    low, high = wilson(hits, union) if n else (0.0, 0.0)
    return ClassScores(
        label=label,
        n=n,
        precision=hits / named if named else None,
        recall=hits / n if n else None,
        f1=2 * hits / (n + named) if n else None,
        precision_interval=wilson(hits, named) if named else None,
        recall_interval=wilson(hits, n) if n else None,
        f1_interval=(2 * low / (1 + low), 2 * high / (1 + high)) if n else None,
    )


def _mean_of_proportions(parts: list[tuple[float, Interval]]) -> tuple[float, Interval]:
    """Average independent proportions; their intervals' arms add in squares (MOVER, Zou and Donner 2008)."""
    values, intervals = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
    mean = float(values.mean())
    down, up = (float(np.sqrt(((values - intervals[:, side]) ** 2).sum())) / len(parts) for side in (0, 1))
    return mean, (max(0.0, mean - down), min(1.0, mean + up))


def _around(mean: float, values: NDArray[np.float64]) -> Interval:
    half = Z * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return max(0.0, mean - half), mean + half


def _around_ratio(ratio: float, losses: NDArray[np.float64], steps: NDArray[np.float64]) -> Interval:
    """Bound total loss over total steps, the sequences drawn at random (Cochran 1977, section 2.11)."""
    n = len(losses)
    if n < 2:
        return ratio, ratio
    spread = float(np.square(losses - ratio * steps).sum()) * n / (n - 1)
    half = Z * spread**0.5 / float(steps.sum())
    return max(0.0, ratio - half), ratio + half


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[dict[str, Any]]:
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins: list[dict[str, Any]] = []
    for i in range(BINS):
        inside = place == i
        n = int(inside.sum())
        bins.append(
            {
                "low": i / BINS,
                "high": (i + 1) / BINS,
                "n": n,
                "confidence": float(confidence[inside].mean()) if n else None,
                "accuracy": float(right[inside].mean()) if n else None,
            }
        )
    return bins
