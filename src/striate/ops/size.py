"""How often a kernel fits along an axis, what is left over, and which change would make it fit.

Source: Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from striate.errors import DoesNotFit, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Axis:
    """One axis along which a window slides.

    n: pixels of the input; kernel: taps; padding: zeros before and after; dilation: pixels from tap to tap.
    ceil: a last window may hang over the edge, as pooling with ``ceil_mode`` allows.
    """

    n: int
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    ceil: bool = False

    def __post_init__(self) -> None:
        if min(self.n, self.kernel, self.stride, self.dilation) < 1 or min(self.padding) < 0:
            raise ModelError(
                f"No window slides like this. Received: {self}.",
                "n, kernel, stride and dilation must be at least 1, padding at least 0.",
            )

    @property
    def extent(self) -> int:
        """Pixels from the first tap to the last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def exact(self) -> Fraction:
        """Positions before rounding, (n + before + after - extent)/stride + 1."""
        return Fraction(self.n + sum(self.padding) - self.extent, self.stride) + 1

    @property
    def positions(self) -> int:
        """Positions as torch counts them; below 1 where not even one window fits."""
        if not self.ceil:
            return self.exact.__floor__()
        up = self.exact.__ceil__()  # a window that would start behind the input is left out
        return up - 1 if (up - 1) * self.stride >= self.n + self.padding[0] else up

    @property
    def last(self) -> int:
        """The last pixel that any window reads; 0 is the input's first, padding before it is negative."""
        return (self.positions - 1) * self.stride - self.padding[0] + self.extent - 1

    @property
    def left_over(self) -> int:
        """Pixels of the padded input behind the last window."""
        return max(0, self.n + self.padding[1] - 1 - self.last)

    @property
    def never_seen(self) -> int:
        """Pixels of the input itself behind the last window: what a flooring stride loses."""
        return max(0, self.n - 1 - self.last)

    @property
    def fits(self) -> bool:
        """Whether at least one window fits and none of the padded input is left over."""
        return self.positions >= 1 and (self.ceil or self.exact.denominator == 1)

    def formula(self) -> str:
        """Write the sum out.

        >>> Axis(32, 5, padding=(2, 2)).formula()
        '(32 - 5 + 2*2)/1 + 1 = 32'
        >>> Axis(7, 3, stride=3).formula()
        '(7 - 3)/3 + 1 = 2.33'
        """
        before, after = self.padding
        padded = (
            "" if before == after == 0 else f" + 2*{before}" if before == after else f" + {before} + {after}"
        )
        extent = f"{self.extent}" if self.dilation == 1 else f"({self.dilation}*({self.kernel} - 1) + 1)"
        exact = f"{self.exact}" if self.exact.denominator == 1 else f"{float(self.exact):.2f}"
        return f"({self.n} - {extent}{padded})/{self.stride} + 1 = {exact}"


def output_size(
    n: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int = 1,
) -> int:
    """Count the positions of a kernel along one axis.

    n, kernel, stride, dilation: pixels, >= 1; padding: per side, or (before, after).   Returns: positions.
    Raises DoesNotFit if pixels are left over behind the last window (torch would floor), or if not even one
    window fits; its hint names what would fit.
    Source: Dumoulin and Visin 2016, relationship 6.

    >>> output_size(7, 3, stride=2)
    3
    """
    axis = Axis(n, kernel, stride, (padding, padding) if isinstance(padding, int) else padding, dilation)
    if not axis.fits:
        message, hint = misfit([axis])
        raise DoesNotFit(message, hint)
    return axis.positions


def misfit(axes: Sequence[Axis], *, pools: bool = False) -> tuple[str, str]:
    """Say in words how a window does not fit: what is lost, and what would fit.

    axes: one for each axis of the input; at least one of them does not fit.
    pools: for pooling, whose padding may not exceed half of the kernel.

    >>> message, hint = misfit([Axis(7, 3, stride=3)] * 2)
    >>> message
    '7x7 input, 3x3 kernel, stride 3: (7 - 3)/3 + 1 = 2.33'
    >>> hint
    '2 fit, the last row and column are never seen; padding 1 gives 3x3'
    """
    wrong = min((axis for axis in axes if not axis.fits), key=lambda axis: axis.positions >= 1)
    strides = {axis.stride for axis in axes}
    size, kernel = _times(axis.n for axis in axes), _times(axis.kernel for axis in axes)
    stride = _times(axis.stride for axis in axes) if len(strides) > 1 else f"{wrong.stride}"
    what = f"{size} input, {kernel} kernel" if len(axes) > 1 else f"input {size}, kernel {kernel}"
    return f"{what}, stride {stride}: {wrong.formula()}", f"{_lost(axes)}; {_fix(axes, pools=pools)}"


def _lost(axes: Sequence[Axis]) -> str:
    if any(axis.positions < 1 for axis in axes):
        return "not even one window fits"
    fit = (
        _times(axis.positions for axis in axes) if len({a.positions for a in axes}) > 1 else axes[0].positions
    )
    words = ("row", "column") if len(axes) == 2 else ("value",)
    lost = [(axis.never_seen, word) for axis, word in zip(axes, words, strict=False) if axis.never_seen]
    if not lost:
        return f"{fit} fit, only padding is left over"
    if len({count for count, _ in lost}) == 1 and len(lost) == 2:
        count = lost[0][0]
        last = "the last row and column" if count == 1 else f"the last {count} rows and columns"
        return f"{fit} fit, {last} are never seen"
    told = " and ".join(f"the last {word}" if n == 1 else f"the last {n} {word}s" for n, word in lost)
    return f"{fit} fit, {told} {'is' if len(lost) == 1 and lost[0][0] == 1 else 'are'} never seen"


def _fix(axes: Sequence[Axis], *, pools: bool) -> str:
    # Padding that fits is the smallest change; where the stride leaves none, only another input size helps.
    most = min(axis.kernel // 2 + 1 if pools else axis.extent for axis in axes)
    for padding in range(most):
        padded = [replace(axis, padding=(padding, padding)) for axis in axes]
        if (padding, padding) != axes[0].padding and all(axis.fits for axis in padded):
            return f"padding {padding} gives {_times(axis.positions for axis in padded)}"
    grown = [
        next(
            a for n in range(axis.n, axis.n + axis.extent + axis.stride + 1) if (a := replace(axis, n=n)).fits
        )
        for axis in axes
    ]
    return f"an input of {_times(a.n for a in grown)} gives {_times(a.positions for a in grown)}"


def _times(numbers: object) -> str:
    return "x".join(str(number) for number in numbers)  # type: ignore[attr-defined]
