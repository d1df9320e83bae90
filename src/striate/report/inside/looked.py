"""One picture or sequence: what the network says of it, the maps of why, and what is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.report.heat import about_grey, coloured, image, over, scale_of
from striate.report.inside import along
from striate.report.inside.methods import METHODS
from striate.report.markup import percent, plural, text
from striate.report.series import Along, called

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from striate.report.contents import Shown
    from striate.report.inside.contents import Looked, Map, Maps

THUMB = 96  # pixels of a picture that is shown small


def looked(told: Looked, side: int) -> str:
    """Lay out the section of a picture or sequence. side: pixels that a map keeps at most."""
    reasons = [one for one in told.maps if not METHODS[one.method].pattern]
    patterns = [one for one in told.maps if METHODS[one.method].pattern]
    lead = _PATTERNS.removesuffix(GREY) if isinstance(told.picture, Along) else _PATTERNS
    return (
        _answer(told, side)
        + _block(_why(told), _reading(told), [_map(told, one, side) for one in reasons])
        + _block("What pattern in it drove the network", lead, [_map(told, p, side) for p in patterns])
        + "".join(maps(each) for each in told.layers)
        + _near(told)
    )


GREY = " Zero is the middle grey."
_PATTERNS = (
    "Both send the score back through the network and let only what is positive pass. They are no answer to "
    "“why this class”: for another class they look nearly the same." + GREY
)


def _answer(told: Looked, side: int) -> str:
    rows = "".join(f"<li><span>{text(label, 60)}</span><b>{_share(p)}</b></li>" for label, p in told.top)
    note = f'<p class="note">{text(told.note, 240)}</p>' if told.note else ""
    if isinstance(told.picture, Along):
        return f'{along.asked(told, told.picture)}<ul class="said narrow">{rows}</ul>{note}'
    shown = image(told.picture, f"{told.name}, as the network is shown it", max(side, THUMB))
    return f'<div class="asked">{shown}<div><ul class="said">{rows}</ul>{note}</div></div>'


def _share(probability: float | None) -> str:
    if probability is None:
        return ""
    return "below 0.1\xa0%" if probability < 0.001 else percent(probability)


def _why(told: Looked) -> str:
    if not told.target:
        return "What raises the number"
    return f"Why {text(told.target, 40)}" + (f", and why not {text(told.versus, 40)}" if told.versus else "")


def _reading(told: Looked) -> str:
    what = f"speaks for {text(told.target, 40)}" if told.target else "raises the number"
    where = "speaks against it" if told.target else "lowers it"
    same = " The two classes of a method share one scale." if told.versus else ""
    return f"Orange {what}, purple {where}; the numbers under the colours are raw.{same}"


def _block(title: str, lead: str, figures: Sequence[str]) -> str:
    if not figures:
        return ""
    return f'<h3>{title}</h3><p class="note">{lead}</p><div class="two">{"".join(figures)}</div>'


def _map(told: Looked, one: Map, side: int) -> str:
    about = METHODS[one.method]
    coarse = ""
    if one.coarse is not None and one.coarse != one.values.shape[-2:]:
        coarse = f" {' × '.join(map(str, one.coarse))} values."
    mark = "badge" if one.moves else "badge still"
    badge = f'<p class="{mark}">{text(one.badge, 240)}</p>' if one.badge else ""
    if isinstance(told.picture, Along):
        shown, says = along.compared(told, one, told.picture), about.along
    else:
        shown = (_pattern if about.pattern else _compared)(told, one, told.picture, side)
        says = about.says
    return (
        f"<figure><figcaption>{about.title} <small>{text(about.paper)}</small></figcaption>"
        f'{shown}{badge}<p class="note">{says}{coarse}</p></figure>'
    )


def _compared(told: Looked, one: Map, picture: NDArray[np.uint8], side: int) -> str:
    """Show a map, the same over its picture, and that of the other class, all on one scale."""
    scale = scale_of(one.values) if one.other is None else scale_of(one.values, one.other)
    name, label = METHODS[one.method].title, told.target or "the number"
    shown = [
        (coloured(one.values, scale), f"{name} of {told.name} for {label}", f"for {label}"),
        (over(picture, one.values, scale), f"the same over the picture {told.name}", "over the picture"),
    ]
    if one.other is not None:
        other = coloured(one.other, scale)
        shown.append((other, f"{name} of {told.name} for {told.versus}", f"for {told.versus}"))
    return f'<div class="row">{"".join(framed(*each, side) for each in shown)}</div>{scale.html()}'


def _pattern(told: Looked, one: Map, picture: NDArray[np.uint8], side: int) -> str:
    about = METHODS[one.method]
    pattern = one.values if one.values.ndim == 3 else one.values[None]
    shown = [
        (picture, f"{told.name}, as the network is shown it", "the picture"),
        (about_grey(pattern), f"{about.title} of {told.name}", "the pattern"),
    ]
    return f'<div class="row">{"".join(framed(*each, side) for each in shown)}</div>'


def framed(picture: NDArray[np.uint8], alt: str, caption: str, side: int = THUMB) -> str:
    """Show a picture with its caption under it."""
    under = f"<small>{text(caption, 60)}</small>" if caption else ""
    return f"<span>{image(picture, alt, side)}{under}</span>"


def maps(told: Maps) -> str:
    """Show feature maps of a layer, all on one scale."""
    flat = told.maps.ndim == 2
    first = f"the {len(told.units)} most active of " if len(told.units) < told.total else ""
    size = " × ".join(f"{side:,}" for side in told.maps.shape[1:])
    return (
        f"<h3>Feature maps of {text(told.layer, 60)}</h3>"
        f'<p class="note">{text(told.kind)}: {first}{plural(told.total, "unit")}, most active first; '
        f"{size} values each, on one scale{', one unit a row' if flat else ''}.</p>"
        f"{along.maps(told) if flat else _tiles(told)}"
    )


def _tiles(told: Maps) -> str:
    scale = scale_of(told.maps)
    items = "".join(
        framed(coloured(one, scale)[..., :3], f"feature map {unit} of {told.layer}", f"{unit}")
        for unit, one in zip(told.units, told.maps, strict=True)
    )
    return f'<div class="tiles">{items}</div>{scale.html()}'


def _near(told: Looked) -> str:
    if not told.near:
        return ""
    noun = called(told.picture.about) if isinstance(told.picture, Along) else "picture"
    lead = f"Nearest to it of {plural(told.seen, f'training {noun}')}, by the angle between the features."
    return f'<h3>What it is like</h3><p class="note">{lead}</p>{row(told.near)}'


def row(pictures: Sequence[Shown]) -> str:
    """Show small pictures with a caption each."""
    items = "".join(f"<span>{_small(one)}<small>{text(one.caption, 40)}</small></span>" for one in pictures)
    return f'<div class="tiles wide">{items}</div>'


def _small(one: Shown) -> str:
    if isinstance(one.picture, str):
        return one.picture
    return image(one.picture, f"{one.caption} {one.detail}", THUMB)
