"""What the values of a tensor see along one axis of the input, and what operators do to that.

Bounds are kept only as often as they differ: along channels that see the same, once; along units that are
evenly spaced, for the first unit only. A window takes the outermost bounds of what it covers. The padding of
evenly spaced units goes on in the same steps, below 0 and behind the last pixel; any other sees nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce as fold
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOTHING = 1 << 40  # first > last: a value that sees no pixel
LARGEST = 1 << 21  # values: bounds that differ in more of them are not kept


@dataclass(frozen=True, eq=False)
class Axis:
    """What is seen along one input axis.

    first, last: pixels, of the tensor's rank, with size 1 along axes where they do not change.
    dim: the tensor's axis, counted from the end, along which units walk over this input axis, if any.
    step: pixels from one unit to the next, if all n units are evenly spaced; first and last are then those of
    unit 0, with size 1 along dim.
    """

    first: Tensor
    last: Tensor
    dim: int | None = None
    step: int | None = None
    n: int = 1


Seen = tuple[Axis, ...]  # one for each spatial axis of the input


class Unknown(Exception):  # noqa: N818 - no error: an operator that is not followed
    """What this operator's values see is not known."""


def spelled(axis: Axis) -> Axis:
    """Write the bounds of evenly spaced units out, one by one."""
    if axis.step is None or axis.dim is None:
        return axis
    shape = [axis.n if i == axis.dim else 1 for i in range(-axis.first.dim(), 0)]
    steps = (torch.arange(axis.n) * axis.step).view(shape)
    return Axis(axis.first + steps, axis.last + steps, axis.dim)


def evenly(axis: Axis, step: int | None = None) -> Axis:
    """Find out whether units are evenly spaced; step: what is taken for true of a single one."""
    dim = axis.dim
    if dim is None or axis.step is not None or 0 in axis.first.shape:
        return axis
    n = max(axis.first.shape[dim], axis.last.shape[dim])
    if n > 1:
        changes = torch.cat(
            [
                bounds.expand(_with(bounds.shape, dim, n)).diff(dim=dim).flatten()
                for bounds in (axis.first, axis.last)
            ]
        )
        step = int(changes[0])
        step = step if bool((changes == step).all()) else None
    if not step:
        return axis
    return Axis(axis.first.narrow(dim, 0, 1), axis.last.narrow(dim, 0, 1), dim, step, n)


def _with(shape: Sequence[int], dim: int, size: int) -> list[int]:
    return [size if i == dim else n for i, n in enumerate(shape, -len(shape))]


def is_flat(axis: Axis, dim: int) -> bool:
    """Tell whether nothing changes along an axis of the tensor."""
    return axis.first.shape[dim] == 1 == axis.last.shape[dim] and not (axis.dim == dim and axis.step)


def join(several: Sequence[Seen], rank: int) -> Seen:
    """Unite what several tensors see; they are broadcast together."""
    aligned = [[to_rank(axis, rank) for axis in seen] for seen in several]
    return tuple(fold(_unite, column) for column in zip(*aligned, strict=True))


def _unite(one: Axis, other: Axis) -> Axis:
    if one is other:
        return one
    if one.dim == other.dim and one.step == other.step and one.n == other.n:
        dim, step, n = one.dim, one.step, one.n
    else:
        # What is the same everywhere has no places of its own: the other one's count.
        everywhere = [
            axis.dim is None and axis.first.numel() == 1 == axis.last.numel() for axis in (one, other)
        ]
        dim = other.dim if everywhere[0] or one.dim == other.dim else one.dim if everywhere[1] else None
        one, other, step, n = spelled(one), spelled(other), None, 1
    return Axis(torch.minimum(one.first, other.first), torch.maximum(one.last, other.last), dim, step, n)


def read(axis: Axis, dim: int, n: int, places: Tensor, *, fill: bool = False) -> Axis:
    """Let unit u see what the places[u] of an axis of n values see; places outside of it see nothing.

    fill: write them out even where all values see the same.
    """
    if is_flat(axis, dim) and not fill:
        return axis
    if axis.dim == dim:
        axis = spelled(axis)
    inside, nearest = (places >= 0) & (places < n), places.clamp(0, n - 1)

    def read(bounds: Tensor, nothing: int, outermost: Any) -> Tensor:
        values = bounds.movedim(dim, -1)
        values = values.expand(*values.shape[:-1], n)[..., nearest]
        united: Tensor = outermost(values.masked_fill(~inside, nothing), -1)
        return united.movedim(-1, dim)

    return replace(
        axis, first=read(axis.first, NOTHING, torch.amin), last=read(axis.last, -NOTHING, torch.amax)
    )


def slide(axis: Axis, dim: int, n: int, units: int, window: tuple[int, int, int, int]) -> Axis:
    """Put windows on an axis of n values; window: kernel, stride, padding before, dilation."""
    if is_flat(axis, dim) or (window == (1, 1, 0, 1) and units == n):
        return axis
    kernel, stride, padding, dilation = window
    if axis.dim == dim and axis.step is not None:
        begin, reach = -padding * axis.step, (kernel - 1) * dilation * axis.step
        first, last = axis.first + (begin + min(reach, 0)), axis.last + (begin + max(reach, 0))
        return Axis(first, last, dim, axis.step * stride, units)
    starts = torch.arange(units) * stride - padding
    return read(axis, dim, n, starts[:, None] + torch.arange(kernel) * dilation)


def slide_transposed(axis: Axis, dim: int, n: int, units: int, window: tuple[int, int, int, int]) -> Axis:
    """Put the windows of a transposed convolution on an axis of n values."""
    kernel, stride, padding, dilation = window
    # Output u is fed by input j through tap t where u = j stride - padding + t dilation.
    reach = torch.arange(units)[:, None] + padding - dilation * torch.arange(kernel)
    fed = torch.where(reach % stride == 0, reach.div(stride, rounding_mode="floor"), -1)
    holes = ((fed < 0) | (fed >= n)).all(1).any()  # values that nothing feeds
    return evenly(read(axis, dim, n, fed, fill=bool(holes)))


def padded(axis: Axis, dim: int, n: int, units: int, before: int, seen: Seen) -> Axis:
    if axis.dim == dim and axis.step is not None:
        return slide(axis, dim, n, units, (1, 1, before, 1))
    places = torch.arange(units)[:, None] - before
    # New channels see nothing; new rows, of what lies along columns, are as good as the old ones.
    is_channel = all(other.dim != dim for other in seen)
    return read(axis, dim, n, places, fill=is_channel and bool(((places < 0) | (places >= n)).any()))


def reduce(axis: Axis, dims: Sequence[int]) -> Axis:
    """Unite along axes of the tensor, which stay with size 1."""
    if axis.dim not in dims and all(is_flat(axis, dim) for dim in dims):
        return axis
    first, last, dim, step, n = axis.first, axis.last, axis.dim, axis.step, axis.n
    if dim in dims:
        if step is not None:
            span = (n - 1) * step
            first, last = first + min(span, 0), last + max(span, 0)
        dim, step, n = None, None, 1  # one place is left: nothing to walk along
    low = [i for i in dims if first.shape[i] > 1]
    high = [i for i in dims if last.shape[i] > 1]
    first = first.amin(low, keepdim=True) if low else first
    last = last.amax(high, keepdim=True) if high else last
    return Axis(first, last, dim, step, n)


def running(axis: Axis, dim: int) -> Axis:
    """Unite, for each place along an axis of the tensor, what it and those before it see."""
    if is_flat(axis, dim):
        return axis
    axis = spelled(axis) if axis.dim == dim else axis
    return replace(axis, first=axis.first.cummin(dim).values, last=axis.last.cummax(dim).values)


def drop(axis: Axis, dims: Sequence[int]) -> Axis:
    """Take out axes of the tensor along which nothing changes."""
    first, last = (bounds.squeeze(tuple(dims)) for bounds in (axis.first, axis.last))
    dim = None if axis.dim is None else axis.dim + sum(i > axis.dim for i in dims)
    return replace(axis, first=first, last=last, dim=dim)


def to_rank(axis: Axis, rank: int) -> Axis:
    """Put axes of size 1 in front, as broadcasting does."""
    if axis.first.dim() == rank:
        return axis
    more = [1] * (rank - axis.first.dim())
    return replace(
        axis, first=axis.first.view(*more, *axis.first.shape), last=axis.last.view(*more, *axis.last.shape)
    )


def grouped(axis: Axis, dim: int, n: int, units: int, groups: int) -> Axis:
    """Unite the channels of each group; units: channels of the result."""
    if groups == 1 or is_flat(axis, dim):
        return reduce(axis, [dim])
    own = torch.arange(units)[:, None] // (units // groups)
    return read(axis, dim, n, own * (n // groups) + torch.arange(n // groups))


# Moving axes about


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Cut two shapes of the same number of values into the smallest blocks that hold the same values."""
    blocks: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        ins, outs, left, right = [i], [j], before[i], after[j]
        while left != right:
            if left < right:
                i += 1
                ins.append(i)
                left *= before[i]
            else:
                j += 1
                outs.append(j)
                right *= after[j]
        blocks.append((ins, outs))
        i, j = i + 1, j + 1
    if i < len(before) or j < len(after):  # axes of size 1
        blocks.append((list(range(i, len(before))), list(range(j, len(after)))))
    return blocks


def reshaped(axis: Axis, before: Sequence[int], after: Sequence[int]) -> Axis:
    if 0 in before:
        raise Unknown("no values")
    blocks = _blocks(before, after)
    dim, is_merged = None, False
    if axis.dim is not None:
        own = axis.dim + len(before)
        ins, outs = next(block for block in blocks if own in block[0])
        long = [[i for i in ins if before[i] > 1], [j for j in outs if after[j] > 1]]
        if len(ins) == len(outs) == 1:
            dim = outs[0] - len(after)
        elif long[0] == [own] and len(long[1]) == 1:
            dim = long[1][0] - len(after)
        else:
            axis, is_merged = spelled(axis), True

    def write(bounds: Tensor) -> Tensor:
        sizes, shape = list(bounds.shape), [1] * len(after)
        for ins, outs in blocks:
            if any(sizes[i] > 1 for i in ins):
                sizes[ins[0] : ins[-1] + 1] = before[ins[0] : ins[-1] + 1]
                shape[outs[0] : outs[-1] + 1] = after[outs[0] : outs[-1] + 1]
        if math.prod(shape) > LARGEST:
            raise Unknown("too many values")
        return (
            _compact(bounds.expand(sizes).reshape(shape))
            if is_merged
            else bounds.expand(sizes).reshape(shape)
        )

    moved = replace(axis, first=write(axis.first), last=write(axis.last), dim=dim)
    return _settled(moved) if is_merged else moved


def _compact(bounds: Tensor) -> Tensor:
    """Keep once what is the same all along an axis of the tensor."""
    for i, n in enumerate(bounds.shape):
        if n > 1 and bool((bounds.narrow(i, 0, 1) == bounds).all()):
            bounds = bounds.narrow(i, 0, 1)
    return bounds


def _settled(axis: Axis) -> Axis:
    """Find the axis of the tensor along which units walk, where only one can be it."""
    rank = axis.first.dim()
    varies = [i - rank for i in range(rank) if max(axis.first.shape[i], axis.last.shape[i]) > 1]
    return evenly(replace(axis, dim=varies[0])) if len(varies) == 1 else axis


def permuted(axis: Axis, order: Sequence[int]) -> Axis:
    rank = len(order)
    dim = None if axis.dim is None else [i % rank for i in order].index(axis.dim % rank) - rank
    return replace(axis, first=axis.first.permute(*order), last=axis.last.permute(*order), dim=dim)


def unsqueezed(axis: Axis, at: int) -> Axis:
    rank = axis.first.dim() + 1
    dim = axis.dim if axis.dim is None or axis.dim + rank > at else axis.dim - 1
    return replace(axis, first=axis.first.unsqueeze(at), last=axis.last.unsqueeze(at), dim=dim)


def rearranged(
    axis: Axis, before: Sequence[int], parts: Sequence[int], order: Sequence[int], after: Sequence[int]
) -> Axis:
    """Split axes, put their parts in another order, and merge them again."""
    split = permuted(reshaped(axis, before, parts), order)
    return reshaped(split, [parts[i] for i in order], after)


def moved(axis: Axis, shape: Sequence[int], view: Callable[[Tensor], list[Tensor]]) -> list[Axis]:
    each = spelled(axis)
    firsts, lasts = (view(bounds.expand(shape)) for bounds in (each.first, each.last))
    dims: list[tuple[int | None, int]] = [(None, 1)] * len(firsts)
    if axis.dim is not None:
        # A tensor that takes a stride along this axis only shows which axis of the view it became.
        strides = [MARK if i == axis.dim else 0 for i in range(-len(shape), 0)]
        dims = [
            _marked(made) for made in view(torch.empty(1, device="meta").as_strided(list(shape), strides))
        ]
    made = []
    for first, last, (dim, factor) in zip(firsts, lasts, dims, strict=True):
        one = Axis(_narrow(first), _narrow(last), dim)
        made.append(evenly(one, axis.step and axis.step * factor))
    return made


MARK = 1 << 20


def _marked(view: Tensor) -> tuple[int | None, int]:
    """Find the axis that was marked, and how many places it goes in a step."""
    own = [i - view.dim() for i, stride in enumerate(view.stride()) if stride and stride % MARK == 0]
    own.sort(key=lambda i: (view.stride(i), -i))
    if len([i for i in own if view.shape[i] > 1]) > 1 or not own:
        return None, 1
    return own[0], view.stride(own[0]) // MARK


def _narrow(bounds: Tensor) -> Tensor:
    """Drop the copies along axes that were expanded."""
    for i, (n, stride) in enumerate(zip(bounds.shape, bounds.stride(), strict=True)):
        if stride == 0 and n > 1:
            bounds = bounds.narrow(i, 0, 1)
    return bounds


def catenate(pieces: Sequence[tuple[Sequence[int], Seen | None]], dim: int, out: Sequence[int]) -> Seen:
    dim = dim % len(out) - len(out)
    known = [seen for _, seen in pieces if seen is not None]
    axes = []
    for i, axis in enumerate(known[0]):
        several = [None if seen is None else seen[i] for _, seen in pieces]
        if all(one is axis for one in several) and is_flat(axis, dim):
            axes.append(axis)
            continue
        present = [one for one in several if one is not None]
        alike = all((one.dim, one.step, one.n) == (axis.dim, axis.step, axis.n) for one in present)
        keeps = alike and axis.dim != dim
        if not keeps:
            several = [one if one is None else spelled(one) for one in several]
        sizes = [shape[dim] for shape, _ in pieces]
        first = _side_by_side([None if one is None else one.first for one in several], sizes, dim, NOTHING)
        last = _side_by_side([None if one is None else one.last for one in several], sizes, dim, -NOTHING)
        own = axis.dim if len({one.dim for one in present}) == 1 else None
        axes.append(Axis(first, last, own, axis.step, axis.n) if keeps else evenly(Axis(first, last, own)))
    return tuple(axes)


def _side_by_side(several: Sequence[Tensor | None], sizes: Sequence[int], dim: int, nothing: int) -> Tensor:
    rank = next(bounds.dim() for bounds in several if bounds is not None)
    filled = [torch.full([1] * rank, nothing) if bounds is None else bounds for bounds in several]
    shape: Sequence[int] = torch.broadcast_shapes(*(_with(bounds.shape, dim, 1) for bounds in filled))  # type: ignore[no-untyped-call]
    if math.prod(shape) * sum(sizes) > LARGEST:
        raise Unknown("too many values")
    return torch.cat(
        [bounds.expand(_with(shape, dim, size)) for bounds, size in zip(filled, sizes, strict=True)], dim
    )
