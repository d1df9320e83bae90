"""How much faster than real time a recording is scanned, against windows cut by hand; memory for an hour.

    python benchmarks/listening.py                    10 minutes of sound at 8 kHz, tdnn, a window of 1 s
    python benchmarks/listening.py --hour RUN         ten minutes and an hour through the command: peak memory

The network has random weights: its speed does not depend on them. Both ways hear the same noise in one
process, in turn; windows are cut at the network's own hop, every 20 ms, and seen in batches of 2 million
samples, from less of the sound. A ratio is the median of the rounds' ratios. "All" is the way that the
command goes, with the search for peaks and the file's reading; "drawn" with wave and spectrum as well.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from striate.data.recording import recording
from striate.models.tdnn import tdnn
from striate.scan.listener import Listener
from striate.scan.stream import Ear, hearing, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, WINDOW, PIECE = 8000, 8000, 160_000


def write(path: Path, seconds: int) -> Path:
    """Write noise as 16-bit mono WAV."""
    random = np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for _ in range(seconds // 10):
            file.writeframes(random.normal(0, 2000, 10 * RATE).astype("<i2").tobytes())
    return path


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def speeds(seconds: int, rounds: int, folder: Path) -> None:
    """Measure the form, the whole way and the windows in turn."""
    torch.manual_seed(0)
    model = tdnn(length=WINDOW, rate=RATE).eval()
    way = hearing(model, (1, WINDOW))
    sound = torch.randn(1, seconds * RATE)
    some = sound[:, : 20 * RATE]
    path = write(folder / "noise.wav", seconds)

    def form() -> None:
        ear = Ear(way)
        for start in range(0, sound.shape[1], PIECE):
            ear.hear(sound[:, start : start + PIECE])

    def everything(draw: bool) -> None:
        ear = Listener(way, RATE, list(range(10)), [3.0] * 10, draw=draw)
        with recording(path, RATE) as opened:
            for block in opened.blocks(PIECE):
                x = torch.from_numpy(block)[None]
                ear.hear(x, 16 * x)
        ear.end()

    faster: dict[str, list[float]] = {"form": [], "all": [], "drawn": [], "windows": []}
    for turn in range(rounds + 1):
        took = {
            "form": seconds / timed(form),
            "all": seconds / timed(lambda: everything(draw=False)),
            "drawn": seconds / timed(lambda: everything(draw=True)),
            "windows": 20 / timed(lambda: windows_of(model, some, WINDOW, way.hop)),
        }
        if turn:  # the first warms up
            for name, value in took.items():
                faster[name].append(value)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {seconds} s of sound, hop {way.hop}"
    )
    for name, values in faster.items():
        told = f"{statistics.median(values):8.0f} times real time ({min(values):.0f} to {max(values):.0f})"
        ratio = statistics.median(a / b for a, b in zip(values, faster["windows"], strict=True))
        print(f"{name:8} {told}  {ratio:6.1f} times the windows")


def hour(folder: Path, run: Path) -> None:
    """Scan ten minutes and an hour with the command; its time, and the largest memory of its process."""
    for seconds in (600, 3600):
        path = write(folder / "long.wav", seconds)
        words = [sys.executable, "-m", "striate", "scan", str(run), str(path), "--json"]
        took = timed(lambda: subprocess.run(words, check=True, capture_output=True))  # noqa: B023
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "took": round(took, 1), "most_mb": round(memory)}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hour", type=Path, metavar="RUN", help="scan ten minutes and an hour with this run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.hour:
            hour(Path(name), asked.hour)
        else:
            speeds(asked.seconds, asked.rounds, Path(name))


if __name__ == "__main__":
    main()
