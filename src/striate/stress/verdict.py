"""What a sweep says in words: what costs most, from which level on, and what to try against it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.data import augment as augmentation
from striate.data import sequence_augment as in_time
from striate.data.sources import NOUNS
from striate.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.stress.measure import Curve, Curves, Point
    from striate.stress.place import Places

TOLD = 3  # kinds of distortion
COSTLY = 0.05  # a loss of accuracy that is worth a sentence of its own
PHOTO = 48  # pixels of the side from which pictures are augmented as photographs are

# A level in words; the published corruptions say their severity.
WORDS = {
    "shift": "a shift of {:g} px",
    "scale": "a size {:g} times larger or smaller",
    "rotation": "a turn of {:g}°",
    "shear": "a shear of {:g}°",
    "occlusion": "a cover over {:.0%} of each side",
    "darkness": "the loss of {:.0%} of the light",
    "colour_cast": "a colour cast of {:g} stops",
    "blur": "a blur of {:g} px",
    "noise": "noise of {:.0%} of the range",
    "jpeg": "JPEG quality {:g}",
    "clutter": "clutter of {:g} pieces",
    "elastic": "a bend of {:g} px",
}
WORDS_IN_TIME = {
    "time_shift": "a shift by {:.0%} of the window",
    "letter_shift": "a shift by {:g} letters",
    "mutation": "a change of {:.0%} of the letters",
    "speed": "a speed {:g} times faster or slower",
    "white_noise": "white noise {:g} dB below the signal",
    "gain": "a level {:g} dB louder or softer",
    "gap": "a gap of {:.0%} of the sequence",
}
# Which kind of damage each does: one sentence a kind, as what helps against one helps against the others.
KINDS = {
    "shift": "place", "scale": "size", "rotation": "turn", "shear": "bend", "elastic": "bend",
    "elastic_transform": "bend", "occlusion": "cover", "clutter": "clutter", "darkness": "light",
    "brightness": "light", "contrast": "light", "fog": "light", "colour_cast": "tint", "noise": "noise",
    "gaussian_noise": "noise", "shot_noise": "noise", "impulse_noise": "noise", "blur": "blur",
    "defocus_blur": "blur", "glass_blur": "blur", "motion_blur": "blur", "zoom_blur": "blur",
    "jpeg": "coding", "jpeg_compression": "coding", "pixelate": "coding", "snow": "weather",
    "frost": "weather",
}  # fmt: skip
KINDS_IN_TIME = {"time_shift": "time", "letter_shift": "time", "white_noise": "hiss"}
AUGMENTS = {
    "place": "shift",
    "size": "scale",
    "turn": "rotate",
    "cover": "cutout",
    "clutter": "cutmix",
    "light": "colour",
    "noise": "noise",
}
AUGMENTS_IN_TIME = {"time": "shift", "hiss": "noise", "gain": "gain"}  # the same of sequences


@dataclass(frozen=True)
class Fall:
    """A distortion's cost. at: the level that is quoted.   loss: of accuracy there, 0..1.

    breaks: the smallest level under half of the clean accuracy.   mean: loss over all levels.
    """

    name: str
    at: Point
    loss: float
    breaks: float | None
    mean: float

    @property
    def kind(self) -> str:
        """The kind of damage."""
        return (KINDS | KINDS_IN_TIME).get(self.name, self.name)


def falls(found: Curves) -> list[Fall]:
    """Find the falls that the sample can tell, the costliest first.

    A fall counts where the 95 % interval of a level lies below that of the clean accuracy. It is quoted at
    the first level that loses 5 points, or else at the level that loses most.
    """
    told = [fall for curve in found.curves.values() if (fall := _fall(curve, found.clean))]
    return sorted(told, key=lambda fall: -fall.mean)


def _fall(curve: Curve, clean: Point) -> Fall | None:
    sure = [point for point in curve.points if point.interval[1] < clean.interval[0]]
    if not sure:
        return None
    costly = [point for point in sure if clean.accuracy - point.accuracy >= COSTLY]
    at = costly[0] if costly else min(sure, key=lambda point: point.accuracy)
    changed = curve.points[not curve.published :]
    mean = sum(clean.accuracy - point.accuracy for point in changed) / len(changed)
    return Fall(curve.name, at, clean.accuracy - at.accuracy, curve.breaks(clean), mean)


def worst(found: Curves) -> list[Fall]:
    """The costliest fall of each of the three costliest kinds."""
    kept: dict[str, Fall] = {}
    for fall in falls(found):
        kept.setdefault(fall.kind, fall)
    return list(kept.values())[:TOLD]


def level_in_words(name: str, level: float) -> str:
    """Say a level.

    >>> level_in_words("shift", 3.0), level_in_words("shot_noise", 2)
    ('a shift of 3 px', 'shot noise at severity 2')
    """
    if name == "clutter" and level == 1:
        return "clutter of one piece"
    if words := (WORDS | WORDS_IN_TIME).get(name):
        return words.format(level)
    return f"{name.replace('_', ' ')} at severity {level:g}"


def verdict(
    found: Curves,
    *,
    augment: str,
    side: int,
    channels: int,
    run: str,
    place: str = "",
    modality: str = "pictures",
) -> list[str]:
    """Say in at most six sentences what costs most and what to do next.

    augment: what the network was trained with, as ``--augment`` takes it.   run: its folder, for commands.
    place: of :func:`at_its_worst`.   modality: what kind of data they are; side: of sequences, their length.
    """
    costs = worst(found)
    low, high = found.clean.interval
    if not costs and not place:
        return [f"Nothing tried costs more than the sample can tell ({100 * (high - low):.1f} points wide)."]
    told = [_sentence(fall, found.clean) for fall in costs] + [place] * bool(place)
    if modality == "pictures":
        helps, known = advice(costs, augment=augment, side=side, channels=channels), set(AUGMENTS)
    else:
        helps, known = advice_in_time(costs, augment=augment, length=side, modality=modality)
    if helps:
        told.append(
            f"Train with --augment {helps} (striate train --recipe {run}/recipe.toml --augment {helps} "
            f"--out RUN2) and measure it with --compare RUN2."
        )
    without = [fall.name for fall in costs if fall.kind not in known]
    if without:
        names = " or ".join(name.replace("_", " ") for name in without)
        told.append(
            f"No augmentation makes {names}: put such {NOUNS[modality]} among the training {NOUNS[modality]}."
        )
    return told


def _sentence(fall: Fall, clean: Point) -> str:
    words = level_in_words(fall.name, fall.at.level)
    said = f"{words[0].upper()}{words[1:]} costs {points(fall.loss)}"
    said += f" ({clean.accuracy:.1%} to {fall.at.accuracy:.1%})"
    if fall.breaks is not None and fall.breaks != fall.at.level:
        said += f"; {level_in_words(fall.name, fall.breaks)} leaves less than half"
    return said + "."


def points(share: float) -> str:
    """Write a difference of two accuracies.

    >>> points(0.0904), points(0.01)
    ('9.0 points', '1.0 point')
    """
    return f"{100 * share:.1f} {'point' if f'{100 * share:.1f}' == '1.0' else 'points'}"


def advice(costs: Sequence[Fall], *, augment: str, side: int, channels: int) -> str:
    """Give what to train with, as ``--augment`` takes it; empty where no augmentation makes such pictures.

    ``strong`` where that holds all that is needed, else what the network had and what it lacked.

    >>> fall = Fall("rotation", None, 0.2, None, 0.1)  # its level is asked for only where it is needed
    >>> advice([fall], augment="off", side=28, channels=1)
    'strong'
    """
    needed = {fall.kind: fall for fall in costs if fall.kind in AUGMENTS}
    try:
        had = augmentation.parse(augment, flips=True, photos=side > PHOTO, grey=channels == 1)
    except RecipeError:  # a run of another version may know other kinds
        had = augmentation.Augment()
    if not needed:
        return ""
    photos = bool(had.crop) or (augment == "off" and side > PHOTO)
    strong = augmentation.parse("strong", flips=False, photos=photos, grey=channels == 1)
    kinds = [AUGMENTS[kind] for kind in needed]
    if all(getattr(strong, kind) > getattr(had, kind) for kind in kinds):
        return "strong"
    values = {AUGMENTS[kind]: _strength(kind, fall, side) for kind, fall in needed.items()}
    more = {kind: max(value, _further(kind, getattr(had, kind))) for kind, value in values.items()}
    return str(dataclasses.replace(had, **more))  # type: ignore[arg-type]  # no word among them


def advice_in_time(
    costs: Sequence[Fall], *, augment: str, length: int, modality: str
) -> tuple[str, set[str]]:
    """Give what to train sequences with, as ``--augment`` takes it, and the kinds of damage that it makes."""
    try:
        had = in_time.parse(augment, modality)
    except RecipeError:  # a run of another version may know other kinds
        had = in_time.SequenceAugment()
    known = {kind for kind, word in AUGMENTS_IN_TIME.items() if word in in_time.KINDS[modality]}
    values = {}
    for fall in costs:
        if fall.kind in known:
            level, word = fall.at.level, AUGMENTS_IN_TIME[fall.kind]
            level = level / length if fall.name == "letter_shift" else level
            wanted = 10 ** (-level / 20) if word == "noise" else level
            most = in_time.RANGES[word][1]
            values[word] = min(most, max(round(wanted, 2), round(1.5 * getattr(had, word), 2), 0.01))
    return (str(dataclasses.replace(had, **values)) if values else ""), known


def _further(kind: str, strength: float) -> float:
    """Give half as much again as a network had, as that did not help."""
    return min(augmentation.RANGES[kind][1], round(1.5 * strength, 2))


def _strength(kind: str, fall: Fall, side: int) -> float:
    """Give the augmentation that reaches the quoted level, within its range."""
    level = fall.at.level
    value = {
        "place": level / side,
        "size": level - 1,
        "turn": level,
        "cover": level,
        "clutter": 1.0,
        "light": 0.4,
        "noise": level if fall.name == "noise" else 0.1,
    }[kind]
    low, high = augmentation.RANGES[AUGMENTS[kind]]
    return min(high, max(low, round(value, 2)))


def at_its_worst(clean: Point, places: Places, classes: Sequence[str]) -> str:
    """Say which place must not be covered and which class suffers; empty where the sample cannot tell."""
    lowest = places.lowest
    if lowest.interval[1] >= clean.interval[0]:
        return ""
    one, (row, column) = places.hurt, places.worst
    before, after = (
        hits / max(1, places.n[one]) for hits in (places.clean[one], places.hits[one, row, column])
    )
    said = f"Covering {places.share:.0%} of each side {places.where} costs "
    said += f"{points(clean.accuracy - lowest.accuracy)} ({clean.accuracy:.1%} to {lowest.accuracy:.1%}), "
    return said + f"most in class {classes[one]} ({before:.0%} to {after:.0%})."


def compared(own: Curves, other: Curves, name: str) -> str:
    """Say in a sentence where another network, on the same pictures and draws, does better and where worse.

    A distortion that both were measured under is named where their intervals are apart at some level, the
    widest gaps first.
    """
    both = [key for key in own.curves if key in other.curves]
    gaps = sorted(((_gap(own.curves[key], other.curves[key]), key) for key in both), reverse=True)
    better = [key.replace("_", " ") for gap, key in gaps if gap > 0][:TOLD]
    worse = [key.replace("_", " ") for gap, key in reversed(gaps) if gap < 0][:TOLD]
    if not better and not worse:
        return f"{name} differs nowhere by more than the intervals."
    parts = [f"better under {', '.join(better)}"] if better else []
    parts += [f"worse under {', '.join(worse)}"] if worse else []
    return f"{name} is {' and '.join(parts)}; elsewhere the intervals overlap or the gap is smaller."


def _gap(own: Curve, other: Curve) -> float:
    """Mean of the differences that the intervals can tell."""
    pairs = list(zip(own.points, other.points, strict=True))
    apart = [
        b.accuracy - a.accuracy
        for a, b in pairs
        if a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0]
    ]
    return sum(apart) / len(pairs) if apart else 0.0
