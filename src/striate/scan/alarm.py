"""From scores along a recording to detections, one a word, and the threshold for a rate of false alarms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

SURE = 36.0  # log-odds beyond which a probability is 0 or 1 in float64
CONFIDENCE = 0.95
DROP = 4.0  # of the log-odds from a peak to where its stretch ends


@dataclass(frozen=True)
class Peak:
    """A place where a class is more sure than anywhere near.

    place: number of the answer.   odds: log-odds.   middle: of the stretch around the place whose log-odds
    are at most DROP lower. A word that fits into its window in many ways is about as sure in all of them; the
    middle of these says far better when it was than the highest of them does (benchmarks/words.py).
    """

    unit: int
    place: int
    odds: float
    middle: float


def log_odds(answers: Tensor) -> Tensor:
    """Turn answers (K, n) into the logarithm of each class's probability over that of all others.

    Probabilities of sure answers are all 1 within rounding; their odds still tell the surest.

    >>> log_odds(torch.tensor([[2.0], [0.0]])).round(decimals=6).tolist()
    [[2.0], [-2.0]]
    """
    logarithm = answers.double().log_softmax(0)
    return (logarithm - (-logarithm.expm1()).log()).clamp(-SURE, SURE)


class Peaks:
    """Find the places that no other within ``apart`` beats, in scores that arrive in pieces.

    Non-maximum suppression over one axis (Neubeck and Van Gool 2006, Efficient non-maximum suppression): of
    equals, the first stays. A place is judged ``apart`` places later, so that memory is constant.
    """

    def __init__(self, apart: int) -> None:
        self.apart = max(1, apart)
        self._kept: Tensor | None = None
        self._first = 0  # number of the first place that is kept
        self._judged = 0  # places that were judged

    def feed(self, odds: Tensor, *, last: bool = False) -> list[Peak]:
        """Take the next log-odds (K, n), n from 0; give the peaks that are certain now, in their order."""
        x = odds if self._kept is None else torch.cat([self._kept, odds], 1)
        end = self._first + x.shape[1] - (0 if last else self.apart)
        if end <= self._judged:
            self._kept = x
            return []
        before, after = _largest_before(x, self.apart), _largest_before(x.flip(1), self.apart).flip(1)
        peak = (x > before) & (x >= after)
        here = slice(self._judged - self._first, end - self._first)
        places, units = peak[:, here].T.nonzero(as_tuple=True)
        places = places + here.start
        found = [
            Peak(unit, self._first + place, value, self._first + _middle(x[unit], place, self.apart))
            for unit, place, value in zip(
                units.tolist(), places.tolist(), x[units, places].tolist(), strict=True
            )
        ]
        self._judged = end
        drop = max(0, end - self.apart - self._first)
        self._kept, self._first = x[:, drop:].clone(), self._first + drop
        return found


@dataclass(frozen=True)
class Alarms:
    """A threshold for a rate of false alarms, and how sure that rate is.

    odds: the least log-odds.   alarms: false ones that remained in ``minutes`` of sound without the class.
    low, high: bounds of the rate a minute, a 95 % interval for a Poisson count (Garwood 1936).
    """

    odds: float
    alarms: int
    minutes: float
    low: float
    high: float


def threshold_for(odds: Sequence[float], minutes: float, rate: float) -> Alarms:
    """Choose the lowest threshold at which at most ``rate`` false alarms a minute remain.

    odds: log-odds of every peak in ``minutes`` of sound that does not contain the class.

    >>> chosen = threshold_for([4.0, 3.0, 2.0, 1.0], minutes=2.0, rate=1.0)
    >>> 2.0 < chosen.odds <= 3.0, chosen.alarms
    (True, 2)
    """
    from scipy.stats import chi2

    allowed = int(rate * minutes)
    falling = sorted(odds, reverse=True)
    # Just above the strongest that must not sound: of equals none may.
    least = math.nextafter(falling[allowed], math.inf) if len(falling) > allowed else -SURE
    alarms = sum(value >= least for value in odds)
    tail = (1 - CONFIDENCE) / 2
    low = chi2.ppf(tail, 2 * alarms) / 2 if alarms else 0.0
    high = chi2.ppf(1 - tail, 2 * alarms + 2) / 2
    return Alarms(least, alarms, minutes, float(low) / minutes, float(high) / minutes)


def _middle(line: Tensor, place: int, apart: int) -> float:
    """Give the middle of the stretch around a place that is at most DROP lower, not more than apart away."""
    low = max(0, place - apart)
    lower = (line[low : place + apart + 1] < line[place] - DROP).nonzero()[:, 0] + low
    before, after = lower[lower < place], lower[lower > place]
    first = int(before[-1]) + 1 if len(before) else low
    last = int(after[0]) - 1 if len(after) else min(len(line) - 1, place + apart)
    return (first + last) / 2


def _largest_before(x: Tensor, apart: int) -> Tensor:
    """Give at each place the largest of the ``apart`` values before it; -inf where there is none."""
    padded = F.pad(x, (apart, 0), value=-torch.inf)[:, :-1]
    return F.max_pool1d(padded[None], apart, 1)[0]
