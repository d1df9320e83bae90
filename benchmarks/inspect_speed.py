"""striate inspect against torchinfo on a ResNet-50, and the memory that a 138-million-parameter network adds.

    pip install torchinfo==1.8.0
    python benchmarks/inspect_speed.py

Rounds in turn, in one process, after one of each to warm up; the ratio is of the medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import torchinfo

import striate
from striate.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
ADDED = """
from pathlib import Path
import striate
from striate import ops, summary
from striate.api import inspect
from striate.models import registry

def now(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1024

before = now("VmRSS:")
found = striate.inspect("vgg16")
print(f"{found.totals.parameters:,} parameters inspected: {now('VmHWM:') - before:.0f} MiB more at the peak")
"""


def seconds(do: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main() -> None:
    """Print each pair and its ratio."""
    model = build("resnet50").eval()
    pairs = {
        "a ResNet-50 at hand": (
            lambda: striate.inspect(model, (3, 224, 224)),
            lambda: torchinfo.summary(model, (1, 3, 224, 224), verbose=0),
        ),
        "resnet50 by name": (
            lambda: striate.inspect("resnet50"),
            lambda: torchinfo.summary(build("resnet50"), (1, 3, 224, 224), verbose=0),
        ),
    }
    for what, (ours, theirs) in pairs.items():
        first = seconds(ours), seconds(theirs)
        times = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
        mine, other = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = sorted(b / a for a, b in times)
        print(f"{what}: striate {mine * 1000:.0f} ms, torchinfo {other * 1000:.0f} ms,", end=" ")
        print(f"{other / mine:.2f} times as fast (rounds {ratios[0]:.2f} to {ratios[-1]:.2f};", end=" ")
        print(f"first calls {first[0] * 1000:.0f} and {first[1] * 1000:.0f} ms)")
    added = subprocess.run([sys.executable, "-c", ADDED], check=True, capture_output=True, text=True)
    print(added.stdout.strip())


if __name__ == "__main__":
    main()
