"""Kernels that were designed before any were learnt: blur, sharpen, edges, and filters of signals.

Each function returns a tensor (k, k) or (k), float64 unless dtype says otherwise. Those for pictures are made
for cross_correlate, which takes them as the weight of one filter and one channel: kernel[None, None].

>>> from striate.ops import cross_correlate
>>> ones = torch.ones(1, 1, 4, 4, dtype=torch.float64)
>>> bool((cross_correlate(ones, laplacian()[None, None]) == 0).all())  # nothing happens on a flat picture
True

Source: Gonzalez and Woods 2018, Digital Image Processing, chapter 3 (pictures); Smith 1997, The Scientist and
Engineer's Guide to Digital Signal Processing, chapters 7, 14 and 15 (signals).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.errors import ModelError
from striate.ops.conv import cross_correlate
from striate.ops.window import check_maps

if TYPE_CHECKING:
    from collections.abc import Callable


def identity(size: int = 3, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Leave the picture as it is: a single 1 in the middle.

    size: taps a side, odd.   Returns: (size, size).   Raises ModelError if size is even.

    >>> identity().tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return shift(0, 0, size, dtype=dtype)


def shift(dy: int, dx: int, size: int = 3, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Move the picture dy pixels down and dx to the right.

    size: taps a side, odd, at least 2 |dy| + 1 and 2 |dx| + 1.   Returns: (size, size).
    The 1 stands where the value comes from: left of the middle to move right. Under a true convolution the
    same kernel moves the other way. Raises ModelError if size is even or too small.

    >>> shift(0, 1).tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    middle = _middle(size)
    if max(abs(dy), abs(dx)) > middle:
        raise ModelError(
            f"a kernel of {size} taps a side does not reach so far. Received: dy={dy}, dx={dx}, size={size}",
            f"size={2 * max(abs(dy), abs(dx)) + 1} does",
        )
    kernel = torch.zeros(size, size, dtype=dtype)
    kernel[middle - dy, middle - dx] = 1
    return kernel


def box(size: int = 3, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Blur: the mean of size x size pixels. With zero padding the border darkens, to 4/9 in the corners.

    size: taps a side, odd.   Returns: (size, size), sum 1.   Raises ModelError if size is even.

    >>> round(float(box().sum()), 12)
    1.0
    """
    _middle(size)
    return torch.full((size, size), 1 / size**2, dtype=dtype)


def gaussian_5x5(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """Blur by a bell: the well-known integers over 273, which is their sum.

    Returns: (5, 5), sum 1, the same in all four directions.

    >>> (273 * gaussian_5x5()[4]).round().tolist()
    [1.0, 4.0, 7.0, 4.0, 1.0]
    """
    rows = [[1, 4, 7, 4, 1], [4, 16, 26, 16, 4], [7, 26, 41, 26, 7], [4, 16, 26, 16, 4], [1, 4, 7, 4, 1]]
    return torch.tensor(rows, dtype=dtype) / 273


def gaussian(sigma: float, size: int | None = None, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Blur by a bell exp(-r^2 / (2 sigma^2)), taken at the middles of the pixels and scaled to sum 1.

    sigma: pixels, > 0; size: taps a side, odd; if not given, it reaches to 3 sigma.
    Returns: (size, size).   Raises ModelError if sigma is not positive or size is even.

    >>> gaussian(1.0).shape
    torch.Size([7, 7])
    """
    if sigma <= 0:
        raise ModelError(f"sigma is the width of a bell in pixels, > 0. Received: sigma={sigma}")
    middle = _middle(2 * math.ceil(3 * sigma) + 1 if size is None else size)
    r = torch.arange(-middle, middle + 1, dtype=torch.float64)
    bell = torch.exp(-(r**2) / (2 * sigma**2))
    # exp(-(y^2 + x^2)) is exp(-y^2) exp(-x^2): a bell in the plane is a product of two on a line.
    kernel = torch.outer(bell, bell)
    return (kernel / kernel.sum()).to(dtype)


def sharpen(size: int = 3, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Sharpen: twice the picture minus its blur, so what the blur takes away is there twice.

    size: taps a side, odd.   Returns: (size, size), sum 1.   Raises ModelError if size is even.

    >>> (9 * sharpen()).round().tolist()
    [[-1.0, -1.0, -1.0], [-1.0, 17.0, -1.0], [-1.0, -1.0, -1.0]]
    """
    return 2 * identity(size, dtype=dtype) - box(size, dtype=dtype)


def laplacian(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """Find where brightness bends: the sum of the second differences along both axes.

    Returns: (3, 3), sum 0; it gives 0 on every plane a i + b j + c.

    >>> laplacian().tolist()
    [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]
    """
    return torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=dtype)


def sobel(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """Measure the slope of brightness: a difference across, smoothed 1 2 1 along.

    Returns: (2, 3, 3), the kernel of the slope to the right and that of the slope downwards.
    A true convolution gives both with the opposite sign.
    Source: Sobel and Feldman 1968.

    >>> right, down = sobel()
    >>> right.tolist(), bool((down == right.T).all())
    ([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], True)
    """
    right = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=dtype)
    return torch.stack([right, right.T])


def sobel_magnitude(x: Tensor) -> Tensor:
    """Measure how steep brightness is, whatever the direction: sqrt(right^2 + down^2) of the Sobel slopes.

    x: (N, 1, H, W), H and W >= 3.   Returns: (N, 1, H - 2, W - 2).
    Where both slopes are 0 the gradient is 0. Raises DoesNotFit, ModelError as cross_correlate does.

    >>> edge = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(1, 1, 3, 4)
    >>> sobel_magnitude(edge).tolist()
    [[[[4.0, 4.0]]]]
    """
    check_maps(x)
    slopes = cross_correlate(x, sobel(dtype=x.dtype)[:, None])
    steepness: Tensor = torch.linalg.vector_norm(slopes, dim=1, keepdim=True)
    return steepness


def vertical_edge(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """Find edges that run up and down, bright on the left: three columns 1 0 -1.

    Returns: (3, 3), sum 0.   Source: Prewitt 1970.

    >>> vertical_edge().tolist()
    [[1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]
    """
    return torch.tensor([[1, 0, -1]] * 3, dtype=dtype)


def horizontal_edge(*, dtype: torch.dtype = torch.float64) -> Tensor:
    """Find edges that run across, bright above: three rows 1 0 -1.

    Returns: (3, 3), sum 0.   Source: Prewitt 1970.

    >>> horizontal_edge().tolist()
    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]]
    """
    return vertical_edge(dtype=dtype).T.contiguous()


def low_pass(taps: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Keep what changes slowly in a signal: the mean of so many values.

    taps: >= 1.   Returns: (taps), sum 1.   A wave whose period divides taps vanishes exactly.
    Raises ModelError if taps < 1.   Source: Smith 1997, chapter 15.

    >>> low_pass(4).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    _at_least_one("taps", taps)
    return torch.full((taps,), 1 / taps, dtype=dtype)


def high_pass(taps: int, delay: int | None = None, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Keep what changes fast in a signal: the signal minus its low pass.

    taps: >= 1; delay: samples by which the signal is late, so that it meets its mean; taps // 2 if not given.
    Returns: (taps), sum 0.   Raises ModelError if delay is not from 0 to taps - 1.
    Source: Smith 1997, chapter 14, spectral inversion.

    >>> high_pass(4).tolist()
    [-0.25, -0.25, 0.75, -0.25]
    """
    return dirac(taps // 2 if delay is None else delay, taps, dtype=dtype) - low_pass(taps, dtype=dtype)


def dirac(at: int, length: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Delay a signal: convolved with a single 1 at place t0, s(t) becomes s(t - t0).

    at: from 0 to length - 1; length: >= 1.   Returns: (length).   Raises ModelError otherwise.

    >>> from striate.ops import full_convolve
    >>> full_convolve(torch.tensor([3.0, 1.0, 4.0]), dirac(2, 3, dtype=torch.float32)).tolist()
    [0.0, 0.0, 3.0, 1.0, 4.0]
    """
    _at_least_one("length", length)
    if not 0 <= at < length:
        raise ModelError(f"the impulse is outside. Received: at={at}, length={length}", f"0 to {length - 1}")
    signal = torch.zeros(length, dtype=dtype)
    signal[at] = 1
    return signal


def dirac_train(period: int, impulses: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Repeat a signal: convolved with a 1 at every period-th place, it comes again and again.

    period: samples from 1 to 1, >= 1; impulses: how many, >= 1.   Returns: ((impulses - 1) period + 1).
    Raises ModelError for smaller numbers.

    >>> dirac_train(3, 3).tolist()
    [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    _at_least_one("period", period)
    _at_least_one("impulses", impulses)
    train = torch.zeros((impulses - 1) * period + 1, dtype=dtype)
    train[::period] = 1
    return train


def _middle(size: int) -> int:
    if size < 1 or size % 2 == 0:
        raise ModelError(
            f"a kernel with a middle has an odd number of taps a side. Received: size={size}",
            f"size={max(size, 0) + 1} has one",
        )
    return size // 2


def _at_least_one(name: str, number: int) -> None:
    if number < 1:
        raise ModelError(f"{name} is at least 1. Received: {name}={number}")


# Those that need no argument, for a list to choose from.
NAMED: dict[str, Callable[[], Tensor]] = {
    function.__name__: function
    for function in (
        identity,
        box,
        gaussian_5x5,
        sharpen,
        laplacian,
        sobel,
        vertical_edge,
        horizontal_edge,
    )
}
