"""Sequences moved, hurried, hidden, drowned or misspelt: (N, C, L) as a network takes them in, the same out.

Zeros at the end are padding and stay so; what comes in or is hidden is blank: nothing of a sound or series
(its mean), an unknown letter of a text.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from striate.data.sequence import TINY
from striate.ops.sequence import lengths, true_steps
from striate.stress import chance
from striate.stress.distortion import Distortion

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.sequence import Sequences

    Levels = tuple[float, ...]

QUIET = 40  # dB of signal over noise, which stands for none
MOST_SHIFTS = 10
OUTLINED = ("time_shift", "letter_shift", "gap")  # those that a training report shows


def shift(x: Tensor, level: float, keys: NDArray[np.uint64], *, blank: float, share: bool = True) -> Tensor:
    """Move each sequence to an earlier or a later time, the way drawn. level: share of the window, or steps.

    What leaves the window is lost; blanks come in at the front, padding at the end.
    """
    window = x.shape[2]
    way = torch.where(chance.uniform("time_shift", keys, 1)[:, 0] < 0.5, -1, 1).to(x.device)
    by = way * round(level * window if share else level)
    source = torch.arange(window, device=x.device) - by[:, None]
    kept = (source < lengths(x)[:, None]) & (source >= 0)
    moved = x.gather(2, source.clamp(0, window - 1)[:, None].expand_as(x)) * kept[:, None]
    return torch.where((source < 0)[:, None], torch.full_like(x, blank), moved)


def gap(x: Tensor, level: float, keys: NDArray[np.uint64], *, blank: float) -> Tensor:
    """Blank a stretch of each sequence, at a place drawn. level: its share of the true steps, 0 to 1."""
    n = lengths(x)
    hidden = (level * n).round()
    first = (chance.uniform("gap", keys, 1)[:, 0].to(x.device) * (n - hidden)).round()[:, None]
    at = torch.arange(x.shape[2], device=x.device)
    inside = (at >= first) & (at < first + hidden[:, None])
    return torch.where(inside[:, None], torch.full_like(x, blank), x)


def white_noise(x: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Add white normal noise to the true steps. level: dB of the sequence's mean power over the noise's."""
    n = lengths(x)
    power = x.square().sum((1, 2)) / (n * x.shape[1])
    size = (power / 10 ** (level / 10)).sqrt()[:, None, None]
    noise = chance.normal("white_noise", keys, tuple(x.shape[1:])).to(x)
    return x + size * noise * true_steps(n, x.shape[2])


def gain(x: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Make each sequence louder or softer, the way drawn; nothing is cut off. level: dB."""
    way = torch.where(chance.uniform("gain", keys, 1) < 0.5, -1.0, 1.0).to(x)
    return x * (10 ** (way * level / 20))[:, :, None]


def speed(x: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Play each sequence faster or slower, the way drawn, by linear interpolation; its pitch moves with it.

    level: the factor, at least 1. What gets too long for the window is cut off at its end.
    """
    slower = chance.uniform("speed", keys, 1)[:, 0] < 0.5
    factor = torch.where(slower, 1 / level, level).to(x)[:, None]
    n, at = lengths(x)[:, None], torch.arange(x.shape[2], device=x.device)
    place = at * factor
    before = place.floor().clamp(max=x.shape[2] - 1)
    share = (place - before)[:, None]
    left, right = (
        x.gather(2, (before + i).long().clamp(max=x.shape[2] - 1)[:, None].expand_as(x)) for i in (0, 1)
    )
    return torch.where((place <= n - 1)[:, None], left * (1 - share) + right * share, torch.zeros_like(x))


def mutation(x: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Replace letters by others, each equally likely. level: the share of the letters, 0 to 1.

    A letter that changes at one level changes at all higher ones, to the same letter.
    """
    letters, window = x.shape[1:]
    drawn = chance.uniform("mutation", keys, 2 * window).to(x.device)
    known = x.amax(1) > 1 - 1e-3  # an unknown letter stays so
    changes = (drawn[:, :window] < level) & known
    other = (x.argmax(1) + 1 + (drawn[:, window:] * (letters - 1)).long()) % letters
    changed = torch.nn.functional.one_hot(other, letters).movedim(2, 1).to(x)
    return torch.where(changes[:, None], changed, x)


def curves(about: Sequences) -> dict[str, Distortion]:
    """Give the distortions that mean something for such sequences, by name."""
    letters = about.modality == "symbols"
    blank = 1 / about.channels if letters else TINY
    if letters:
        found = [
            _one("letter_shift", "letters", _letters, partial(shift, blank=blank, share=False)),
            _one("mutation", "share of the letters", (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4), mutation),
        ]
    else:
        shares = (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
        found = [_one("time_shift", "share of the window", shares, partial(shift, blank=blank))]
    if not letters and not about.binary:
        faster, noisy = (1, 1.05, 1.1, 1.2, 1.35, 1.5), (QUIET, 30, 20, 10, 5, 0, -5)
        found += [
            _one("speed", "times faster or slower", faster, speed, 1),
            _one("white_noise", f"dB over the noise, {QUIET} is none", noisy, white_noise, QUIET),
            _one("gain", "dB louder or softer", (0, 3, 6, 12, 20, 30), gain),
        ]
    gaps = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    found.append(_one("gap", "share of the sequence", gaps, partial(gap, blank=blank)))
    return {one.name: one for one in found}


def _one(
    name: str,
    unit: str,
    levels: Levels | Callable[[int], Levels],
    change: Callable[..., Tensor],
    identity: float = 0,
) -> Distortion:
    each = levels if callable(levels) else lambda _length: levels
    return Distortion(name, unit, each, change, identity, bounded=False)


def _letters(length: int) -> Levels:
    """0 to a quarter of the length, evenly thinned where they are many."""
    most = max(1, length // 4)
    count = min(most, MOST_SHIFTS)
    return tuple(float(round(most * step / count)) for step in range(count + 1))
