"""What each output value of a real network sees, found by changing input pixels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
CHANGES = (1e-2, 1e4, -1e4)  # small for gates, large so that every maximum and minimum moves


def measured(net: nn.Module, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Change the pixels at each place along an axis: the first and the last that move an output value.

    Gives numbers of the output's shape; first > last where none does.
    """
    torch.manual_seed(0)
    n = x.shape[axis]
    pictures = [x]
    for size in CHANGES:
        for place in range(n):
            changed = x.clone()
            changed.select(axis, place).add_(size * (0.5 + torch.rand_like(changed.select(axis, place))))
            pictures.append(changed)
    with torch.no_grad():
        base, *others = (net(picture)[0] for picture in pictures)
    moves = torch.stack([(other - base).abs() > 1e-11 * (1e-3 + base.abs()) for other in others])
    moves = moves.view(len(CHANGES), n, *base.shape).any(0)
    places = torch.arange(n).view(-1, *[1] * base.dim())
    return torch.where(moves, places, n).amin(0), torch.where(moves, places, -1).amax(0)


class Padding(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fills every padding with what is no number, so that it shows which values it reaches."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        if packet is aten.convolution:
            x, weight, bias, stride, padding, dilation, transposed, extra, groups = args
            if not transposed:
                x = F.pad(x, [p for p in reversed(padding) for _ in (0, 1)], value=torch.nan)
                return func(x, weight, bias, stride, [0] * len(stride), dilation, False, extra, groups)
        if packet in {aten.max_pool2d_with_indices, aten.avg_pool2d}:
            x, kernel, stride, padding = args[:4] if len(args) > 3 else (*args[:3], [0, 0])
            dilation = args[4] if packet is aten.max_pool2d_with_indices and len(args) > 4 else [1, 1]
            out = func(*args, **(kwargs or {}))
            sizes = (out[0] if isinstance(out, tuple) else out).shape[-2:]
            wide = [p for p in reversed(padding) for _ in (0, 1)]
            for i in (0, 1):  # the last window may hang over the edge
                over = (
                    (sizes[i] - 1) * stride[i]
                    + dilation[i] * (kernel[i] - 1)
                    + 1
                    - x.shape[2 + i]
                    - 2 * padding[i]
                )
                wide[2 * (1 - i) + 1] += max(over, 0)
            x = F.pad(x, wide, value=torch.nan)
            if isinstance(out, tuple):
                return func(x, kernel, stride, [0, 0], dilation)
            return func(x, kernel, stride)
        if packet is aten.constant_pad_nd:
            return func(args[0], args[1], torch.nan)
        return func(*args, **(kwargs or {}))


def reaches_padding(net: nn.Module, x: Tensor) -> Tensor:
    """Tell for each output value whether any padding goes into it."""
    with torch.no_grad(), Padding():  # type: ignore[no-untyped-call]
        out: Tensor = net(x)[0].isnan()
    return out


def positive(net: nn.Module) -> nn.Module:
    """Give every weight a value above 0, such that nothing that is added up cancels, in double precision."""
    generator = torch.Generator().manual_seed(0)
    net = net.double().eval()
    with torch.no_grad():
        for p in net.parameters():
            fan_in = max(p[0].numel(), 1) if p.dim() > 1 else 1
            p.copy_((0.5 + torch.rand(p.shape, generator=generator, dtype=p.dtype)) / fan_in)
    return net
