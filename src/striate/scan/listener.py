"""What goes on while a recording is heard: scores become detections, and the picture of it is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.ops.spectrum import LogMel, most_mels
from striate.scan.alarm import Peaks, log_odds
from striate.scan.outline import Outline
from striate.scan.stream import Ear, Hearing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.scan.alarm import Peak

APART = 0.5  # of a window: two detections of a class are further from one another
MOST = 1000  # detections that are listed of a class
BANDS = 48  # of the spectrogram that is drawn


@dataclass(frozen=True)
class Detection:
    """A place where a class was heard.

    time: the middle, of the window from start to end; seconds.

    score: probability, 0..1.   odds: its log-odds, which tell the surest from the sure.
    """

    time: float
    start: float
    end: float
    score: float
    odds: float


@dataclass(frozen=True)
class Strip:
    """Rows of numbers over time: values (rows, m); column: seconds of one; start: of the first, seconds."""

    values: Tensor
    column: float
    start: float


class Listener:
    """Hears the classes ``units`` of a network in sound that comes in pieces.

    rate: samples a second.   least: of each unit the log-odds from which on a peak is a detection.
    draw: wave and spectrum too, which takes about as long again as a small network does.
    """

    def __init__(
        self, way: Hearing, rate: int, units: Sequence[int], least: Sequence[float], *, draw: bool = False
    ) -> None:
        self.way, self.rate, self.units, self.least = way, rate, list(units), list(least)
        self.samples, self._draws = 0, draw
        self.count = [0] * len(units)
        self.best = torch.full((len(units),), -torch.inf, dtype=torch.float64)
        self.detections: list[list[Detection]] = [[] for _ in units]
        self._ear, self._peaks = Ear(way), Peaks(apart(way))
        front = LogMel(rate, mels=min(BANDS, most_mels(round(0.025 * rate), rate)))
        hop, window = front.power.hop, front.power.window
        self._spectrum = Ear(Hearing("exact", "", hop, window, front, None))
        self._wave, self._bands = Outline(torch.amax), Outline(torch.mean)
        self._scores = Outline(torch.amax)

    def hear(self, sound: Tensor, x: Tensor) -> list[tuple[int, Detection]]:
        """Take the next samples: sound (1, n), full scale 1, and x (C, n), as the network is given them.

        Returns: what was detected, each with the place of its class in ``units``.
        """
        self.samples += sound.shape[1]
        if self._draws:
            self._wave.add(torch.cat([sound, -sound]))
            if (bands := self._spectrum.hear(sound)) is not None:
                self._bands.add(bands)
        answers = self._ear.hear(x)
        if answers is None:
            return []
        odds = log_odds(answers)[self.units]
        self.best = torch.maximum(self.best, odds.amax(1))
        self._scores.add(odds.float())
        return self._detected(self._peaks.feed(odds))

    def end(self) -> list[tuple[int, Detection]]:
        """Judge the last places; call it once, after the last piece."""
        return self._detected(self._peaks.feed(self.best.new_empty(len(self.units), 0), last=True))

    def drawn(self) -> tuple[Strip, Strip, Strip]:
        """Give the wave (2, m), largest and smallest sample, the spectrum (bands, m), probabilities."""
        rate, way, front = self.rate, self.way, self._spectrum.way
        highest, lowest = self._wave.columns() if self._draws else torch.empty(2, 0)
        wave = torch.stack([highest, -lowest])
        middle = (way.window - way.hop) / 2 / rate
        return (
            Strip(wave, self._wave.each / rate, 0.0),
            Strip(self._bands.columns(), self._bands.each * front.hop / rate, 0.0),
            Strip(self._scores.columns(), self._scores.each * way.hop / rate, middle),
        )

    def _detected(self, peaks: Sequence[Peak]) -> list[tuple[int, Detection]]:
        found = []
        for peak in peaks:
            if peak.odds < self.least[peak.unit]:
                continue
            length = self.way.window / self.rate
            start = peak.middle * self.way.hop / self.rate
            one = Detection(start + length / 2, start, start + length, probability(peak.odds), peak.odds)
            self.count[peak.unit] += 1
            if len(self.detections[peak.unit]) < MOST:
                self.detections[peak.unit].append(one)
            found.append((peak.unit, one))
        return found


def apart(way: Hearing) -> int:
    """Count the answers over which one detection suppresses others of its class."""
    return max(1, round(APART * way.window / way.hop))


def false_peaks(way: Hearing, x: Tensor, unit: int) -> list[float]:
    """Give the log-odds of every peak of a class in sound (C, n) that does not contain it."""
    ear, peaks, found = Ear(way), Peaks(apart(way)), []
    step = max(4 * way.window, 2**17)
    for start in range(0, x.shape[1], step):
        answers = ear.hear(x[:, start : start + step])
        if answers is not None:
            found += peaks.feed(log_odds(answers)[unit : unit + 1])
    found += peaks.feed(torch.empty(1, 0, dtype=torch.float64), last=True)
    return [peak.odds for peak in found]


def probability(odds: float) -> float:
    """Turn log-odds into a probability, 0..1.

    >>> probability(0.0), probability(-1000.0)
    (0.5, 0.0)
    """
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
