"""Which input pixels each value of a tensor can depend on, followed operator by operator.

For every input axis a tensor carries the first and the last pixel that each of its values sees, kept only as
often as they differ: along channels that see the same, once; along units that are evenly spaced, for the
first unit only. Padding of such units goes on in the same steps, below 0 and behind the last pixel, so that
the classical formula comes out: unit u sees P + u S ... P + u S + r - 1, for size r, stride S and offset P.
The padding of any others sees nothing. At the border a unit may see less than its box, never more.

Weights and stored values count as different from 0. An operator that is not followed gives no answer.
Source: Araujo, Norris and Sim 2019, Computing receptive fields of convolutional networks (Distill).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from striate.summary import count
from striate.summary.bounds import Axis, Seen, Unknown
from striate.summary.follow import CONSTANTS, MASKS, RULES, VIEWS, Call, pointwise, viewed
from striate.summary.result import ReceptiveField
from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HIDES = -1e4  # added to a score before softmax, it leaves no weight


def of_input(x: Tensor, spatial: Iterable[int]) -> Seen:
    """Describe the input: each value sees its own place. spatial: its axes that count as places."""
    pixel = torch.zeros([1] * x.dim(), dtype=torch.int64)
    return tuple(Axis(pixel, pixel, axis - x.dim(), 1, x.shape[axis]) for axis in spatial)


def field(seen: Seen) -> ReceptiveField:
    """Sum up what a tensor's units see; the channels of one place are one unit."""
    places = {axis.dim for axis in seen}
    found = [_field(axis, places) for axis in seen]
    if any(size == 0 for size, _, _ in found):  # no row: no pixel at all
        found = [(0, None, 0)] * len(found)
    size, stride, offset = zip(*found, strict=True) if found else ((), (), ())
    return ReceptiveField(size, stride, offset)


def _field(axis: Axis, places: set[int | None]) -> tuple[int, int | None, int]:
    """Give the size of the widest units, their stride and the offset of unit 0."""
    first, last, rank = axis.first, axis.last, axis.first.dim()
    own = axis.dim
    if own is not None and (channels := [i - rank for i in range(rank) if i - rank not in places]):
        first, last = first.amin(channels, keepdim=True), last.amax(channels, keepdim=True)
    size = max(int((last - first).max()) + 1, 0)
    if own is not None and (others := [i - rank for i in range(rank) if i - rank != own]):
        first, last = first.amin(others), last.amax(others)
    first, last = torch.broadcast_tensors(first, last)  # type: ignore[no-untyped-call]
    first, last = first.flatten(), last.flatten()
    start = int(first[0]) if first[0] <= last[0] else 0
    if size == 0 or int((last - first).max()) + 1 != size:
        return size, None, start
    if axis.step is not None:
        return size, axis.step, start
    # Units at the border may see less; the others make the formula.
    widest = (last - first == size - 1).nonzero().flatten()
    one, other = int(widest[0]), int(widest[-1])
    if own is None or len(widest) < 2 or len(widest) != other - one + 1:
        return size, None, start
    step = int(first[one + 1] - first[one])
    boxes = int(first[one]) + (torch.arange(len(first)) - one) * step
    is_inside = (boxes <= first) & (last < boxes + size) | (first > last)
    if step == 0 or not is_inside.all() or (first != boxes)[one:other].any():
        return size, None, start
    return size, step, int(boxes[0])


def seen_by(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, seen: Callable[[Any], Seen | None]
) -> list[Seen] | None:
    """Say what each result of an operator sees; None for a constant.

    seen: gives what a tensor sees, None for a constant.  Raises Unknown where the operator is not followed.
    """
    read = tensors(args) + (tensors(kwargs) if kwargs else [])
    known = [one for tensor in read if (one := seen(tensor)) is not None]
    name = func.overloadpacket.__name__
    name = name.removesuffix("_") or name
    if any(_hides(value) for value in (read if name not in MASKS else (*read, *args, *kwargs.values()))):
        raise Unknown("mask")
    if not known or name in CONSTANTS or not any(tensor.numel() for tensor in tensors(out)):
        return None
    if not any(known):
        return [()] * len(tensors(out))  # an input without places
    call = Call(func, name, count.named(func, args, kwargs), tensors(out), seen)
    rule = RULES.get(name) or (pointwise if count.is_pointwise(func) else None)
    if rule is not None:
        made = rule(call)
        return [made] * len(call.out) if isinstance(made, tuple) else made
    if name in VIEWS and len(known) == 1:
        return viewed(call)
    raise Unknown(name)


def _hides(value: Any) -> bool:
    """Tell whether a value takes away what is seen: added to a score, it leaves a softmax no weight."""
    if isinstance(value, Tensor):
        numbers = getattr(value, "numbers", value)
        return not numbers.is_meta and numbers.is_floating_point() and bool((numbers <= HIDES).any())
    return isinstance(value, (int, float)) and value <= HIDES
