"""What a scan heard in a recording: the answer, each class's detections and the picture of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.scan.alarm import Alarms
    from striate.scan.listener import Detection, Strip


@dataclass(frozen=True)
class Word:
    """A class in a recording.

    best: the highest probability of any window.   threshold: the least of a detection, 0..1; odds: the same
    as log-odds.   count: of all detections.   detections: those that are listed, in the order of time.
    alarms: how the threshold was chosen; None where it was given.
    """

    name: str
    best: float
    threshold: float
    odds: float
    count: int
    detections: tuple[Detection, ...]
    alarms: Alarms | None


@dataclass(frozen=True)
class Heard:
    """A recording that was listened to.

    mode, reason, difference: as of a picture, :class:`striate.scan.found.Scanned`.   rate: samples a second
    that the network heard.   hop, window: seconds between answers, and that each is for.   seconds: of the
    recording.   classes: the most probable first.
    wave, spectrum, scores: for a picture, each up to some thousand columns whatever the length: the largest
    and smallest sample, the logarithm of the power in bands (low first), both without columns where they
    were not asked for, and the highest log-odds of each class, in the order of ``names``.
    """

    file: str
    seconds: float
    rate: int
    mode: str
    reason: str
    difference: float | None
    hop: float
    window: float
    classes: tuple[Word, ...]
    names: tuple[str, ...]
    wave: Strip
    spectrum: Strip
    scores: Strip

    @property
    def answer(self) -> tuple[str, ...]:
        """Names of the classes that the recording contains: those with a detection."""
        return tuple(one.name for one in self.classes if one.count)

    @property
    def how(self) -> str:
        """Say in words how the network listened."""
        off = self.difference or 0
        told = {
            "exact": f": the same as windows cut by hand, to {off:.0e}",
            "approximate": f"; on this recording probabilities are off by up to {off:.2g}",
        }
        mode = "by windows" if self.mode == "windows" else self.mode
        return f"{mode}: {self.reason}{told.get(self.mode, '')}"

    @property
    def thresholds(self) -> list[str]:
        """Say how each chosen threshold was chosen, and how sure its rate is."""
        return [
            f"{one.name}: threshold {level(one.alarms.odds)}; {one.alarms.alarms} false in "
            f"{one.alarms.minutes:.1f} min of validation: "
            f"{one.alarms.low:.2g} to {one.alarms.high:.2g} a minute"
            for one in self.classes
            if one.alarms is not None
        ]

    @property
    def verdict(self) -> str:
        """Answer in words whether the recording contains anything."""
        heard = [one for one in self.classes if one.count]
        if not heard:
            best = self.classes[0]
            told = f"no {best.name}" if len(self.classes) == 1 else "none of the classes"
            return f"Answer: {told}; the best window is {best.best:.1%} {best.name}."
        return f"Answer: {', '.join(f'{one.name} ({one.count}, {one.best:.1%})' for one in heard)}."

    def json(self) -> dict[str, Any]:
        """Give the object of ``scan --json``; times in seconds."""
        plain = ("file", "seconds", "rate", "mode", "reason", "difference", "hop", "window")
        return {name: getattr(self, name) for name in plain} | {
            "classes": {
                one.name: {
                    "best": one.best,
                    "threshold": one.threshold,
                    "alarms": one.alarms and asdict(one.alarms),
                    "count": one.count,
                    "detections": [asdict(found) for found in one.detections],
                }
                for one in self.classes
            },
            "answer": list(self.answer),
        }


def level(odds: float) -> str:
    """Write log-odds as a probability with enough nines.

    >>> level(0.0), level(3.0), level(9.21)
    ('0.500', '0.953', '0.99990')
    """
    wrong = 1 / (1 + math.exp(odds)) if odds < 700 else 0.0
    digits = 3 if wrong >= 1e-3 else min(12, 1 - math.floor(math.log10(max(wrong, 1e-12))))
    return f"{1 - wrong:.{digits}f}"
