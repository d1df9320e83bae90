"""The one sweep that every distortion shares: accuracy and confidence at each level, on the same draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from striate import events
from striate.training.metrics import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.events import Emit
    from striate.stress.distortion import Distortion
    from striate.training.metrics import Interval

    Answers = Callable[[Tensor], Tensor]  # (N, C, H, W) in 0..1 -> (N, K) probabilities

POOL = 64  # pictures that clutter takes its pieces from


class Pictures(Protocol):
    """Pictures (M, C, H, W) in 0..1 of which a slice is a tensor: a tensor itself, or a lazy reader."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Tensor: ...


@dataclass(frozen=True)
class Point:
    """What a network answers at one level. hits: of n pictures.   confidence: mean of its top probability."""

    level: float
    n: int
    hits: int
    confidence: float

    @property
    def accuracy(self) -> float:
        """Share of the pictures that are right."""
        return self.hits / self.n

    @property
    def interval(self) -> Interval:
        """95 % interval of the accuracy (Wilson)."""
        return wilson(self.hits, self.n)

    def json(self) -> dict[str, Any]:
        """Give the object of ``stress --json``."""
        low, high = self.interval
        return {
            "level": self.level,
            "accuracy": self.accuracy,
            "confidence": self.confidence,
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class Curve:
    """One distortion's points, weakest first."""

    name: str
    unit: str
    published: bool
    points: tuple[Point, ...]

    def breaks(self, clean: Point) -> float | None:
        """Give the smallest level under half of the clean accuracy; None where there is none."""
        return next((point.level for point in self.points if point.accuracy < clean.accuracy / 2), None)


@dataclass(frozen=True)
class Curves:
    """What a sweep found. clean: without any distortion.   skipped: names that do not apply, and why."""

    clean: Point
    curves: dict[str, Curve]
    skipped: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def sweep(
    answers: Answers,
    pictures: Pictures,
    targets: NDArray[Any],
    distortions: Mapping[str, Distortion],
    *,
    keys: NDArray[np.uint64],
    side: int | None = None,
    levels: Mapping[str, tuple[float, ...]] | None = None,
    batch: int = 128,
    noun: str = "pictures",
    emit: Emit = events.ignore,
) -> Curves:
    """Measure a classifier at every level of every distortion.

    answers: (N, C, H, W) in 0..1 -> (N, K) probabilities.   targets: (M,) class numbers.
    keys: (M,) of ``chance.keys``; equal keys are equal draws, so that two networks see the same pictures.
    side: the side that levels in pixels are meant for, by default the pictures' own: pictures of another
    side are moved by the same share.   levels: by name, others than a distortion's own.
    noun: what the pictures are called.
    The interval of every point is Wilson's, 95 %.
    """
    first = pictures[:POOL]
    channels, own = first.shape[1], min(first.shape[2:])
    side = side or own
    skipped = {name: one.refusal(channels) for name, one in distortions.items() if one.refusal(channels)}
    plan: list[tuple[Distortion | None, float]] = [(None, 0.0)]
    for name, one in distortions.items():
        wanted = () if name in skipped else (levels or {}).get(name) or one.levels(side)
        plan += [(one, level) for level in wanted if level != one.identity]
    tallies = np.zeros((len(plan), 2))  # right answers, and the sum of confidence
    for start in range(0, len(pictures), batch):
        part = slice(start, start + batch)
        some, own_keys = pictures[part], keys[part]
        for i, (distortion, level) in enumerate(plan):
            changed = some
            if distortion is not None:
                changed = distortion.apply(some, _scaled(distortion, level, own / side), own_keys, first)
            tallies[i] += _tally(answers(changed), targets[part])
            done = start * len(plan) + (i + 1) * len(some)
            emit(events.Working("measuring", done, len(pictures) * len(plan), noun))
    return _gathered(plan, tallies, len(pictures), distortions, skipped)


def _scaled(one: Distortion, level: float, factor: float) -> float:
    return level * factor if one.unit.startswith("pixels") else level


def _tally(probabilities: Tensor, targets: NDArray[Any]) -> tuple[int, float]:
    sure, said = probabilities.cpu().max(1)
    return int((said.numpy() == targets).sum()), float(sure.double().sum())


def _gathered(
    plan: list[tuple[Distortion | None, float]],
    tallies: NDArray[np.float64],
    n: int,
    distortions: Collection[str],
    skipped: dict[str, str],
) -> Curves:
    clean = Point(0.0, n, int(tallies[0, 0]), tallies[0, 1] / n)
    curves: dict[str, Curve] = {}
    for (one, level), (hits, confidence) in zip(plan[1:], tallies[1:], strict=True):
        assert one is not None
        if one.name not in curves:  # a curve begins where nothing is changed
            start = () if one.published else (Point(one.identity, n, clean.hits, clean.confidence),)
            curves[one.name] = Curve(one.name, one.unit, one.published, start)
        before = curves[one.name]
        point = Point(level, n, int(hits), confidence / n)
        curves[one.name] = Curve(one.name, one.unit, one.published, (*before.points, point))
    return Curves(clean, {name: curves[name] for name in distortions if name in curves}, skipped)
