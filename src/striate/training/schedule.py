"""The learning rate over a run, as a share of its peak."""

from __future__ import annotations

import math


def rate(schedule: str, progress: float, warmup: float) -> float:
    """Give the share of the peak rate at ``progress`` (0..1, the share of the steps already done).

    constant and plateau: 1 after the warm-up (plateau's cuts are :class:`Plateau`'s).
    step: a tenth after 50 % and a hundredth after 75 % (He et al. 2016, section 4.2: 32k and 48k of 64k).
    linear: straight down to 0.
    cosine: half a cosine to 0 (Loshchilov and Hutter 2017).
    one-cycle: a cosine up from 1/25 over the first 30 % and one down to almost 0 (Smith 2018).

    >>> [round(rate("cosine", p, 0.1), 2) for p in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if schedule == "one-cycle":
        rise = 0.3
        if progress < rise:
            return 1 + (1 / 25 - 1) * (1 + math.cos(math.pi * progress / rise)) / 2
        return max(1e-5, _half_cosine((progress - rise) / (1 - rise)))
    if progress < warmup:
        return progress / warmup
    if schedule == "linear":
        return (1 - progress) / (1 - warmup)
    if schedule == "cosine":
        return _half_cosine((progress - warmup) / (1 - warmup))
    if schedule == "step":
        return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01
    return 1.0


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * min(1.0, progress))) / 2


EARLY = 0.6  # share of the steps


def side(early: int, progress: float) -> int:
    """Give the side that pictures are reduced to at ``progress``; 0 is none.

    Coarse shapes come first, and a network whose maps are averaged or maximised at its end takes any size.

    >>> [side(24, progress) for progress in (0.0, 0.59, 0.6)]
    [24, 24, 0]
    """
    return early if progress < EARLY else 0


class Plateau:
    """Divide the rate by 10 when the validation loss has not fallen for 5 epochs (He et al. 2016, 3.4)."""

    patience = 5

    def __init__(self, factor: float = 1.0, best: float = math.inf, waited: int = 0) -> None:
        self.factor, self.best, self.waited = factor, best, waited

    def see(self, loss: float) -> None:
        """Take in one epoch's validation loss."""
        if loss < self.best:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
            if self.waited >= self.patience:
                self.factor, self.waited = self.factor / 10, 0
