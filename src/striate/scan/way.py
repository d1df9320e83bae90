"""How a network can be slid over a picture, found out by measuring: as one map exactly, or by windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.scan.boxes import Level
from striate.scan.convolutional import fully_convolutional, total_stride
from striate.scan.slide import dense, difference, windows

if TYPE_CHECKING:
    from striate.scan.slide import Done

EXACT = 1e-4  # of the largest answer: below it two ways are the same within rounding
PARTS = 8  # windows that lie side by side without a common pixel have so many others in between
SAMPLE = 64  # windows of each size of the picture on which an approximation is measured
PADS = "the network pads inside, so that a window sees zeros where a picture goes on"


@dataclass(frozen=True)
class Way:
    """A way of sliding a network.

    mode: "exact" as one map; "windows" one by one; "approximate" as one map that is not the windows'.
    reason: why, in words.   stride, window: down and across, pixels.   form: the network in the form that
    is slid.   difference: share of the largest answer by which a map of noise differs from its windows; None
    where there is no map.
    """

    mode: Literal["exact", "windows", "approximate"]
    reason: str
    stride: tuple[int, int]
    window: tuple[int, int]
    form: nn.Module
    difference: float | None


def way(
    model: nn.Module, shape: tuple[int, int, int], *, stride: int | None = None, approximate: bool = False
) -> Way:
    """Find the best way to slide a network: exactly as one map, if it can be, else by windows.

    model: (N, C, H, W) -> (N, K), in evaluation mode.   shape: (C, H, W) of its training, pixels.
    stride: pixels between windows, which are then cut one by one, unless they are the network's own; by
    default its own for a map, else an eighth of the window.   approximate: make a map even where it differs.
    Raises ModelError where that is impossible.
    """
    window = (shape[1], shape[2])
    apart = (stride, stride) if stride else (max(1, window[0] // PARTS), max(1, window[1] // PARTS))
    try:
        example = torch.zeros(1, *shape)
        form = fully_convolutional(model, example)
        own, off = total_stride(form, example), difference(model, form, shape)
    except ModelError as error:
        if approximate:
            raise
        return Way("windows", error.message.partition(": ")[2].rstrip("."), apart, window, model, None)
    if off <= EXACT and stride and own != apart:
        reason = f"--stride {stride}, where the network's own is {own[0]}"
        return Way("windows", reason, apart, window, model, off)
    if off <= EXACT:
        return Way("exact", "no inner padding", own, window, form, off)
    if approximate:
        return Way("approximate", PADS, own, window, form, off)
    return Way("windows", PADS, apart, window, model, off)


def slid(way: Way, picture: Tensor, scale: tuple[float, float], *, done: Done | None = None) -> Level:
    """Slide a network over one size of a picture.

    picture: (C, H, W) as the network is given them.   scale: (down, across), for one pixel of the original.
    """
    if way.mode == "windows":
        found = windows(way.form, picture, way.window, way.stride, done=done)
    else:
        found = dense(way.form, picture, way.window, way.stride)
    return Level(scale, way.stride, found.softmax(0))


def off_by(
    level: Level, model: nn.Module, picture: Tensor, window: tuple[int, int], *, seed: int = 0
) -> float:
    """Measure how far the probabilities of a map are from those of windows, on a sample of the places.

    level: of :func:`slid` with this picture.   Returns: the largest difference of a probability, 0..1.
    """
    _, high, wide = level.scores.shape
    place = torch.randperm(high * wide, generator=torch.Generator().manual_seed(seed))[:SAMPLE]
    cut = picture.unfold(1, window[0], level.stride[0]).unfold(2, window[1], level.stride[1])
    with torch.inference_mode():
        wanted = model(cut[:, place // wide, place % wide].transpose(0, 1)).softmax(1)
    return float((level.scores[:, place // wide, place % wide].T - wanted).abs().max())
