"""A sequence on a page: a recording as its waveform, a text as its letters, a series as lines or a roll.

What a method found along it stands under it as a strip of colours, or behind each letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from striate.data.sources import NOUNS
from striate.report.heat import Scale, coloured, picture_of
from striate.report.markup import number, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences

    Strips = Sequence[tuple[NDArray[Any], str]]

WIDE, HIGH, FINE = 320, 64, 160  # of a drawing; columns of a waveform, two values each
LINES = 8  # channels that are drawn as lines; more are rows of a picture
LETTERS = 480  # that are written out
UNKNOWN, LIGHT = "·", ";color:#fff"


class Along(NamedTuple):
    """A sequence (C, L) as the network is given it, and how it was made."""

    x: NDArray[Any]
    about: Sequences


def called(preprocess: Preprocess | Sequences) -> str:
    """Say what one of the data is called."""
    return NOUNS[getattr(preprocess, "modality", "pictures")].removesuffix("s")


def ends(x: NDArray[Any]) -> int:
    """Count the true steps of a sequence (C, L): up to the last that is not all zero, at least 1."""
    steps = np.flatnonzero((x != 0).any(0))
    return int(steps[-1]) + 1 if len(steps) else 1


def drawn(
    x: NDArray[Any], about: Sequences, alt: str, strips: Strips = (), scale: Scale | None = None
) -> str:
    """Draw a sequence (C, L), as the network is given it, with what was found along it.

    strips: values (L,) with the words beside them; the first colours the letters of a text.
    """
    n = ends(x)
    if about.modality == "symbols":
        return _written(x[:, :n], about.alphabet, strips, scale)
    whole = plain(x, about, alt)
    under = "".join(_strip(values[:n], words, scale) for values, words in strips if scale is not None)
    return f'<div class="along">{whole}{under}{_axis(n, about.rate)}</div>'


def plain(x: NDArray[Any], about: Sequences, alt: str, high: int = HIGH) -> str:
    """Draw a sequence (C, L) alone, small enough for a gallery: its letters, lines, or roll."""
    x = x[:, : ends(x)]
    if about.modality == "symbols":
        return f'<span class="letters">{text(letters(x, about.alphabet), LETTERS)}</span>'
    if len(x) > LINES:
        return _roll(x, alt)
    body = _waveform(x[0], high) if about.modality == "sound" else _lines(x, high)
    size = f'viewBox="0 0 {WIDE} {high}" preserveAspectRatio="none"'
    return f'<svg class="wave" {size} role="img" aria-label="{text(alt, 240)}">{body}</svg>'


def letters(x: NDArray[Any], alphabet: str) -> str:
    """Read a text back from its rows (K, n): the letter that is there, or a dot for an unknown one.

    >>> letters(np.array([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]), "AB")
    'A·B'
    """
    there = x.max(0) > 0.99
    return "".join(alphabet[i] if sure else UNKNOWN for i, sure in zip(x.argmax(0), there, strict=True))


def _waveform(values: NDArray[Any], high: int) -> str:
    """Draw the lowest and highest value of each column as one shape about the middle."""
    columns = np.array_split(values, min(FINE, len(values)))
    top = np.array([part.max() for part in columns])
    low = np.array([part.min() for part in columns])
    limit = float(np.abs(values).max()) or 1.0
    middle, reach = high / 2, high / 2 - 1
    x = (np.arange(len(columns)) + 0.5) * WIDE / len(columns)
    upper = [f"{a:.1f} {middle - reach * b / limit - 0.4:.1f}" for a, b in zip(x, top, strict=True)]
    lower = [f"{a:.1f} {middle - reach * b / limit + 0.4:.1f}" for a, b in zip(x, low, strict=True)]
    return f'<path class="sound" d="M{"L".join([*upper, *lower[::-1]])}Z"/>'


def _lines(x: NDArray[Any], high: int) -> str:
    """Draw each channel as a line, all on one scale."""
    low, top = float(x.min()), float(x.max())
    span = (top - low) or 1.0
    keep = np.unique(np.linspace(0, x.shape[1] - 1, min(x.shape[1], WIDE)).round().astype(int))
    across = (keep + 0.5) * WIDE / x.shape[1]
    paths = []
    for i, channel in enumerate(x[:, keep]):
        y = high - 2 - (channel - low) / span * (high - 4)
        points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(across, y, strict=True))
        paths.append(f'<path class="line l{i % 4}" d="M{points}"/>')
    return "".join(paths)


def _roll(x: NDArray[Any], alt: str) -> str:
    """Draw many channels as rows of a picture, the first at the bottom, time to the right."""
    low, high = float(x.min()), float(x.max())
    grey = np.rint(255 - 225 * (x[::-1] - low) / ((high - low) or 1.0)).astype(np.uint8)
    return picture_of(grey[..., None], alt, "roll")


def _strip(values: NDArray[Any], words: str, scale: Scale) -> str:
    """Draw values along the sequence as one row of colours, of each column the strongest."""
    columns = np.array_split(values, min(WIDE, len(values)))
    strongest = np.array([part[np.abs(part).argmax()] for part in columns])
    image = picture_of(coloured(strongest[None], scale), f"{words}, along the sequence", "strip")
    return f"{image}<small>{text(words, 60)}</small>"


def _written(x: NDArray[Any], alphabet: str, strips: Strips, scale: Scale | None) -> str:
    """Write a text out for each row of values, every letter on the colour of its own."""
    whole = letters(x, alphabet)
    if not strips or scale is None:
        return f'<div class="along"><span class="letters">{text(whole, LETTERS)}</span></div>'
    rows = []
    for values, words in strips:
        colours = coloured(values[None, :LETTERS], scale)[0]
        cells = "".join(
            f"<i style=background:rgb({r},{g},{b}){LIGHT if r + g + b < 330 else ''}>{text(one)}</i>"
            for one, (r, g, b) in zip(whole[:LETTERS], colours.tolist(), strict=False)
        )
        more = f" and {len(whole) - LETTERS:,} more" if len(whole) > LETTERS else ""
        rows.append(f'<span class="letters on">{cells}</span><small>{text(words, 60)}{more}</small>')
    return f'<div class="along">{"".join(rows)}</div>'


def _axis(n: int, rate: int) -> str:
    """Say where it begins and ends: in seconds for a sound, else in steps."""
    last = f"{number(round(n / rate, 3))} s" if rate else f"{n:,} steps"
    return f'<small class="axis"><b>0</b><b>{last}</b></small>'
