"""Which input pixels each value of a tensor can depend on, followed operator by operator.

For every input axis a tensor carries the first and the last pixel that each of its values sees, kept only as
often as they differ. A view of a tensor is then the same view of these bounds, and a window takes the
outermost bounds of what it covers. Padding lies outside of the picture, below 0 or behind the last pixel, so
that the classical formula comes out: unit u sees P + u S ... P + u S + r - 1, for size r, stride S and offset
P.
Source: Araujo, Norris and Sim 2019, Computing receptive fields of convolutional networks (Distill).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from striate.summary import count
from striate.summary.result import ReceptiveField
from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

aten = torch.ops.aten
NOTHING = 1 << 40  # first > last: a value that sees no pixel
LARGEST = 1 << 24  # values: bounds that differ from value to value are not kept beyond this


class Even(NamedTuple):
    """Units evenly spaced: unit u of ``size`` sees start + u step ... start + u step + width - 1."""

    start: int
    step: int
    width: int
    size: int
    rank: int


class Axis:
    """What is seen along one input axis.

    first, last: pixels, of the tensor's rank, with size 1 along axes where they do not change.
    dim: the tensor's axis, counted from the end, along which units walk over this input axis, if any.
    step: pixels from one unit to the next.   even: the same in five numbers, where that is enough.
    """

    def __init__(
        self,
        first: Tensor | None,
        last: Tensor | None,
        dim: int | None,
        step: Fraction | None,
        even: Even | None = None,
    ) -> None:
        self._bounds = None if first is None or last is None else (first, last)
        self.dim, self.step, self.even = dim, step, even

    @classmethod
    def evenly(cls, even: Even, dim: int) -> Axis:
        """Make an axis of five numbers; its bounds are written out when they are asked for."""
        return cls(None, None, dim, Fraction(even.step), even)

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """First and last pixel."""
        if self._bounds is None:
            assert self.even is not None
            assert self.dim is not None
            first = torch.arange(self.even.size) * self.even.step + self.even.start
            first = first.view([-1 if i == self.dim else 1 for i in range(-self.even.rank, 0)])
            self._bounds = first, first + (self.even.width - 1)
        return self._bounds

    @property
    def first(self) -> Tensor:
        """The first pixel that each value sees."""
        return self.bounds[0]

    @property
    def last(self) -> Tensor:
        """The last pixel that each value sees."""
        return self.bounds[1]


Seen = tuple[Axis, ...]  # one for each spatial axis of the input


class Unknown(Exception):  # noqa: N818 - no error: an operator that is not followed
    """What this operator's values see is not known."""


def of_input(x: Tensor, spatial: Iterable[int]) -> Seen:
    """Describe the input: each value sees its own place. spatial: its axes that count as places."""
    return tuple(Axis.evenly(Even(0, 1, 1, x.shape[axis], x.dim()), axis - x.dim()) for axis in spatial)


def field(seen: Seen) -> ReceptiveField:
    """Sum up what a tensor's units see: the widest, the step between them, where the first one begins."""
    size: list[int] = []
    stride: list[float | None] = []
    offset: list[int] = []
    for axis in seen:
        if axis.even is not None:
            size.append(axis.even.width)
            stride.append(axis.even.step)
            offset.append(axis.even.start)
            continue
        first, last = axis.first, axis.last
        if first.dim() > 2:  # the channels of one place count as one unit
            first, last = first.amin(1), last.amax(1)
        wide = int((last - first).max()) + 1
        size.append(max(wide, 0))
        step = axis.step
        stride.append(None if step is None else int(step) if step.denominator == 1 else float(step))
        offset.append(int(first.flatten()[0]) if wide > 0 else 0)
    return ReceptiveField(tuple(size), tuple(stride), tuple(offset))


def seen_by(
    func: Any, args: tuple[Any, ...], out: Any, seen: Callable[[Any], Seen | None]
) -> list[Seen] | None:
    """Say what each result of an operator sees; None for a constant.

    seen: gives what a tensor sees, None for a constant.  Raises Unknown where the operator is not followed.
    """
    known = [one for tensor in tensors(args) if (one := seen(tensor)) is not None]
    if not known:
        return None
    made = tensors(out)
    name = func.overloadpacket.__name__
    rule = RULES.get(name.removesuffix("_") or name)
    if rule is not None:
        return [rule(func, args, made[0], seen)] * len(made)
    if count.is_pointwise(func):
        return [_join(known)] * len(made)
    if (count.is_view(func) or name in MOVES) and len(known) == 1 and seen(args[0]) is known[0]:
        return _move(known[0], func, args)
    raise Unknown(name)


# Bounds


def _join(several: Sequence[Seen]) -> Seen:
    """Unite what several tensors see; they are broadcast together."""
    first, *more = several
    return tuple(reduce(_unite, [other[i] for other in more], axis) for i, axis in enumerate(first))


def _unite(one: Axis, other: Axis) -> Axis:
    if one is other:
        return one
    if one.even is not None and other.even is not None and one.dim == other.dim:
        mine, theirs = one.even, other.even
        if mine[1] == theirs[1] and mine[3:] == theirs[3:]:
            start = min(mine.start, theirs.start)
            end = max(mine.start + mine.width, theirs.start + theirs.width)
            assert one.dim is not None
            return Axis.evenly(mine._replace(start=start, width=end - start), one.dim)
    dim, step = one.dim, one.step
    if (one.dim, one.step) != (other.dim, other.step):
        # What is the same everywhere has no places of its own: the other one's count.
        whole = [axis.first.numel() == 1 and axis.dim is None for axis in (one, other)]
        if whole[0] != whole[1]:
            dim, step = (other.dim, other.step) if whole[0] else (one.dim, one.step)
        else:
            dim, step = (
                (one.dim if one.dim == other.dim else None),
                (one.step if one.step == other.step else None),
            )
    return Axis(torch.minimum(one.first, other.first), torch.maximum(one.last, other.last), dim, step)


def _gather(axis: Axis, dim: int, size: int, starts: Tensor, ends: Tensor, factor: Fraction | None) -> Axis:
    """Slide along one axis of the tensor: unit u covers starts[u] ... ends[u], perhaps in the padding."""
    if axis.dim != dim and axis.first.shape[dim] == 1 == axis.last.shape[dim]:
        return axis
    low, high = axis.first.movedim(dim, -1), axis.last.movedim(dim, -1)
    slope = int(axis.step) if axis.step is not None and axis.step.denominator == 1 else 1
    low = torch.minimum(_at(low, starts, size, slope), _at(low, ends, size, slope))
    high = torch.maximum(_at(high, starts, size, slope), _at(high, ends, size, slope))
    step = axis.step * factor if axis.step is not None and factor is not None else None
    return Axis(low.movedim(-1, dim), high.movedim(-1, dim), axis.dim, step)


def _at(bounds: Tensor, places: Tensor, size: int, slope: int) -> Tensor:
    """Read bounds along their last axis, going on in the same steps beyond its ends."""
    if bounds.shape[-1] == 1 < size:
        bounds = bounds.expand(*bounds.shape[:-1], size)
    inside = places.clamp(0, size - 1)
    read = bounds[..., inside]
    if bool((inside == places).all()):
        return _in_order(bounds, read)
    if size == 1:
        return read + (places - inside) * slope
    front, back = bounds[..., 1] - bounds[..., 0], bounds[..., -1] - bounds[..., -2]
    outside = places - inside
    return _in_order(
        bounds, read + torch.where(outside < 0, front.unsqueeze(-1), back.unsqueeze(-1)) * outside
    )


def _in_order(bounds: Tensor, read: Tensor) -> Tensor:
    # The ends of a window are its outermost pixels only where bounds run one way.
    change = bounds.diff(dim=-1)
    if bool((change < 0).any()) and bool((change > 0).any()):
        raise Unknown("window over an axis out of order")
    return read


def _over(seen: Seen, dims: Sequence[int], like: Tensor, *, keep: bool = True) -> Seen:
    """Unite along axes of a tensor of the shape of ``like``; with keep they stay, with size 1."""
    rank = like.dim()
    dims = [dim % rank - rank for dim in dims] or list(range(-rank, 0))
    axes = []
    for axis in seen:
        if axis.even is not None and keep and axis.dim not in dims:
            axes.append(axis)
            continue
        low, high, step, dim = axis.first, axis.last, axis.step, axis.dim
        for one in dims:
            if low.shape[one] > 1 or high.shape[one] > 1:
                low, high = low.amin(one, keepdim=True), high.amax(one, keepdim=True)
        dim = None if dim in dims else dim  # one place is left: nothing to walk along
        if not keep:
            for one in sorted(dims):  # from the front: places counted from the end stay true
                low, high = low.squeeze(one), high.squeeze(one)
            dim = dim and dim + sum(one > dim for one in dims)
        axes.append(Axis(low, high, dim, step))
    return tuple(axes)


def _whole(seen: Seen, rank: int) -> Seen:
    """Let every value see what any value saw."""
    return tuple(
        Axis(axis.first.amin().view([1] * rank), axis.last.amax().view([1] * rank), None, axis.step)
        for axis in seen
    )


# Rules, one for each kind of operator: (operator, arguments, first result, seen) -> what is seen

Rule = Any


def _need(one: Seen | None) -> Seen:
    if one is None:
        raise Unknown("constant")
    return one


def _with(main: Seen | None, *others: tuple[Any, Callable[[Any], Seen | None]]) -> Seen:
    known = [main] if main is not None else []
    known += [
        one for tensor, seen in others if isinstance(tensor, Tensor) and (one := seen(tensor)) is not None
    ]
    return _join(known)


def _windows(
    seen: Seen, x: Tensor, out: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Seen:
    for i, (k, s, p, d) in enumerate(zip(kernel, stride, padding, dilation, strict=True)):
        dim, extent = i - len(kernel), d * (k - 1)
        if (extent, s, p) == (0, 1, 0):
            continue
        seen = tuple(_slide(axis, dim, x.shape[dim], out.shape[dim], s, p, extent) for axis in seen)
    return seen


def _slide(axis: Axis, dim: int, size: int, units: int, stride: int, padding: int, extent: int) -> Axis:
    """Put windows on one axis of the tensor; extent: places from the first tap to the last."""
    if (even := axis.even) is not None:
        if axis.dim != dim:
            return axis
        start, width = even.start - padding * even.step, even.width + extent * abs(even.step)
        if even.step > 0:
            return Axis.evenly(Even(start, even.step * stride, width, units, even.rank), dim)
    starts = torch.arange(units) * stride - padding
    return _gather(axis, dim, size, starts, starts + extent, Fraction(stride))


def _channels(seen: Seen, x: Tensor, out: Tensor, dim: int, groups: int) -> Seen:
    """Unite the channels that a convolution adds up."""
    if all(axis.even is not None or axis.first.shape[dim] == 1 == axis.last.shape[dim] for axis in seen):
        return seen
    if groups == 1:
        return _over(seen, [dim], x)

    def grouped(bounds: Tensor, outermost: Any) -> Tensor:
        full = bounds.movedim(dim, -1)
        full = full.expand(*full.shape[:-1], x.shape[dim])
        full = full.reshape(*full.shape[:-1], groups, x.shape[dim] // groups)
        united: Tensor = outermost(full, -1)
        return united.repeat_interleave(out.shape[dim] // groups, -1).movedim(-1, dim)

    return tuple(
        Axis(grouped(axis.first, torch.amin), grouped(axis.last, torch.amax), axis.dim, axis.step)
        for axis in seen
    )


def _convolution(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    x, weight, _, stride, padding, dilation, transposed, _, groups = args
    if seen(weight) is not None:
        return _whole(_with(seen(x), (weight, seen)), out.dim())
    kernel = weight.shape[2:]
    axes = len(kernel)
    one = _channels(_need(seen(x)), x, out, -axes - 1, groups)
    stride, padding, dilation = (list(v) * (axes if len(v) == 1 else 1) for v in (stride, padding, dilation))
    if not transposed:
        return _windows(one, x, out, kernel, stride, padding, dilation)
    for i in range(axes):
        dim = i - axes
        # Output u is fed by input j through tap t where u = j stride - padding + t dilation.
        reach = torch.arange(out.shape[dim])[:, None] + padding[i] - dilation[i] * torch.arange(kernel[i])
        fed = reach.div(stride[i], rounding_mode="floor")
        meets = (reach % stride[i] == 0) & (fed >= 0) & (fed < x.shape[dim])
        starts = torch.where(meets, fed, NOTHING).amin(1)
        ends = torch.where(meets, fed, -1).amax(1)
        one = tuple(_fed(axis, dim, x.shape[dim], starts, ends, Fraction(1, stride[i])) for axis in one)
    return one


def _fed(axis: Axis, dim: int, size: int, starts: Tensor, ends: Tensor, factor: Fraction) -> Axis:
    nothing = starts > ends
    slid = _gather(axis, dim, size, starts.clamp(max=size - 1), ends.clamp(min=0), factor)
    if not bool(nothing.any()) or slid is axis:
        return slid
    mask = nothing.view([-1 if i == dim % slid.first.dim() else 1 for i in range(slid.first.dim())])
    first, last = slid.first.masked_fill(mask, NOTHING), slid.last.masked_fill(mask, -NOTHING)
    return Axis(first, last, slid.dim, slid.step)


def _max_pool(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    x, kernel, stride, padding, dilation = (*args, *[()] * (5 - len(args)))[:5]
    axes = len(kernel)
    return _windows(
        _need(seen(x)), x, out, kernel, stride or kernel, padding or [0] * axes, dilation or [1] * axes
    )


def _average_pool(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    x, kernel, stride, padding = (*args, *[()] * (4 - len(args)))[:4]
    axes = len(kernel)
    stride, padding = stride or kernel, padding or [0] * axes
    return _windows(_need(seen(x)), x, out, kernel, stride, padding, [1] * axes)


def _adaptive_pool(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    one = _need(seen(args[0]))
    for i in range(len(args[1])):
        dim = i - len(args[1])
        size, units = args[0].shape[dim], out.shape[dim]
        unit = torch.arange(units)
        starts = unit * size // units
        ends = -((-(unit + 1) * size) // units) - 1
        factor = Fraction(size, units) if size % units == 0 else None
        one = tuple(_gather(axis, dim, size, starts, ends, factor) for axis in one)
    return one


def _pad(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    one, x = _need(seen(args[0])), args[0]
    for i in range(len(args[1]) // 2):
        dim = -1 - i
        places = torch.arange(out.shape[dim]) - args[1][2 * i]
        if dim < -x.dim() + 2:  # channels and batch: what is put in sees nothing, and hides nothing
            places = places.clamp(0, x.shape[dim] - 1)
        one = tuple(_gather(axis, dim, x.shape[dim], places, places, Fraction(1)) for axis in one)
    return one


def _mirror(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    one, x = _need(seen(args[0])), args[0]
    reflects = "reflection" in _func.overloadpacket.__name__
    for i in range(len(args[1]) // 2):
        dim, size = -1 - i, x.shape[-1 - i]
        places = torch.arange(out.shape[dim]) - args[1][2 * i]
        if reflects:
            places = (size - 1) - (places.abs() - (size - 1)).abs()
        places = places.clamp(0, size - 1)
        # The mirror turns the order round, so that its windows are united as they come.
        one = tuple(_picked(axis, dim, size, places) for axis in one)
    return one


def _picked(axis: Axis, dim: int, size: int, places: Tensor) -> Axis:
    if axis.dim != dim and axis.first.shape[dim] == 1 == axis.last.shape[dim]:
        return axis
    first, last = (
        (bounds.movedim(dim, -1).expand(*bounds.movedim(dim, -1).shape[:-1], size))[..., places].movedim(
            -1, dim
        )
        for bounds in (axis.first, axis.last)
    )
    return Axis(first, last, axis.dim, axis.step)


def _resample(func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    one, x = _need(seen(args[0])), args[0]
    name = func.overloadpacket.__name__
    axes = x.dim() - 2
    for dim in range(-axes, 0):
        size, units = x.shape[dim], out.shape[dim]
        unit = torch.arange(units)
        if "nearest_exact" in name:
            starts = ends = (2 * unit + 1) * size // (2 * units)
        elif "nearest" in name:
            starts = ends = unit * size // units
        elif "linear" in name and "_aa" not in name:
            corners = bool(args[2])
            above, below = (
                (unit * (size - 1), max(units - 1, 1))
                if corners
                else ((2 * unit + 1) * size - units, 2 * units)
            )
            above = above.clamp(min=0)
            starts = above // below
            ends = starts + (above % below > 0)
        else:
            raise Unknown(name)
        factor = Fraction(size, units)
        one = tuple(
            _gather(axis, dim, size, starts.clamp(0, size - 1), ends.clamp(0, size - 1), factor)
            for axis in one
        )
    return one


def _reduction(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    x, one = args[0], _need(seen(args[0]))
    dims = next((a for a in args[1:] if isinstance(a, (list, tuple))), None)
    if dims is None and len(args) > 1 and isinstance(args[1], int) and not isinstance(args[1], bool):
        dims = [args[1]]
    if not dims:
        return _whole(one, out.dim())
    return _over(one, dims, x, keep=out.dim() == x.dim())


def _along(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    """Softmax, running sums, sorting: each value sees the whole of one axis."""
    return _over(_need(seen(args[0])), [args[1]], args[0])


def _layer_norm(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    return _over(_need(seen(args[0])), range(-len(args[1]), 0), args[0])


def _group_norm(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    return _over(_need(seen(args[0])), range(1, args[0].dim()), args[0])


def _batch_norm(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    one = _need(seen(args[0]))
    return _over(one, [0, *range(2, args[0].dim())], args[0]) if args[5] is True else one


def _product(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    *bias, a, b = args[:3] if len(args) > 2 and isinstance(args[2], Tensor) else args[:2]
    known = []
    if (one := seen(a)) is not None:
        known.append(_over(one, [-1], a))
    if (one := seen(b)) is not None:
        one = _over(one, [-2] if b.dim() > 1 else [-1], b)
        known.append(one)
    known += [one for tensor in bias if (one := seen(tensor)) is not None]
    if out.dim() != a.dim():
        return _whole(_join([_whole(one, 1) for one in known]), out.dim())
    return _join(known)


def _attention(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    query, *rest = args[:3]
    known = [_over(one, [-1], query)] if (one := seen(query)) is not None else []
    known += [_over(one, [-2, -1], tensor) for tensor in rest if (one := seen(tensor)) is not None]
    return _join(known)


def _concatenate(_func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    rank, dim = out.dim(), (args[1] if len(args) > 1 else 0) % out.dim() - out.dim()
    pieces = [(tensor, seen(tensor)) for tensor in args[0]]
    known = [one for _, one in pieces if one is not None]
    axes = []
    for i, axis in enumerate(known[0]):
        same = all(one[i] is axis for one in known)
        if same and len(known) == len(pieces) and axis.first.shape[dim] == 1 and axis.dim != dim:
            axes.append(axis)
            continue
        bounds = []
        for empty, which in ((NOTHING, "first"), (-NOTHING, "last")):
            parts = [
                torch.full([1] * rank, empty) if one is None else getattr(one[i], which) for _, one in pieces
            ]
            size = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
                *([*p.shape[:dim], 1, *p.shape[dim:][1:]] for p in parts)
            )
            bounds.append(
                torch.cat(
                    [
                        part.expand([tensor.shape[dim] if j == dim % rank else n for j, n in enumerate(size)])
                        for part, (tensor, _) in zip(parts, pieces, strict=True)
                    ],
                    dim,
                )
            )
        steps, dims = {one[i].step for one in known}, {one[i].dim for one in known}
        axes.append(
            Axis(
                bounds[0],
                bounds[1],
                dims.pop() if len(dims) == 1 else None,
                steps.pop() if len(steps) == 1 else None,
            )
        )
    return tuple(axes)


def _embedding(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    return tuple(
        Axis(axis.first.unsqueeze(-1), axis.last.unsqueeze(-1), axis.dim and axis.dim - 1, axis.step)
        for axis in _need(seen(args[1]))
    )


def _assigned(_func: Any, args: Any, _out: Tensor, seen: Any) -> Seen:
    return _need(seen(args[1]) or seen(args[0]))


def _reshape(func: Any, args: Any, out: Tensor, seen: Any) -> Seen:
    one = _need(seen(args[0]))
    return one if out.shape == args[0].shape else _move(one, func, args, Tensor.reshape)[0]


def _move(seen: Seen, func: Any, args: Any, do: Any = None) -> list[Seen]:
    """Do to the bounds what is done to the values."""
    x, rest, do = args[0], args[1:], do or func
    if math.prod(x.shape) > LARGEST or any(tensor.is_meta for tensor in tensors(rest)):
        raise Unknown(str(func))
    moved: list[list[Axis]] = []
    for axis in seen:
        step = axis.step
        if func.overloadpacket is aten.slice and axis.dim == args[1] % x.dim() - x.dim() and len(args) > 4:
            step = step and step * args[4]
        first = tensors(do(axis.first.expand(x.shape), *rest))
        last = tensors(do(axis.last.expand(x.shape), *rest)) if axis.last is not axis.first else first
        moved.append(
            [
                Axis(
                    a := _compact(low), b := _compact(high), _where(axis.dim, func, args, x, low, a, b), step
                )
                for low, high in zip(first, last, strict=True)
            ]
        )
    return [tuple(column) for column in zip(*moved, strict=True)]


def _compact(bounds: Tensor) -> Tensor:
    """Drop the copies along axes that were expanded."""
    for axis, (size, stride) in enumerate(zip(bounds.shape, bounds.stride(), strict=True)):
        if stride == 0 and size > 1:
            bounds = bounds.narrow(axis, 0, 1)
    return bounds


def _where(
    dim: int | None, func: Any, args: Any, x: Tensor, out: Tensor, low: Tensor, high: Tensor
) -> int | None:
    """Find the axis along which units walk, after a view."""
    name = func.overloadpacket.__name__
    if dim is not None and name == "permute":
        order = [int(axis) % x.dim() for axis in args[1]]
        return order.index(dim % x.dim()) - x.dim()
    if dim is not None and name == "transpose":
        one, other = (int(axis) % x.dim() - x.dim() for axis in args[1:3])
        return {one: other, other: one}.get(dim, dim)
    if dim is not None and out.dim() == x.dim() and name not in {"view", "_unsafe_view", "reshape", "t"}:
        return dim
    if dim is not None and out.shape == x.shape and name != "t":
        return dim
    varies = [i - low.dim() for i in range(low.dim()) if low.shape[i] > 1 or high.shape[i] > 1]
    kept = dim is not None and len(varies) == 1 and out.shape[varies[0]] == x.shape[dim]
    return varies[0] if kept else None


MOVES = frozenset(
    [
        "clone",
        "contiguous",
        "_to_copy",
        "detach",
        "alias",
        "lift_fresh",
        "flip",
        "roll",
        "repeat",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "native_channel_shuffle",
        "_reshape_copy",
        "index_select",
        "rot90",
        "unsafe_split",
        "unsafe_chunk",
        "diag_embed",
    ]
)
RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "cat": _concatenate,
    "constant_pad_nd": _pad,
    "copy": _assigned,
    "native_layer_norm": _layer_norm,
    "_fused_rms_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": lambda _f, args, _o, seen: _need(seen(args[0])),
    "embedding": _embedding,
    "_unsafe_view": _reshape,
    "view": _reshape,
    **{name: _max_pool for name in count.POOLS if "max" in name},
    **{name: _average_pool for name in count.POOLS if "avg" in name},
    **dict.fromkeys(count.ADAPTIVE, _adaptive_pool),
    **dict.fromkeys(count.RESAMPLING - {"grid_sampler_2d", "grid_sampler_3d"}, _resample),
    **{f"{kind}_pad{axes}d": _mirror for kind in ("reflection", "replication") for axes in (1, 2, 3)},
    **dict.fromkeys(
        [
            "sum",
            "mean",
            "amax",
            "amin",
            "max",
            "min",
            "argmax",
            "argmin",
            "prod",
            "std",
            "var",
            "any",
            "all",
            "norm",
            "linalg_vector_norm",
            "logsumexp",
            "std_mean",
            "var_mean",
            "aminmax",
            "count_nonzero",
        ],
        _reduction,
    ),
    **dict.fromkeys((*count.SOFTMAXES, "cumsum", "cumprod", "logcumsumexp", "sort", "argsort"), _along),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addmv"), _product),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
}
