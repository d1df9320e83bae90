"""How a score falls when a part of the picture is hidden: the occlusion map, fast on a processor."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from striate.errors import ModelError
from striate.explain.gradients import classes, differentiable
from striate.explain.layers import answer, batches, chosen
from striate.explain.partial import Partial
from striate.ops.sequence import lengths, mean_over_time
from striate.runs.forward import computing
from striate.runs.fused import BOUND, fused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from striate.explain.partial import Span

    Run = Callable[[Tensor, Sequence[int], Sequence[Span]], Tensor]

WORTH = 4_000_000
"""Values to be seen in all (pictures x windows x positions) from which laying out the weights anew pays."""


def occlusion(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    fill: float | Literal["mean"] = "mean",
    precision: Literal["float32", "bfloat16"] = "float32",
    batch: int = 8,
) -> Tensor:
    """Hide one window after another and give each pixel the mean fall of the score over the windows on it.

    model: gives scores (N, K).   x: (N, C, H, W) or (N, C, L).
    target: a class, one for each picture, or None for the network's own.
    window: pixels, one number or one for each axis; None is a quarter of each side.
    stride: from window to window, at most the window; None is a quarter of the window.
    fill: "mean", which is each channel's mean over the picture, or a number in the units of x. The padding
    behind a sequence (N, C, L) is neither part of that mean nor hidden, so that none gets longer.
    precision: float32, or bfloat16 where the processor has matrix units for it.   batch: pictures in a pass.
    Windows begin at the first pixel; where the last one would leave the picture it is cut off, as in captum.
    Returns: (N, 1, H, W) or (N, 1, L), positive where hiding costs score, in units of score.
    Raises ModelError for a window or stride that does not fit and for an unknown class.
    Source: Zeiler and Fergus 2014, section 4.2.
    """
    index = classes(model, x, target)
    spans = windows(tuple(x.shape[2:]), window, stride)
    shown = [(row, span) for row in range(len(x)) for span in spans]
    with differentiable(model, x) as leaf, torch.no_grad():
        found = torch.zeros((len(x), *x.shape[2:]), dtype=torch.promote_types(x.dtype, torch.float32))
        covered = torch.zeros(x.shape[2:])
        for span in spans:
            covered[span] += 1
        pictures = leaf.detach()
        run = quick(model, pictures, spans, precision)
        whole = torch.cat(
            [
                chosen(run(pictures[some], some.tolist(), spans[:1] * len(some)), index[some])
                for some in batches(torch.arange(len(x), device=x.device), batch)
            ]
        )
        blank = means(pictures) if fill == "mean" else torch.full_like(means(pictures), fill)
        ends = lengths(pictures).tolist() if x.dim() == 3 else None
        for first in range(0, len(shown), batch):
            some = shown[first : first + batch]
            rows = [row for row, _ in some]
            scenes = pictures[rows]
            for scene, (row, span) in zip(scenes, some, strict=True):
                hidden = span if ends is None else (slice(span[0].start, min(span[0].stop, ends[row])),)
                scene[(slice(None), *hidden)] = blank[row]
            falls = whole[rows] - chosen(run(scenes, rows, [span for _, span in some]), index[rows])
            for (row, span), fall in zip(some, falls.to(found).tolist(), strict=True):
                found[row][span] += fall
    return (found / covered)[:, None].to(x.device)


def means(x: Tensor) -> Tensor:
    """Give each picture's mean in each channel, (N, C, 1, 1), or (N, C, 1) over a sequence's true steps."""
    if x.dim() == 3:
        return mean_over_time(x, lengths(x))[..., None]
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def windows(
    sides: tuple[int, ...], window: int | Sequence[int] | None, stride: int | Sequence[int] | None
) -> list[tuple[slice, ...]]:
    """Lay windows over the axes of a picture, so that every pixel is in one; arguments as of occlusion.

    >>> windows((5,), 2, 2)
    [(slice(0, 2, None),), (slice(2, 4, None),), (slice(4, 6, None),)]
    """
    if not sides:
        raise ModelError("The input has no places that could be hidden.", "Give (N, C, H, W) or (N, C, L).")
    wide = tuple(max(1, side // 4) for side in sides) if window is None else _each(window, sides)
    step = tuple(max(1, width // 4) for width in wide) if stride is None else _each(stride, sides)
    for side, width, by in zip(sides, wide, step, strict=True):
        if not 1 <= by <= width <= side:
            raise ModelError(
                f"A window of {width} with a stride of {by} does not cover a side of {side}.",
                "Take 1 <= stride <= window <= side.",
            )
    axes = [
        [slice(by * i, by * i + width) for i in range(math.ceil((side - width) / by) + 1)]
        for side, width, by in zip(sides, wide, step, strict=True)
    ]
    return list(itertools.product(*axes))


def quick(model: nn.Module, pictures: Tensor, spans: Sequence[Span], precision: str) -> Run:
    """Give the scores' function in the form that answers fastest; it is told what differs from the pictures.

    On a processor that is the network with its norms folded into its convolutions, and its first layers
    computed around a window only, where that can be done and gives the same answers.
    """
    device = pictures.device.type

    def plain(x: Tensor, _rows: Sequence[int] = (), _spans: Sequence[Span] = ()) -> Tensor:
        with computing(precision, device):
            return answer(model(x)).float() if precision != "float32" else answer(model(x))

    values = len(pictures) * len(spans) * math.prod(pictures.shape[2:])
    if values < WORTH or device != "cpu" or pictures.dim() != 4 or pictures.dtype != torch.float32:
        return plain
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    one, span = pictures[:1].clone(memory_format=torch.channels_last), spans[len(spans) // 2]
    one[(slice(None), slice(None), *span)] = 0
    wanted = plain(one.clone())

    def same(found: Tensor) -> bool:
        return bool((answer(found) - wanted).norm() <= BOUND[dtype] * wanted.norm())

    best: Run = plain
    try:
        form = fused(model, one.clone(), dtype)
        if same(form(one.clone())):
            best = lambda x, _rows, _spans: form(x)  # noqa: E731
            traced = getattr(form, "program", None)
            partial = Partial(traced, pictures) if traced is not None and dtype == torch.float32 else None
            if partial is not None and same(partial(one.clone(), [0], [span])):
                best = partial
    except Exception:  # noqa: BLE001, S110 - a network that cannot be taken apart runs as it is
        pass
    return best


def _each(number: int | Sequence[int], sides: tuple[int, ...]) -> tuple[int, ...]:
    return (number,) * len(sides) if isinstance(number, int) else tuple(number)
