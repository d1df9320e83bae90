"""E. coli promoters by cross-validation, beside the paper's network, as a markdown table.

    python benchmarks/promoters.py [--folds 5] [--balance weights] [--epochs 16] [--seed 0]

839 promoters and 3,000 other sequences of 81 bases, each answered once, by the network that was not trained
on it (``striate train --folds``, defaults otherwise: the network dna, threshold 0.5). --balance weights lets
each class weigh the same in training; without it the classes count as often as they occur.
Paper: Umarov and Solovyev 2017, Recognition of prokaryotic and eukaryotic promoters using convolutional deep
learning neural networks (PLoS ONE 12).
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import striate

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--balance", choices=["none", "weights", "sampler"], default="none")
    parser.add_argument("--epochs", type=int, help="default: what striate train chooses")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where the runs go; what is finished there is not repeated")
    asked = parser.parse_args()
    out = asked.out or Path(mkdtemp()) / "folds"
    settings: dict[str, Any] = {"balance": asked.balance, "threads": asked.threads, "tune": "off"}
    settings |= {"epochs": asked.epochs} if asked.epochs else {}
    several = striate.train_several(
        str(SHARED / "ecoli-promoters"), folds=asked.folds, seed=asked.seed, out=out, **settings
    )
    with open(several.path / "predictions.csv", encoding="utf-8", newline="") as file:
        lines = [(line["label"], line["predicted"], line["fold"]) for line in csv.DictReader(file)]
    folds = [
        scores([line[:2] for line in lines if line[2] == fold]) for fold in sorted({f for *_, f in lines})
    ]
    print("| | sensitivity | specificity | correlation coefficient |\n|---|---|---|---|")
    print("| the paper's CNNProm | 0.90 | 0.96 | 0.84 |")
    together = scores([line[:2] for line in lines])
    print(f"| dna, {asked.folds} folds together | {' | '.join(f'{value:.3f}' for value in together)} |")
    spread = [f"{min(column):.2f} to {max(column):.2f}" for column in zip(*folds, strict=True)]
    print(f"| its folds | {' | '.join(spread)} |")
    print(f"seconds a fold: {statistics.median(run.info['seconds'] for run in several.runs):.0f}")


def scores(pairs: list[tuple[str, ...]]) -> tuple[float, float, float]:
    """Give sensitivity, specificity and Matthews' correlation coefficient of (label, predicted)."""
    count = {
        (label, said): sum((a == "promoters", b == "promoters") == (label, said) for a, b in pairs)
        for label in (True, False)
        for said in (True, False)
    }
    tp, fn, fp, tn = (count[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    under = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return tp / (tp + fn), tn / (tn + fp), (tp * tn - fp * fn) / under


if __name__ == "__main__":
    main()
