"""What may be changed about a training sequence, as one small value with a short written form.

``place,gain=6`` says it all; ``off`` and ``light`` are words for a list. Every sequence has draws of its own,
which follow from (seed, epoch, sample) as those of pictures do, and padding stays padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.data import draws
from striate.data.augment import strength
from striate.data.sources import NOUNS
from striate.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.sequence import Sequences

COLUMNS = ("order", "place", "shift", "gain", "noise")  # what each of a sample's draws decides
RANGES = {"shift": (0.0, 0.5), "gain": (0.0, 40.0), "noise": (0.0, 1.0)}
# What may be done to each kind of sequence, and the list that "light" stands for. A letter has no loudness
# and where it stands may be what matters, so letters have no light list.
KINDS = {"sound": ("place", *RANGES), "series": ("place", *RANGES), "symbols": ("shift",)}
LIGHT = {"sound": "place,gain=6,noise=0.02", "series": "noise=0.05"}


@dataclass(frozen=True, kw_only=True)
class SequenceAugment:
    """The kinds of change and their strength; 0 and False are off.

    >>> str(SequenceAugment(place=True, gain=6))
    'place,gain=6'
    """

    place: bool = False
    """Moved to anywhere in the window such that all of it stays inside."""
    shift: float = 0.0
    """Moved by whole steps, up to this share of the window either way; what leaves it is lost."""
    gain: float = 0.0
    """Louder or softer by up to so many decibels: deviations from the mean multiplied."""
    noise: float = 0.0
    """White normal noise on the true steps, its deviation this share of the training set's."""

    def __str__(self) -> str:
        parts = ["place"] * self.place
        parts += [f"{kind}={getattr(self, kind):g}" for kind in RANGES if getattr(self, kind)]
        return ",".join(parts) or "off"

    def apply(
        self, x: Tensor, seed: int, epoch: int, samples: NDArray[np.int64], preprocess: Sequences
    ) -> Tensor:
        """Change raw sequences as they are stored: (N, C', L) -> (N, C', L), float32 where values change.

        samples: (N,) their numbers; a sequence's draws follow from (seed, epoch, its number) alone.
        """
        import torch

        from striate.data import transform
        from striate.ops.sequence import lengths

        if self == SequenceAugment():
            return x
        drawn = dict(zip(COLUMNS, draws.uniform(seed, epoch, samples, len(COLUMNS)).T, strict=True))
        steps = lengths(~x.isnan() if preprocess.modality == "series" else x)
        window = x.shape[2]
        by = torch.zeros_like(steps)
        if self.place:
            by += (transform.onto(drawn["place"], x.device) * (window - steps + 1)).long()
        if self.shift:
            furthest = round(self.shift * window)
            by += (transform.onto(drawn["shift"], x.device) * (2 * furthest + 1)).long() - furthest
        source = torch.arange(window, device=x.device) - by[:, None]
        there = ((source >= 0) & (source < steps[:, None]))[:, None]
        x = x.gather(2, source.clamp(0, window - 1)[:, None].expand_as(x))
        if self.gain or self.noise:
            full = 32768.0 if preprocess.dtype == "int16" else 1.0
            mean, std = (
                torch.tensor(values, device=x.device)[:, None] * full
                for values in (preprocess.mean, preprocess.std)
            )
            x = x.to(torch.float32)
            if self.gain:
                louder = transform.onto(2 * drawn["gain"] - 1, x.device) * (self.gain / 20)
                x = mean + (x - mean) * (10**louder).float()[:, None, None]
            if self.noise:
                x = x + transform.onto(transform.noise(drawn["noise"], tuple(x.shape[1:])), x.device) * (
                    self.noise * std
                )
        return torch.where(there, x, torch.tensor(preprocess.padding, dtype=x.dtype, device=x.device))


def parse(text: str, modality: str) -> SequenceAugment:
    """Read ``off``, ``light`` or a list such as ``place,shift=0.1,gain=6,noise=0.05``.

    modality: "sound", "symbols" or "series".
    Raises RecipeError for a kind that is unknown, does not suit, or is named twice, and for a bad value.

    >>> str(parse("light", "sound"))
    'place,gain=6,noise=0.02'
    """
    if text == "off":
        return SequenceAugment()
    if text == "light" and modality in LIGHT:
        return parse(LIGHT[modality], modality)
    values: dict[str, float | bool] = {}
    for part in text.split(","):
        kind, _, value = (piece.strip() for piece in part.partition("="))
        if kind not in KINDS[modality]:
            raise _unknown(kind, text, modality)
        if kind in values:
            raise RecipeError(
                f"--augment: {kind} is named twice. Received: {text!r}.", "Name each kind once."
            )
        values[kind] = strength(kind, value, text, RANGES[kind]) if kind in RANGES else _alone(kind, value)
    return SequenceAugment(**values)  # type: ignore[arg-type]  # place has a bool


def _alone(kind: str, value: str) -> bool:
    if value:
        raise RecipeError(
            f"--augment: {kind} takes no value. Received: {kind}={value}.", f"Write {kind}, or leave it out."
        )
    return True


def _unknown(kind: str, text: str, modality: str) -> RecipeError:
    noun = "letters" if modality == "symbols" else NOUNS[modality]
    known = ["off", *(["light"] if modality in LIGHT else []), *KINDS[modality]]
    if kind in {"off", "light"} and kind in known:
        return RecipeError(
            f"--augment: {kind} stands alone. Received: {text!r}.", "Write out the list instead."
        )
    return RecipeError(
        f"--augment: {kind!r} is nothing that can be done to {noun}. Received: {text!r}.",
        did_you_mean(kind, known),
    )
