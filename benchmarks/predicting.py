"""Pictures a second of a ResNet-18 that only predicts, 224 pixels: the form that ``predict`` uses, and eager.

    python benchmarks/predicting.py                 batch 1 and 32, and batch 1 compiled: three minutes
    python benchmarks/predicting.py --batch 1 --rounds 5

Eager is the network as it is built: float32, channels first, evaluation mode, no gradients. All forms answer
in turn in one process; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import TYPE_CHECKING

import torch

from striate.models.resnet import resnet18
from striate.runs.fused import compiled, fused

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE, PICTURES = 224, 32  # a round answers so many pictures, in batches


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    low = torch.cpu.get_capabilities().get("amx_bf16", False)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores,"
        f" {torch.backends.cpu.get_cpu_capability()}{', AMX' if low else ', no AMX: float32 only'}"
    )
    torch.manual_seed(0)
    model = resnet18(classes=1000).eval()
    for batch in asked.batch:
        x = torch.randn(batch, 3, SIDE, SIDE)
        forms = {"eager": (model, x)}
        laid = x.contiguous(memory_format=torch.channels_last)
        for name, dtype in (("float32", torch.float32), *((("bfloat16", torch.bfloat16),) if low else ())):
            forms[f"fused, {name}"] = (fused(model, x, dtype), laid)
            if batch == 1:
                began = time.perf_counter()
                forms[f"compiled, {name}"] = (compiled(model, laid, dtype), laid)
                print(f"compiling took {time.perf_counter() - began:.0f} s")
        compare(forms, batch, asked.rounds)


def compare(forms: dict[str, tuple[nn.Module, Tensor]], batch: int, rounds: int) -> None:
    """Let every form answer in turn; print a row each."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    with torch.no_grad():
        wanted = forms["eager"][0](forms["eager"][1])
        for turn in range(rounds + 1):
            for name, (form, x) in forms.items():
                began = time.perf_counter()
                for _ in range(max(1, PICTURES // batch)):
                    answer = form(x)
                if turn:  # the first warms up
                    times[name].append((time.perf_counter() - began) / max(PICTURES, batch))
                off = ((answer - wanted).norm() / wanted.norm()).item()
                assert off < 3e-2, f"{name} answers otherwise: {off}"
    for name, seconds in times.items():
        ratios = [slow / own for slow, own in zip(times["eager"], seconds, strict=True)]
        print(
            f"batch {batch:2}  {name:20}{1 / statistics.median(seconds):7.1f} pictures a second"
            f"  x{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
