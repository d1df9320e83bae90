"""The decks' claim as one measured figure: on shifted MNIST, a convolutional network against the MLP.

    python benchmarks/shifted.py shared/data/mnist [--epochs 2] [--out runs/shifted] [--sample 2000]

Both are trained without augmentation, so that neither saw a shifted digit, and measured on the same test
pictures moved by 0 to 7 pixels in the same drawn directions. The convolutional network is three convolutions
with pooling, then a global average; it has fewer parameters than the MLP. A run that is there already is used
again, and one that was stopped goes on. Prints accuracy at each shift with its 95 % interval, and
the share of pictures that keep their answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor, nn

import striate
from striate import api


class Pooled(nn.Module):
    """Three convolutions and a global average: where a thing is says little, what it is says all."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        scores: Tensor = self.head(self.body(x).mean((2, 3)))
        return scores


def trained(name: str, model: object, data: str, epochs: int, out: Path) -> striate.Run:
    """Train, go on with what was stopped, or open what was trained before."""
    known = None if isinstance(model, str) else model
    if not (out / name / "run.json").exists():
        return api.train(data, model=model, epochs=epochs, size=28, augment="off", tune="off", out=out / name)
    run = api.load(out / name, model=known)
    return run if run.info["status"] == "finished" else api.train(resume=out / name, model=known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/shifted"))
    parser.add_argument("--sample", type=int, default=2000)
    asked = parser.parse_args()
    for name, model in (("pooled", Pooled), ("mlp", "mlp")):
        run = trained(name, model, asked.data, asked.epochs, asked.out)
        found = api.stress(run, only=["shift"], sample=asked.sample)
        parameters = run.info["parameters"]
        print(f"{name}  {parameters:,} parameters, {found.own.measured.clean.n:,} test pictures")
        for point in found.own.measured.curves["shift"].points:
            low, high = point.interval
            print(f"  {point.level:.0f} px  {point.accuracy:6.1%}  ({low:.1%} to {high:.1%})")
        if found.own.consistency is not None:
            print(f"  shift consistency {found.own.consistency.accuracy:.1%}")


if __name__ == "__main__":
    main()
