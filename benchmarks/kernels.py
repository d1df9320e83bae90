"""Convolutions and norms of our own against torch's, shape by shape and pass by pass.

    python benchmarks/kernels.py

Milliseconds of torch's kernel and ratios of the others to it, the least of five calls in turn.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.native.norm import NormReLU
from striate.training.convolution import PASSES, WAYS, Geometry, ways

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 5
# pictures, channels in, side, channels out, kernel, stride, padding
SHAPES = (
    (128, 16, 32, 16, 3, 1, 1),
    (128, 32, 16, 32, 3, 1, 1),
    (128, 64, 8, 64, 3, 1, 1),
    (128, 64, 16, 64, 3, 1, 1),
    (128, 128, 8, 128, 3, 1, 1),
    (128, 128, 8, 256, 3, 2, 1),
    (128, 256, 4, 256, 3, 1, 1),
    (128, 512, 2, 512, 3, 1, 1),
    (128, 64, 15, 192, 5, 1, 2),
    (128, 192, 7, 384, 3, 1, 1),
    (64, 96, 8, 208, 3, 1, 1),
    (64, 480, 8, 192, 1, 1, 0),
)


def main() -> None:
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'convolution':28} {'pass':10} {'torch':>9} {'product':>9} {'winograd':>9}")
    for n, ins, side, outs, kernel, stride, padding in SHAPES:
        g = Geometry(stride, padding, kernel)
        x, weight = random(n, ins, side, side), random(outs, ins, kernel, kernel)
        gradient = torch.randn_like(F.conv2d(x, weight, stride=stride, padding=padding))
        named = f"{n}x{ins}x{side}x{side} -> {outs} k{kernel} s{stride}"
        for name in PASSES:
            given = (x, weight, g) if name == "forward" else (gradient, x, weight, g)
            tried = ways(weight, g, gradient.shape[2] * gradient.shape[3])
            calls = {way: functools.partial(getattr(WAYS[way], name), *given) for way in tried}
            report(named, name, least(calls), ("product", "winograd"))
    print(f"{'norm, shortcut and ReLU':28} {'':10} {'torch':>9} {'fused':>9}")
    for n, channels, side in ((128, 16, 32), (128, 64, 8), (128, 64, 16), (128, 512, 2)):
        x = random(n, channels, side, side).requires_grad_()
        calls = {"torch": functools.partial(usual, x), "fused": functools.partial(fused, x)}
        report(f"{n}x{channels}x{side}x{side}", "both", least(calls), ("fused",))


def random(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


def usual(x: Tensor) -> Tensor:
    weight, bias = torch.ones(x.shape[1]), torch.zeros(x.shape[1])
    y = F.relu(F.batch_norm(x, None, None, weight, bias, training=True).add_(x), inplace=True)
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


def fused(x: Tensor) -> Tensor:
    weight, bias = torch.ones(x.shape[1]), torch.zeros(x.shape[1])
    y = NormReLU.apply(x, x, weight, bias, 1e-5, True)[0]  # type: ignore[no-untyped-call]
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


def least(calls: Mapping[str, Callable[[], Tensor]]) -> dict[str, float]:
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS + 1):
        for way, call in calls.items():
            began = time.perf_counter()
            call()
            found[way] = min(found[way], time.perf_counter() - began)
    return found


def report(shape: str, name: str, seconds: dict[str, float], others: tuple[str, ...]) -> None:
    ratios = [f"{seconds['torch'] / seconds[way]:8.2f}x" if way in seconds else f"{'':9}" for way in others]
    print(f"{shape:28} {name:10} {seconds['torch'] * 1e3:6.2f} ms", *ratios)


if __name__ == "__main__":
    main()
