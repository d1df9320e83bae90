"""What follows in a chorale: four kinds of network at about equal parameters, as a markdown table.

    python benchmarks/chorales.py [TCN LSTM ...] [--seeds 0 1] [--epochs N] [--out FOLDER]

The JSB chorales as 88 keys a step, with their own split; each key is foretold on its own, from the steps
before. Figures are nats a step, all steps of all test pieces alike, with the weights of the epoch that is
best on the validation pieces. Beside them are those of Bai, Kolter and Koltun 2018, table 1. Models of the
joint chord, which know that keys sound together, go far lower; these here cannot. Seconds are of one run,
from the file to the report, on one core. What is finished in --out is not repeated.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import striate
from striate.training.metrics import Stepped

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
COMMON: dict[str, Any] = {
    "task": "next-step", "batch": 4, "clip": 0.4, "optimizer": "adam", "weight_decay": 0.0, "dropout": 0.5,
    "patience": 10, "tune": "off", "threads": 1,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "RNN": {"model": "rnn-440", "lr": 1e-3, "epochs": 60},
    "GRU": {"model": "gru-250", "lr": 4e-3, "epochs": 60},
    "LSTM": {"model": "lstm-210", "lr": 4e-3, "epochs": 60},
    "TCN": {"model": "tcn-3-2-150", "lr": 1e-3, "epochs": 80, "schedule": "constant", "warmup": 0.0},
}
PUBLISHED = {"RNN": 8.91, "GRU": 8.43, "LSTM": 8.45, "TCN": 8.10}


def main() -> None:
    """Write the table, and what plain answers reach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"only these of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out, run = arguments.out or Path(mkdtemp()), None
    print("| network | parameters | seed | test NLL | 95 % interval | paper | epoch kept | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for kind in arguments.kinds or RECIPES:
        recipe = COMMON | RECIPES[kind] | ({"epochs": arguments.epochs} if arguments.epochs else {})
        for seed in arguments.seeds:
            folder = out / f"{kind}-{seed}"
            if not (folder / "report.html").exists():
                striate.train(SHARED / "jsb-chorales.mat", out=folder, seed=seed, **recipe)
            run = striate.load(folder)
            found = striate.evaluate(run, SHARED / "jsb-chorales.mat", split="test")
            assert isinstance(found, Stepped)
            kept = min(run.history, key=lambda line: line["val"]["loss"])["epoch"]
            print(
                f"| {kind} ({recipe['model']}) | {run.info['parameters']:,} | {seed} | {found.loss:.3f} "
                f"| {found.interval[0]:.2f} to {found.interval[1]:.2f} | {PUBLISHED[kind]:.2f} "
                f"| {kept} of {len(run.history)} | {run.info['seconds']:.0f} |",
                flush=True,
            )
    for answer in run.info["plain_answers"] if run else ():
        print(f"\n{answer['name']}: {answer['scores']['nll']:.2f}")


if __name__ == "__main__":
    main()
