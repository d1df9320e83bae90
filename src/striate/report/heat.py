"""Numbers in the plane as pictures: one scale of colours for all of them, with its raw numbers beside it.

Orange is above zero and purple below, which people with any colour vision tell apart; zero is nearly white.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from striate.report.markup import number, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE = 99.5  # per cent of the values lie inside the scale: a single strong pixel must not blank the others
SMALL = 64  # up to this side a picture's pixels stay sharp squares
LARGE = 160  # a larger picture is drawn at this side on a page


@dataclass(frozen=True)
class Scale:
    """What the colours stand for: from -limit (or 0, where nothing is below it) to limit."""

    limit: float
    signed: bool = True

    def html(self) -> str:
        """Show the colours with their numbers."""
        low = -1.0 if self.signed else 0.0
        colours = _colours(np.linspace(low, 1, 9))
        stops = ",".join(f"rgb({r} {g} {b})" for r, g, b in colours.tolist())
        ends = [-self.limit, 0.0, self.limit] if self.signed else [0.0, self.limit]
        told = "".join(f"<b>{text(number(end))}</b>" for end in ends)
        return f'<span class="scale"><i style="background:linear-gradient(90deg,{stops})"></i>{told}</span>'


def scale_of(*maps: NDArray[Any]) -> Scale:
    """Give the one scale for maps that are compared; a map without a number below zero takes half of it.

    >>> scale_of(np.array([[0.0, 2.0]]), np.array([[0.0, 4.0]])).signed
    False
    """
    values = np.concatenate([np.ravel(each) for each in maps])
    # The strongest value itself where most are 0, as after a ReLU: no scale ends at 0.
    limit = float(np.percentile(np.abs(values), SHARE)) or float(np.abs(values).max())
    return Scale(limit or 1.0, bool((values < 0).any()))


def coloured(values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Draw a map (H, W) in colours, (H, W, 3) uint8."""
    return _colours(values / scale.limit)


def over(picture: NDArray[np.uint8], values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Lay a map (H, W) over a grey version of its picture (H, W, 1 or 3); what is near zero stays grey."""
    strength = np.nan_to_num(values / scale.limit).clip(-1, 1)
    cover = 0.85 * np.abs(strength)[..., None]
    # Not the scale's ends, which are too dark for a dark picture.
    mixed = (1 - cover) * picture.mean(2, keepdims=True) + cover * _colours(0.7 * np.sign(strength))
    return np.asarray(np.rint(mixed), np.uint8)


def about_grey(values: NDArray[Any], limit: float | None = None) -> NDArray[np.uint8]:
    """Show numbers (C, H, W) as a picture (H, W, 1 or 3): zero is the middle grey, limit white.

    limit: by default the strongest of them. Of channels that are neither 1 nor 3 the mean is shown.
    """
    limit = limit or float(np.abs(values).max()) or 1.0
    shown = values if len(values) in {1, 3} else values.mean(0, keepdims=True)
    return np.asarray(np.rint(np.nan_to_num(shown / limit).clip(-1, 1) * 127.5 + 127.5), np.uint8).transpose(
        1, 2, 0
    )


def fitted(values: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Enlarge a coarse map (h, w) smoothly to a picture's size."""
    small = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def image(picture: NDArray[np.uint8], alt: str, side: int = LARGE) -> str:
    """Show a picture (H, W, 1 or 3) on a page: its bytes are in the page, and it takes the width it is given.

    side: pixels that the longer side keeps at most.
    """
    shown = _opened(picture)
    crisp = max(shown.size) <= SMALL
    scale = side / max(shown.size)
    if scale < 1:
        width, height = (max(1, round(length * scale)) for length in shown.size)
        shown = shown.resize((width, height), Image.Resampling.BOX)
    kind, data = ("png", _png(_few(shown))) if crisp else ("jpeg", _jpeg(shown))
    sharp = ' class="sharp"' if crisp else ""
    encoded = base64.b64encode(data).decode()
    size = f'width="{shown.width}" height="{shown.height}"'
    return f'<img{sharp} {size} alt="{text(alt, 240)}" src="data:image/{kind};base64,{encoded}">'


def picture_of(picture: NDArray[np.uint8], alt: str, css: str) -> str:
    """Show a picture (H, W, 1 or 3) stretched as a class of the style sheet says."""
    encoded = base64.b64encode(_png(_few(_opened(picture)))).decode()
    return f'<img class="{css}" alt="{text(alt, 240)}" src="data:image/png;base64,{encoded}">'


def png(picture: NDArray[np.uint8], side: int = 224) -> bytes:
    """Give the bytes of a PNG file; a small picture grows to about ``side``."""
    shown = _opened(picture)
    times = max(1, side // max(shown.size))
    return _png(shown.resize((shown.width * times, shown.height * times), Image.Resampling.NEAREST))


def _opened(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture[..., 0] if picture.shape[2] == 1 else picture))


def _few(shown: Image.Image) -> Image.Image:
    """Give a colour picture of few colours, as a map has, as their table: a third of the bytes."""
    flat = np.asarray(shown).reshape(-1, 3) if shown.mode == "RGB" else np.empty((0, 3), np.uint8)
    colours, which = np.unique(flat, axis=0, return_inverse=True)
    if not 0 < len(colours) <= 256:
        return shown
    table = Image.fromarray(which.reshape(shown.height, shown.width).astype(np.uint8), "P")
    table.putpalette(colours.tobytes())
    return table


def _png(shown: Image.Image) -> bytes:
    buffer = io.BytesIO()
    shown.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _jpeg(shown: Image.Image) -> bytes:
    buffer = io.BytesIO()
    shown.save(buffer, "jpeg", quality=85, subsampling=0)
    return buffer.getvalue()


@cache
def _table() -> NDArray[np.uint8]:
    import matplotlib as mpl

    # Its two ends are nearly black, and alike: the scale stops before them.
    return np.asarray(np.rint(mpl.colormaps["PuOr_r"](np.linspace(0.08, 0.92, 256))[:, :3] * 255), np.uint8)


def _colours(share: NDArray[Any]) -> NDArray[np.uint8]:
    """Look up colours for -1..1; what lies beyond takes the end's."""
    places = np.rint((np.nan_to_num(share).clip(-1, 1) + 1) * 127.5).astype(np.intp)
    return np.asarray(_table()[places])
