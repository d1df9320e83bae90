"""Samples beside what came back from their codes: pictures row by row, and the codes as a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report.heat import LARGE, image
from striate.report.inside.points import key, points
from striate.report.markup import number, plural, scroll, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.report.inside.contents import Points

SAMPLES = 12  # on a page
SMALL = 64  # pixels that a picture keeps where many are drawn
HEAD, COLUMN = 92, 72  # CSS pixels


@dataclass(frozen=True, eq=False)
class Strip:
    """One way to see the samples. values: (N, C, H, W) or (N, C, L), in 0..1 for pictures.

    errors: squared error of each against the original, summed over its values; () for the original.
    """

    name: str
    values: NDArray[Any]
    errors: Sequence[float] = ()


@dataclass(frozen=True, eq=False)
class Rebuilding:
    """Originals first, then what came back of them; names of the samples, size of the code, maps of codes."""

    strips: list[Strip]
    names: Sequence[str]
    code: int | None = None
    maps: list[Points] = field(default_factory=list)


def strips(told: Rebuilding) -> str:
    """Show each sample in a column, and under its picture how far that is off."""
    low, high = _range(told.strips[0].values)
    rows = "".join(_row(strip, told.names, low, high) for strip in told.strips)
    head = "".join(f'<th scope="col">{text(_short(name), 14)}</th>' for name in told.names)
    lead = "Each column is one sample; the squared error, summed over its values, under each."
    table = (
        f'<table class="rebuilt" style="width:{HEAD + COLUMN * len(told.names)}px">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return f"<p>{lead}</p>{scroll(table, 'Samples and what came back')}"


def mapped(maps: Sequence[Points], numbers: int | None) -> str:
    """Draw codes in the plane, coloured by label where there are labels. numbers: in a code."""
    if not maps:
        return ""
    figures = "".join(f"<figure>{points(one)}</figure>" for one in maps)
    labelled = len(maps[0].names) > 1
    coloured = " Colours are the labels, which taught the network nothing." if labelled else ""
    many, of = plural(len(maps[0].places), "code"), f" of {plural(numbers, 'number')}" if numbers else ""
    lead = f"<p>{many}{of}, one dot each: what is near says something alike.{coloured}</p>"
    return f'{lead}<div class="panels">{figures}</div>{key(maps[0]) if labelled else ""}'


def _row(strip: Strip, names: Sequence[str], low: float, high: float) -> str:
    errors = [f"<small>{number(float(error))}</small>" for error in strip.errors] or [""] * len(names)
    cells = "".join(
        f"<td>{_drawn(values, f'{name}, {strip.name}', low, high)}{error}</td>"
        for values, name, error in zip(strip.values, names, errors, strict=True)
    )
    return f'<tr><th scope="row">{text(strip.name)}</th>{cells}</tr>'


def _drawn(values: NDArray[Any], alt: str, low: float, high: float) -> str:
    if values.ndim == 3:
        return image(visible(values), alt, SMALL if values.shape[-1] > SMALL else LARGE)
    return _line(values, alt, low, high)


def visible(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Make values in 0..1 (C, H, W) a picture (H, W, 1 or 3)."""
    shown = np.nan_to_num(values[: 3 if len(values) >= 3 else 1]).clip(0, 1) * 255
    return np.asarray(np.rint(shown), np.uint8).transpose(1, 2, 0)


def _line(values: NDArray[Any], alt: str, low: float, high: float) -> str:
    """Draw the first channel of a sequence (C, L) as a line; all of a page between the same two values."""
    y = np.nan_to_num(values[0])
    keep = np.unique(np.linspace(0, len(y) - 1, min(len(y), 200)).round().astype(int))
    at = zip(100 * keep / max(1, len(y) - 1), 60 * (high - y[keep]) / ((high - low) or 1), strict=True)
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top in at)
    return (
        f'<svg viewBox="-2 -2 104 64" role="img" aria-label="{text(alt, 240)}"><polyline points="{path}" '
        'fill="none" stroke="var(--accent)" stroke-width="1.5"/></svg>'
    )


def _range(values: NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _short(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2] or name
