"""The command with its defaults on whole data sets: accuracy, seconds and peak memory of each.

    python benchmarks/datasets.py digits mnist cifar10     25 minutes on two slow cores
    python benchmarks/datasets.py cifar10 -- --steps 50    with flags of striate train

Seconds are the whole command's, from files (nothing cached) to report. Memory is the largest resident set of
the process, less that of a process that only imports torch.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# What each must reach: test accuracy (issue 3's table).   CIFAR-10 is a JPEG copy: say so beside its figure.
ROWS = {
    "digits": ("digits", [], 0.98),
    "mnist": (str(SHARED / "mnist"), [], 0.992),
    "cifar10": (str(SHARED / "cifar10-jpeg.zip"), ["--epochs", "15"], 0.86),
}


def run(command: list[str], cache: str) -> tuple[float, float]:
    """Run a command to its end; give its seconds and its peak memory in MB."""
    began = time.monotonic()
    process = subprocess.Popen(command, env=os.environ | {"STRIATE_CACHE": cache}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return time.monotonic() - began, usage.ru_maxrss / 1000


def main() -> None:
    names, flags = sys.argv[1:] or list(ROWS), []
    if "--" in names:
        names, flags = names[: names.index("--")], names[names.index("--") + 1 :]
    machine = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    print(f"torch {torch.__version__}, {machine}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as place:
        _, torch_alone = run([sys.executable, "-c", "import torch"], place)
        for name in names:
            data, settings, wanted = ROWS[name]
            out = Path(place) / name
            command = [sys.executable, "-m", "striate", "train", data, *settings, *flags, "--out", str(out)]
            seconds, memory = run(command, place)
            info = json.loads((out / "run.json").read_text())
            accuracy = info["metrics"]["test"]["accuracy"]
            print(
                f"{name:8} {info['model']:9} test {accuracy:.2%} (wanted {wanted:.1%}), {seconds:.0f} s,"
                f" peak memory {memory - torch_alone:.0f} MB above torch's {torch_alone:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
