"""The adding problem: which networks carry two numbers over hundreds of steps, as a markdown table.

    python benchmarks/adding.py [tcn-8-8-24 gru-77 rnn-128] [--steps 600] [--updates 4000] [--out FOLDER]

A sequence has two channels: numbers drawn evenly from 0..1, and a marker that is 1 at two steps, one in each
half, else 0. Asked is the sum of the two marked numbers; always to answer 1 gives a mean squared error of
0.1767. Trained by ``striate train --task regression`` from an npz file.
Source: Bai, Kolter and Koltun 2018, section 4.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

import striate

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST = 1000  # sequences
RECIPE: dict[str, Any] = {
    "task": "regression", "optimizer": "adam", "batch": 32, "clip": 1.0, "weight_decay": 0.0, "val": 0.02,
    "tune": "off", "threads": 1,
}  # fmt: skip
RATES = {"tcn": 4e-3, "gru": 4e-3, "lstm": 4e-3, "rnn": 1e-3}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["tcn-8-8-24", "gru-77", "rnn-128"])
    parser.add_argument("--steps", type=int, default=600, help="of a sequence")
    parser.add_argument("--sequences", type=int, default=20_000, help="to train on")
    parser.add_argument("--updates", type=int, default=4000, help="of the weights")
    parser.add_argument("--out", type=Path, help="where data and runs go")
    arguments = parser.parse_args()
    out = arguments.out or Path(mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    data = out / f"adding-{arguments.steps}-{arguments.sequences}.npz"
    if not data.exists():
        write(data, arguments.steps, arguments.sequences)
    with np.load(data) as held:
        targets = held["y_test"]
    print(f"always 1: {np.mean((targets - 1) ** 2):.4f} on these {TEST} test sequences\n")
    print(
        "| network | parameters | updates | test error (squared) | seconds |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in arguments.networks:
        rate = RATES[name.partition("-")[0]]
        run = striate.train(data, model=name, lr=rate, steps=arguments.updates, out=out / name, **RECIPE)
        info = run.info
        print(
            f"| {name} | {info['parameters']:,} | {arguments.updates:,} "
            f"| {info['metrics']['test']['rmse'] ** 2:.2g} | {info['seconds']:.0f} |",
            flush=True,
        )


def write(path: Path, steps: int, sequences: int) -> None:
    """Draw sequences and their sums, from seed 0."""
    draws = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.float32]] = {}
    for split, count in (("train", sequences), ("test", TEST)):
        numbers, marks = draws.random((count, steps), dtype=np.float32), np.zeros((count, steps), np.float32)
        half, each = steps // 2, np.arange(count)
        marks[each, draws.integers(0, half, count)] = 1
        marks[each, draws.integers(half, steps, count)] = 1
        arrays[f"sequences_{split}"] = np.stack([numbers, marks], axis=2)
        arrays[f"y_{split}"] = (numbers * marks).sum(axis=1)
    np.savez(path, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
