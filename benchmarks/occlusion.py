"""Seconds for an occlusion map of a ResNet-18 at 224 pixels: ours, and captum's as it comes.

    python benchmarks/occlusion.py --rounds 3    the 784 windows of captum's tutorial: three minutes
    python benchmarks/occlusion.py --window 32 --stride 16

Captum's ``perturbations_per_eval`` is 1, its default. Both hide with the picture's mean and take turns in one
process; a ratio is the median of the rounds' ratios. Ours lays the weights out anew in every call.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import TYPE_CHECKING

import torch
from captum.attr import Occlusion

from striate.explain import occlusion
from striate.models.resnet import resnet18

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIDE, APART = 224, 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--window", type=int, default=15)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.manual_seed(0)
    model, x = resnet18(classes=1000).eval(), torch.randn(1, 3, SIDE, SIDE)
    window, stride = asked.window, asked.stride
    blank = x.mean((2, 3), keepdim=True)
    theirs = Occlusion(model)

    def captums(window: int = window, stride: int = stride) -> Tensor:
        found: Tensor = theirs.attribute(x, (3, window, window), (3, stride, stride), blank, 0)
        return found[:, :1]

    def ours(window: int = window, stride: int = stride) -> Tensor:
        return occlusion(model, x, 0, window=window, stride=stride)

    ways: dict[str, Callable[..., Tensor]] = {"captum": captums, "ours": ours}
    for way in ways.values():
        way(56, 28)  # warms up
    times: dict[str, list[float]] = {name: [] for name in ways}
    apart = 0.0
    for _ in range(asked.rounds):
        maps = {}
        for name, way in ways.items():
            began = time.perf_counter()
            maps[name] = way()
            times[name].append(time.perf_counter() - began)
            print(f"{name} {times[name][-1]:.2f} s", flush=True)
        apart = max(apart, (maps["captum"] - maps["ours"]).abs().max().item())
        assert apart <= APART, f"the maps differ by {apart}"
    ratios = [slow / own for slow, own in zip(times["captum"], times["ours"], strict=True)]
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores,"
        f" windows of {window}, stride {stride}, {asked.rounds} rounds, maps at most {apart:.0e} apart"
    )
    for name, seconds in times.items():
        print(f"{name:8}{statistics.median(seconds):6.2f} s")
    print(f"x{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
