"""How much faster one map of a picture is than its windows, cut by hand at every multiple of its stride.

    python benchmarks/scan.py                       a picture of 256 x 256, LeNet-5 and five convolutions
    python benchmarks/scan.py --side 512 --rounds 9

Both without padding, for 32 pixels, total stride 4. The windows are seen 64 at a time. Both ways answer in
turn in one process; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from striate.scan import dense, fully_convolutional, total_stride, windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

WINDOW = (32, 32)


def lenet5() -> nn.Module:
    """Build LeNet-5 for 32 pixels, which needs no padding."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def five() -> nn.Module:
    """Build five convolutions 3x3 and global average pooling."""
    layers: list[nn.Module] = []
    for inside, outside in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3), nn.BatchNorm2d(outside), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * (inside == outside)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.manual_seed(0)
    picture = torch.randn(3, asked.side, asked.side)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {asked.side} x {asked.side} pixels")
    for name, model in (("LeNet-5", lenet5().eval()), ("five convolutions", five().eval())):
        form = fully_convolutional(model, torch.zeros(1, 3, *WINDOW))
        stride = total_stride(form, torch.zeros(1, 3, *WINDOW))
        ratios, fast, slow = [], [], []
        for turn in range(asked.rounds + 1):
            quick, whole = timed(dense, form, picture, WINDOW, stride)
            long, apart = timed(windows, model, picture, WINDOW, stride)
            if turn:  # the first warms up
                ratios.append(long / quick)
                fast.append(quick)
                slow.append(long)
        off = float((whole - apart).abs().max())
        print(
            f"{name:20} {whole[0].numel():6} windows  map {1e3 * statistics.median(fast):7.1f} ms"
            f"  windows {1e3 * statistics.median(slow):8.1f} ms"
            f"  x{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})  off by {off:.0e}"
        )


def timed(way: Callable[..., Tensor], *asked: Any) -> tuple[float, Tensor]:
    """Give the seconds that a way takes, and its map."""
    began = time.perf_counter()
    found = way(*asked)
    return time.perf_counter() - began, found


if __name__ == "__main__":
    main()
