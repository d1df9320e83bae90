"""Four languages told apart by given names: five kinds of network at equal parameters, as a markdown table.

    python benchmarks/names.py [GRU LSTM ...] [--parameters 30000] [--repeat 3] [--epochs 8] [--out FOLDER]

Each is trained by ``striate train --repeat`` with one recipe; a seed decides the split, too. Copies of a name
are on one side of it, whatever language they stand under. Given is the mean and the standard deviation over
the seeds. Seconds are of one run, from files to report, on one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import striate
from striate.models.registry import build
from striate.ops import sequence

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LETTERS, LANGUAGES = 59, 4
RECIPE: dict[str, Any] = {"batch": 64, "lr": 2e-3, "clip": 1.0, "tune": "off", "threads": 1}
KINDS = {
    "RNN": "rnn-{}",
    "GRU": "gru-{}",
    "LSTM": "lstm-{}",
    "LSTM, both ways": "bilstm-{}",
    "TCN": "tcn-3-3-{}",
    "CNN": "",  # the one below
}


class Convolutional(nn.Module):
    """Two convolutions over three letters each, and the strongest answer of each of their kernels."""

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, channels, L), give (N, classes)."""
        n = sequence.lengths(x)
        h = sequence.masked(torch.relu(self.first(x)), n)
        answer: Tensor = self.output(sequence.max_over_time(torch.relu(self.second(h)), n))
        return answer


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"only these of {', '.join(KINDS)}")
    parser.add_argument("--parameters", type=int, default=30_000)
    parser.add_argument("--repeat", type=int, default=3, help="seeds, at least 2")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, help="where the runs go; what is finished there is not repeated")
    arguments = parser.parse_args()
    out = arguments.out or Path(mkdtemp())
    print("| network | parameters | test accuracy, % | mean | seconds |\n|---|---|---|---|---|", flush=True)
    for kind in arguments.kinds or KINDS:
        name, model = of_size(KINDS[kind], arguments.parameters)
        several = striate.train_several(
            SHARED / "names", repeat=arguments.repeat, model=model, epochs=arguments.epochs, **RECIPE,
            out=out / kind.replace(", ", "-").replace(" ", "-"),
        )  # fmt: skip
        found = [100 * run.info["metrics"]["test"]["accuracy"] for run in several.runs]
        seconds = statistics.median(run.info["seconds"] for run in several.runs)
        print(
            f"| {kind} ({name}) | {several.runs[0].info['parameters']:,} "
            f"| {', '.join(f'{value:.1f}' for value in found)} "
            f"| {statistics.mean(found):.1f} ± {statistics.stdev(found):.1f} | {seconds:.0f} |",
            flush=True,
        )


def of_size(pattern: str, parameters: int) -> tuple[str, str | Callable[..., nn.Module]]:
    """Find the width that comes nearest to so many parameters: how it is called, and what to train."""

    def cnn(classes: int, channels: int) -> nn.Module:
        return Convolutional(classes, channels, width)

    def off_by(wanted: int) -> int:
        with torch.device("meta"):
            if pattern:
                network = build(pattern.format(wanted), classes=LANGUAGES, channels=LETTERS)
            else:
                network = Convolutional(LANGUAGES, LETTERS, wanted)
        return abs(parameters - sum(p.numel() for p in network.parameters()))

    width = min(range(4, 256), key=off_by)
    return (pattern.format(width), pattern.format(width)) if pattern else (f"width {width}", cnn)


if __name__ == "__main__":
    main()
