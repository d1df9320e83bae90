"""What may be changed about a training picture, as one small value with a short written form.

``flip,crop=0.35`` says it all; ``off``, ``light`` and ``strong`` are lists chosen by the data. How each is
done is in :mod:`striate.data.transform`; this file needs no torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from striate.errors import RecipeError, did_you_mean

# Which list a word stands for. Photographs bear being cut to a part; small pictures are already cut close.
PRESETS = {
    "light": {"photos": "flip,crop=0.35", "small": "flip,shift=0.0625", "grey": "flip,shift=0.07"},
    "strong": {
        "photos": "flip,crop=0.25,rotate=10,colour=0.3,mixup=0.2",
        "small": "flip,shift=0.125,colour=0.2,cutout=0.25,mixup=0.2",
        "grey": "flip,shift=0.07,scale=0.1,rotate=10,colour=0.2,cutout=0.25",
    },
}
WORDS = ("flip", "alternate")  # the kinds that take no value
# Lowest and highest value of each kind that takes one.
RANGES = {
    "shift": (0.0, 0.5),
    "crop": (0.0, 1.0),
    "scale": (0.0, 0.9),
    "rotate": (0.0, 180.0),
    "colour": (0.0, 1.0),
    "cutout": (0.0, 1.0),
    "noise": (0.0, 1.0),
    "mixup": (0.0, 10.0),
    "cutmix": (0.0, 10.0),
}


@dataclass(frozen=True, kw_only=True)
class Augment:
    """The kinds of change and their strength; 0 and False are off.

    >>> str(Augment(flip=True, rotate=10))
    'flip,rotate=10'
    """

    flip: bool = False
    """Left and right swapped in half of the pictures."""
    alternate: bool = False
    """Left and right swapped in every second pass, half of the pictures beginning with the first."""
    shift: float = 0.0
    """Moved by whole pixels, up to this share of the side; the border is mirrored."""
    crop: float = 0.0
    """A random part of the picture, at least this share of its area, aspect 3:4 to 4:3, resized."""
    scale: float = 0.0
    """Enlarged or reduced by up to this share."""
    rotate: float = 0.0
    """Turned by up to so many degrees either way."""
    colour: float = 0.0
    """Brightness, contrast and saturation changed by up to this share."""
    cutout: float = 0.0
    """A square of this share of the side filled with the mean."""
    noise: float = 0.0
    """Normal noise with this standard deviation, as a share of the range of values."""
    mixup: float = 0.0
    """Blended with another picture; the share of either follows Beta(mixup, mixup)."""
    cutmix: float = 0.0
    """A box taken from another picture; the area kept follows Beta(cutmix, cutmix)."""

    def __str__(self) -> str:
        parts = [kind for kind in WORDS if getattr(self, kind)]
        parts += [f"{kind}={_number(getattr(self, kind))}" for kind in RANGES if getattr(self, kind)]
        return ",".join(parts) or "off"


def parse(text: str, *, flips: bool, photos: bool, grey: bool = False) -> Augment:
    """Read ``off``, ``light``, ``strong`` or a list such as ``flip,crop=0.35,rotate=10``.

    flips: whether a mirrored picture still shows the same thing; if not, the words leave flip out (a list
    is obeyed).   photos, grey: which list a word stands for.
    Raises RecipeError for a kind that is unknown or named twice, and for a value missing or out of range.

    >>> str(parse("light", flips=False, photos=True))
    'crop=0.35'
    """
    if text == "off":
        return Augment()
    if text in PRESETS:
        chosen = parse(
            PRESETS[text]["photos" if photos else "grey" if grey else "small"], flips=flips, photos=photos
        )
        return dataclasses.replace(chosen, flip=chosen.flip and flips)
    values: dict[str, float | bool] = {}
    for part in text.split(","):
        kind, equals, value = (piece.strip() for piece in part.partition("="))
        if kind in values:
            raise RecipeError(
                f"--augment: {kind} is named twice. Received: {text!r}.", "Name each kind once."
            )
        if kind in WORDS and not equals:
            values[kind] = True
        elif kind in RANGES:
            values[kind] = strength(kind, value, text, RANGES[kind])
        else:
            raise _unknown(kind, value, text)
    return Augment(**values)  # type: ignore[arg-type]  # words have bools


def strength(kind: str, value: str, text: str, between: tuple[float, float]) -> float:
    """Read the value of one kind. text: the whole list, for the message.

    Raises RecipeError for what is no number from the lowest to the highest, ``between``.
    """
    low, high = between
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:  # NaN too
        raise RecipeError(
            f"--augment: {kind} must be a number from {low:g} to {high:g}. Received: {text!r}.",
            f"For example {kind}={_number(high / 5)}; 0 is off.",
        )
    return number


def _unknown(kind: str, value: str, text: str) -> RecipeError:
    if kind in WORDS:
        return RecipeError(
            f"--augment: {kind} takes no value. Received: {kind}={value}.", f"Write {kind}, or leave it out."
        )
    if kind in {*PRESETS, "off"}:
        return RecipeError(
            f"--augment: {kind} stands alone. Received: {text!r}.", "Write out the list instead."
        )
    return RecipeError(
        f"--augment: unknown kind {kind!r}. Received: {text!r}.",
        did_you_mean(kind, ["off", *PRESETS, *WORDS, *RANGES]),
    )


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")
