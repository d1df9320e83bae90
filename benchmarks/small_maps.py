"""A training step of ResNet-18 with small maps as matrix products, against the library's convolution.

    python benchmarks/small_maps.py

Rounds of both in turn, in one process, batch 32; the median of the rounds' ratios.
"""

from __future__ import annotations

import contextlib
import statistics
import time

import torch
import torch.nn.functional as F

from striate.models.resnet import resnet18
from striate.training.small_maps import matrix_products

ROUNDS, BATCH = 5, 32


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for size in (64, 96, 128):
        torch.manual_seed(0)
        model = resnet18(10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
        y = torch.randint(0, 10, (BATCH,))
        rule = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(ROUNDS + 1):
            for fast in (False, True):
                with matrix_products(model, x) if fast else contextlib.nullcontext():
                    began = time.perf_counter()
                    for _ in range(3):
                        rule.zero_grad()
                        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
                        rule.step()
                    times[fast].append((time.perf_counter() - began) / 3)
        ratios = [slow / fast for slow, fast in zip(times[False][1:], times[True][1:], strict=True)]
        speed = {fast: BATCH / statistics.median(values[1:]) for fast, values in times.items()}
        print(
            f"{size:3} pixels: {speed[False]:.0f} to {speed[True]:.0f} pictures a second,"
            f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
