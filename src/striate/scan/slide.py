"""A classifier at every place of a picture: as one map where that gives the same, else window by window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from striate.scan.convolutional import total_stride

if TYPE_CHECKING:
    from collections.abc import Callable

    Done = Callable[[int, int], None]

TILE = 512  # pixels a side that are seen at once: memory is bounded, whatever the size of the picture
BATCH, PIXELS = 64, 2**20  # windows that are seen at once, and pixels of theirs
MORE = 5  # strides by which the picture is larger on which map and windows are compared

Pair = tuple[int, int]


def positions(size: int, window: int, stride: int) -> int:
    """Count the windows that lie wholly inside, one every ``stride`` pixels from 0.

    >>> positions(32, 28, 4), positions(27, 28, 4)
    (2, 0)
    """
    return max(0, (size - window) // stride + 1)


def dense(form: nn.Module, picture: Tensor, window: Pair, stride: Pair, *, tile: int = TILE) -> Tensor:
    """Let a fully convolutional network see a whole picture, in overlapping tiles.

    form: of :func:`striate.scan.convolutional.fully_convolutional`; stride: its total stride, pixels.
    picture: (C, H, W) as the network is given them.   window: (height, width) of its training, pixels.
    Returns: (K, H', W'); place (y, x) answers for the window whose corner is at (y, x) times the stride.
    """
    places = [positions(n, k, s) for n, k, s in zip(picture.shape[1:], window, stride, strict=True)]
    at_once = [max(1, (max(tile, 2 * k) - k) // s + 1) for k, s in zip(window, stride, strict=True)]
    rows = []
    with torch.inference_mode():
        for top in range(0, places[0], at_once[0]):
            row = []
            for left in range(0, places[1], at_once[1]):
                high, wide = (min(at_once[i], places[i] - start) for i, start in ((0, top), (1, left)))
                y, x = top * stride[0], left * stride[1]
                bottom, right = y + (high - 1) * stride[0] + window[0], x + (wide - 1) * stride[1] + window[1]
                # Pixels that training left over at a window's end make room for one place too many.
                row.append(form(picture[None, :, y:bottom, x:right])[0, :, :high, :wide])
            rows.append(torch.cat(row, 2))
    return torch.cat(rows, 1)


def windows(
    model: nn.Module,
    picture: Tensor,
    window: Pair,
    stride: Pair,
    *,
    batch: int | None = None,
    done: Done | None = None,
) -> Tensor:
    """Cut windows and let the network see them one by one, ``batch`` at a time; by default as many as fit.

    picture, window, stride and the result: as in :func:`dense`, with model's own (N, K) at each place.
    done: hears how many of how many windows have been seen.
    """
    cut = picture.unfold(1, window[0], stride[0]).unfold(2, window[1], stride[1])
    high, wide = cut.shape[1:3]
    batch = batch or max(1, min(BATCH, PIXELS // (window[0] * window[1])))
    found = []
    with torch.inference_mode():
        for start in range(0, high * wide, batch):
            place = torch.arange(start, min(start + batch, high * wide))
            found.append(model(cut[:, place // wide, place % wide].transpose(0, 1)))
            if done is not None:
                done(start + len(place), high * wide)
    return torch.cat(found).T.reshape(-1, high, wide)


def difference(model: nn.Module, form: nn.Module, shape: tuple[int, int, int], *, seed: int = 0) -> float:
    """Measure how far a map of answers is from the windows', on a picture of noise a few strides larger.

    shape: (C, H, W) of the window.   Returns: the largest difference, as a share of the largest answer.
    Below 1e-4 they are the same within rounding: the network pads nowhere inside.
    """
    window, stride = shape[1:], total_stride(form, torch.empty(1, *shape))
    larger = [n + MORE * s + s // 2 for n, s in zip(window, stride, strict=True)]
    noise = torch.randn(shape[0], *larger, generator=torch.Generator().manual_seed(seed))
    whole, apart = dense(form, noise, window, stride), windows(model, noise, window, stride)
    return float((whole - apart).abs().max() / apart.abs().max().clamp_min(1e-12))


def pyramid(height: int, width: int, window: int, *, factor: float = math.sqrt(2)) -> tuple[float, ...]:
    """Give the sizes at which a picture is looked at, as shares of its own: an object may be of any size.

    From 1, where a window is ``window`` pixels of the picture, down in equal steps of at most ``factor`` to
    where it covers the shorter side. A picture smaller than the window is enlarged to it.

    >>> [round(scale, 3) for scale in pyramid(128, 200, 32)]
    [1.0, 0.707, 0.5, 0.354, 0.25]
    """
    least = window / min(height, width)
    if least >= 1:
        return (least,)
    steps = math.ceil(math.log(1 / least) / math.log(factor) - 1e-9)
    return tuple(least ** (i / steps) for i in range(steps + 1))
