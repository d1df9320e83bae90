"""The window that convolution and pooling share: where it stands, and what lies under each of its taps.

Source: Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, chapters 2 and 3.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from striate.errors import DoesNotFit, ModelError
from striate.ops.size import Axis, misfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

Numbers = int | tuple[int, ...]  # one for all axes, or one for each
Padding = str | Numbers | tuple[tuple[int, int], ...]


def total_padding(*total: int) -> tuple[tuple[int, int], ...]:
    """Spell a padding that is counted over both sides together, as in the formula (n - k + p)/s + 1.

    total: zeros before and after together, one number for all axes or one for each.
    Returns: pairs (before, after) for the padding of any function of striate.ops; an odd zero goes after.
    Raises ModelError if a total is negative or none is given.

    >>> total_padding(2), total_padding(3, 4)
    (((1, 1),), ((1, 2), (2, 2)))
    """
    totals = per_axis("total", total, max(1, len(total)), least=0)
    return tuple((p // 2, p - p // 2) for p in totals)


def axes_of(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    ceil: bool = False,
) -> list[Axis]:
    """Describe how a window slides along each axis.

    sizes, kernel: pixels and taps, one for each axis; ceil: a last window may hang over the edge.
    Raises DoesNotFit if the window fits nowhere, ModelError if a number is out of range.

    >>> [axis.positions for axis in axes_of((32, 20), (5, 3), padding="same")]
    [32, 20]
    """
    space = len(sizes)
    sizes, kernel = per_axis("size", tuple(sizes), space), per_axis("kernel", tuple(kernel), space)
    strides, dilations = per_axis("stride", stride, space), per_axis("dilation", dilation, space)
    if padding == "same":
        if max(strides) > 1:
            raise ModelError(
                f"'same' keeps the size, which a stride does not. Received: padding='same', stride={stride}",
                "give the zeros for each side as a number",
            )
        # k taps at distance d reach over d (k - 1) + 1 pixels, so a size is kept by d (k - 1) zeros.
        padding = total_padding(*(d * (k - 1) for d, k in zip(dilations, kernel, strict=True)))
    numbers = zip(sizes, kernel, strides, _pairs(padding, space), dilations, strict=True)
    axes = [Axis(*of_one, ceil) for of_one in numbers]
    if min(axis.positions for axis in axes) < 1:
        raise DoesNotFit(*misfit(axes))
    return axes


def shifted(x: Tensor, axes: Sequence[Axis], fill: float = 0.0) -> Iterator[Tensor]:
    """Give for each tap what lies under it while the window stands at each of its places.

    x: (N, C, H, W) with an axis for each of H and W, or (N, C, L) with one; fill: the value of the padding.
    Yields: (N, C, H', W') or (N, C, L') for each tap (a, b), row by row: the padded x, every stride-th pixel
    from (d a, d b) on.

    >>> x = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> [under.tolist() for under in shifted(x, [Axis(4, 2, stride=2)])]
    [[[[1.0, 4.0]]], [[[2.0, 8.0]]]]
    """
    around: list[int] = []
    for axis in reversed(axes):  # F.pad counts the axes from the last
        before, after = axis.padding
        reach = (axis.positions - 1) * axis.stride + axis.extent
        # Where a pool rounds up, the last window hangs over even the padding.
        around += [before, max(after, reach - axis.n - before)]
    padded = F.pad(x, around, value=fill)
    for tap in itertools.product(*(range(axis.kernel) for axis in axes)):
        under: list[slice] = []
        for a, axis in zip(tap, axes, strict=True):
            first = a * axis.dilation
            last = first + (axis.positions - 1) * axis.stride
            under.append(slice(first, last + 1, axis.stride))
        yield padded[:, :, *under]


def per_axis(name: str, value: Numbers, space: int, *, least: int = 1) -> tuple[int, ...]:
    """Give one number for each axis, and refuse what cannot be meant.

    >>> per_axis("stride", 2, 2)
    (2, 2)
    """
    numbers = value if isinstance(value, tuple) else (value,) * space
    if len(numbers) != space or not all(_is_count(number, least) for number in numbers):
        raise ModelError(
            f"{name} is a whole number >= {least}, or one for each axis. Received: {name}={value!r}",
            "one axis: one number" if space == 1 else f"{space} axes: one number, or a tuple of {space}",
        )
    return numbers


def _pairs(padding: Padding, space: int) -> tuple[tuple[int, int], ...]:
    """Read a padding as (before, after) for each axis."""
    padding = 0 if padding == "valid" else padding
    sides: Any = padding if isinstance(padding, tuple) else (padding,) * space
    if len(sides) == 1 and isinstance(sides[0], tuple):
        sides *= space  # one pair is for all axes
    pairs = tuple(side if isinstance(side, tuple) else (side, side) for side in sides)
    good = all(len(pair) == 2 and all(_is_count(side, 0) for side in pair) for pair in pairs)
    if len(pairs) != space or not good:
        raise ModelError(
            f"padding is not one for {'1 axis' if space == 1 else '2 axes'}. Received: padding={padding!r}",
            "'valid', 'same', zeros per side (one number, or one for each axis), or ((before, after), ...)",
        )
    return pairs


def _is_count(number: object, least: int) -> bool:
    # True is the number 1 to Python, but as a stride it is a slip.
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def check_tensor(name: str, value: Tensor, like: Tensor | None = None) -> None:
    """Refuse what is no floating tensor, or not of the type of another one."""
    if not isinstance(value, torch.Tensor):
        raise ModelError(
            f"{name} is not a tensor. Received: {type(value).__name__}",
            "torch.tensor(...) makes one of a list, torch.from_numpy(...) one of an array",
        )
    if not value.is_floating_point():
        raise ModelError(
            f"{name} holds no floating numbers. Received: {value.dtype}", f"{name}.double() does"
        )
    if like is not None and value.dtype != like.dtype:
        raise ModelError(
            f"x and {name} are not of one type. Received: x {like.dtype}, {name} {value.dtype}",
            f"{name}.to(x.dtype); the functions of striate.ops.kernels take dtype=",
        )


def check_maps(x: Tensor) -> None:
    """Refuse what is neither pictures (N, C, H, W) nor signals (N, C, L)."""
    check_tensor("x", x)
    if x.dim() not in {3, 4}:
        raise ModelError(
            f"x is neither pictures (N, C, H, W) nor signals (N, C, L). Received: x {shape_of(x)}",
            "a single picture of one channel: x[None, None]",
        )


def shape_of(value: Tensor | tuple[int, ...]) -> str:
    """Write a shape as this project does.

    >>> shape_of(torch.zeros(2, 1, 5, 5))
    '(2, 1, 5, 5)'
    """
    return str(tuple(value.shape if isinstance(value, torch.Tensor) else value))
