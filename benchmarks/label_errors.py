"""Labels of MNIST flipped on purpose, and how many of them ``striate train --folds`` finds.

    OMP_NUM_THREADS=1 python benchmarks/label_errors.py               all 60,000 training pictures
    OMP_NUM_THREADS=1 python benchmarks/label_errors.py 10000         the first so many

One label in twenty becomes another class, drawn evenly and with a fixed seed. The ranking is by the
probability of the label, out of fold: what suspects.csv is ranked by, over every picture of predictions.csv.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from striate.data.sources import open_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FLIPPED, SEED = 0.05, 0
FLAGS = ["--folds", "5", "--model", "lenet5", "--epochs", "3"]


def flipped(targets: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the labels with one in twenty made another class, and which these are."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(targets))[: round(FLIPPED * len(targets))]
    wrong = targets.copy()
    wrong[chosen] = (targets[chosen] + rng.integers(1, 10, len(chosen))) % 10
    return wrong, wrong != targets


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    source = open_source(str(SHARED / "mnist"))
    rows = [i for i, sample in enumerate(source.samples) if sample.split == "train"]
    rows = rows[: int(sys.argv[1]) if sys.argv[1:] else None]
    targets = np.array([int(source.samples[i].target) for i in rows])
    wrong, is_wrong = flipped(targets, SEED)
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "flipped.npz", Path(folder) / "out"
        np.savez(data, x=np.stack([np.asarray(source.read(i)) for i in rows]), y=wrong)
        began = time.monotonic()
        words = [sys.executable, "-m", "striate", "train", str(data), *FLAGS, "--out", str(out)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        answers, suspects = read(out / "predictions.csv"), read(out / "suspects.csv")
        size = (out / "suspects.html").stat().st_size
        whole = json.loads((out / "several.json").read_text(encoding="utf-8"))["out_of_fold"]
    place = {answer["path"]: i for i, answer in enumerate(answers)}
    assert len(place) == len(rows)
    order = np.argsort([float(answer["probability_of_label"]) for answer in answers], kind="stable")
    disagree = np.array([answer["label"] != answer["predicted"] for answer in answers])
    listed = np.zeros(len(rows), bool)
    listed[[place[suspect["path"]] for suspect in suspects]] = True

    def share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> str:
        return f"{(of & among).sum() / among.sum():.1%}"

    def first(part: float) -> NDArray[np.bool_]:
        found = np.zeros(len(rows), bool)
        found[order[: round(part * len(rows))]] = True
        return found

    print(f"striate train flipped.npz {' '.join(FLAGS)}")
    print(f"{len(rows):,} pictures, {is_wrong.sum():,} labels flipped, {seconds:.0f} s")
    print(f"accuracy out of fold, against the flipped labels: {whole['accuracy']:.1%}")
    print(f"recall among the first 10 % of the ranking:   {share(first(0.1), is_wrong)}")
    print(f"recall among the first 5 %:                   {share(first(0.05), is_wrong)}")
    print(f"precision among the first 5 %:                {share(is_wrong, first(0.05))}")
    for name, chosen in (("suspects.csv", listed), ("all whose answer is not the label", disagree)):
        print(
            f"{name}: {chosen.sum():,} pictures, recall {share(chosen, is_wrong)}, "
            f"precision {share(is_wrong, chosen)}"
        )
    print(f"suspects.html: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
