"""TIFF beyond grey and 8-bit colour: many channels, planes, float colour, odd depths. Read by tifffile.

Which axis holds the channels: the one that the file names (samples of a pixel, or C); where a stack
names none, the smallest. Stacks over time, depth or pages give their first page.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from striate.data import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Special:
    """A TIFF for tifffile: shape is (H, W, channels), before the orientation ``turn`` (1 to 8) is applied."""

    stored: Any  # a page, or a series of pages that are channels
    axis: int | None
    alpha: bool
    inverted: bool
    shape: tuple[int, int, int]
    dtype: str
    turn: int
    mode: str

    def read(self) -> NDArray[Any]:
        """Give the pixels, (H, W, channels), before they are turned upright."""
        stored = self.stored.asarray(maxworkers=1)
        pixels = stored[:, :, None] if self.axis is None else np.moveaxis(stored, self.axis, 2)
        if pixels.dtype == bool:
            pixels = pixels * np.uint8(255)
        if self.inverted:
            pixels = np.iinfo(pixels.dtype).max - pixels
        return decode.on_white(pixels) if self.alpha else pixels.astype(self.dtype)


def special(data: bytes) -> Special | None:
    """Describe a TIFF that Pillow cannot read at its full depth; None for all others."""
    try:
        series: Any = tifffile.TiffFile(io.BytesIO(data)).series[0]
    except Exception:  # noqa: BLE001 - Pillow may know it, and says what is wrong if not
        return None
    page = series.keyframe
    stack = series.ndim > page.ndim
    stored = page if stack and _channel_axis(series) is None else series
    axis = _channel_axis(stored)
    channels = 1 if axis is None else stored.shape[axis]
    alpha = (
        channels in {2, 4}
        and page.dtype.kind == "u"
        and any(int(extra) in {1, 2} for extra in page.extrasamples)
    )
    inverted = page.photometric == 0 and page.dtype.kind == "u" and page.bitspersample > 8
    fancy = page.photometric not in {0, 1, 2}  # palette, CMYK, YCbCr and the like
    if fancy or (stored.ndim == page.ndim and not inverted and _for_pillow(page, channels, alpha=alpha)):
        return None
    height, width = (n for i, n in enumerate(stored.shape) if i != axis)
    decode.refuse_huge(width, height)
    if channels * width * height > 4 * decode.MAX_PIXELS:
        raise decode.Unreadable(f"{channels} channels of {width} × {height} pixels: more than are read")
    dtype = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}.get(page.dtype.name, "float32")
    tag = page.tags.get("Orientation")
    words = {1: "grey", 3: "RGB"}.get(channels - alpha, f"{channels - alpha} channels") + (
        "+alpha" if alpha else ""
    )
    notes = ", several pages, first page" if stack and stored is page else ""
    return Special(
        stored=stored,
        axis=axis,
        alpha=alpha,
        inverted=inverted,
        shape=(height, width, channels - alpha),
        dtype=dtype,
        turn=tag.value if tag is not None and tag.value in range(1, 9) else 1,
        mode=f"TIFF {words} {page.dtype}{notes}",
    )


def _channel_axis(stored: Any) -> int | None:
    if stored.ndim != 3:
        return None
    for letter in "SC":
        if letter in stored.axes:
            return int(stored.axes.index(letter))
    return int(np.argmin(stored.shape)) if "Q" in stored.axes else None


def _for_pillow(page: Any, channels: int, *, alpha: bool) -> bool:
    if channels == 1:
        return page.dtype.name in {"bool", "uint8", "uint16", "int32", "float32"}
    if page.dtype == np.uint8:
        return channels == 3 or alpha
    return page.dtype == np.uint16 and page.planarconfig == 1 and (channels == 3 or (channels == 4 and alpha))
