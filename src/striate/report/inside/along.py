"""One sequence: its drawing, and under it or behind its letters what each method found along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from striate.report.heat import coloured, picture_of, scale_of
from striate.report.inside.methods import METHODS
from striate.report.series import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.report.heat import Scale
    from striate.report.inside.contents import Looked, Map, Maps, Mistake
    from striate.report.series import Along

WIDEST = 640  # columns of feature maps


def asked(told: Looked, along: Along) -> str:
    """Draw the sequence alone."""
    return drawn(*along, f"{told.name}, as the network is given it")


def compared(told: Looked, one: Map, along: Along) -> str:
    """Draw a map along the sequence, and that of the other class, on one scale."""
    each = [(one.values, f"for {told.target or 'the number'}")]
    if one.other is not None:
        each.append((one.other, f"for {told.versus}"))
    scale = scale_of(*(values for values, _ in each))
    alt = f"{METHODS[one.method].title} along {told.name}"
    return _with_scale(along, alt, each, scale)


def mistake(told: Mistake, along: Along) -> str:
    """Draw what spoke for the answer along a wrongly answered sequence, and what for the truth."""
    each = [(told.map_said, f"for {told.said}")]
    if told.map_true is not None:
        each.append((told.map_true, f"for {told.true}"))
    scale = scale_of(*(values for values, _ in each))
    return _with_scale(along, told.name, each, scale)


def _with_scale(along: Along, alt: str, each: Sequence[tuple[NDArray[np.float32], str]], scale: Scale) -> str:
    return f"{drawn(*along, alt, each, scale)}{scale.html()}"


def maps(told: Maps) -> str:
    """Show feature maps (n, l) as the rows of one picture, time to the right."""
    scale = scale_of(told.maps)
    columns = np.array_split(told.maps, min(WIDEST, told.maps.shape[1]), axis=1)
    rows = np.stack([part.mean(1) for part in columns], 1)
    named = ", ".join(map(str, told.units))
    alt = f"feature maps of {told.layer}, one a row: units {named}"
    return f'<div class="along">{picture_of(coloured(rows, scale), alt, "roll")}</div>{scale.html()}'


def kernel(values: NDArray[np.float32], limit: float) -> str:
    """Draw a kernel (1, k) as a curve about zero.

    limit: the largest weight of its layer, which reaches the edge.
    """
    taps = values.shape[-1]
    x = (np.arange(taps) + 0.5) * 56 / taps
    points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, 22 - 20 * values[0] / limit, strict=True))
    path = f'<path class="zero" d="M0 22H56"/><path class="line" d="M{points}"/>'
    return f'<svg class="wave" viewBox="0 0 56 44" aria-hidden="true">{path}</svg>'


def strip(values: NDArray[np.float32], scale: Scale) -> NDArray[np.uint8]:
    """Give a map (L,) as a picture of its own (24, at most 640, 3)."""
    columns = np.array_split(values, min(WIDEST, len(values)))
    strongest = np.array([part[np.abs(part).argmax()] for part in columns])
    return coloured(strongest[None].repeat(24, 0), scale)
