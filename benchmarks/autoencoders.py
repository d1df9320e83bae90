"""MNIST in 30 numbers: the linear code, the deep one, and noise taken out, each beside PCA of the same size.

    python benchmarks/autoencoders.py linear
    python benchmarks/autoencoders.py deep --model autoencoder_relu --minutes 5
    python benchmarks/autoencoders.py denoising --minutes 5

Each trains one run by the command that a user types, all 60,000 training pictures, and prints the squared
error an image on the 10,000 test pictures (summed over 784 values in 0..1) beside what Hinton and
Salakhutdinov 2006 print: PCA 13.87, deep 3.00 (figure 2B). denoising learns with Gaussian noise of 0.5 and is
then shown that noise, and masks that it never saw.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from striate import api

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DAMAGES = ("off", "noise=0.25", "noise=0.5", "noise=0.75", "mask=0.25", "mask=0.5")


def main() -> None:
    """Train one network, hold it against PCA, print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("linear", "deep", "denoising"))
    parser.add_argument("--data", default=str(SHARED / "mnist"))
    parser.add_argument("--model", help="by default autoencoder_linear, else autoencoder_relu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--epochs", type=int, help="passes, where --minutes are not given (default: 12)")
    parser.add_argument("--pretrain", type=int, default=0)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the run folder (default: a temporary one)")
    given = parser.parse_args()
    model = given.model or ("autoencoder_linear" if given.what == "linear" else "autoencoder_relu")
    length = {"minutes": given.minutes} if given.minutes else {"epochs": given.epochs or 12}
    corrupt = "noise=0.5" if given.what == "denoising" else "off"
    with tempfile.TemporaryDirectory() as folder:
        began, processor = time.monotonic(), time.process_time()
        run = api.train(
            given.data,
            task="reconstruction",
            model=model,
            corrupt=corrupt,
            pretrain=given.pretrain,
            lr=given.lr,
            val=0.0,
            seed=given.seed,
            out=given.out or Path(folder) / "run",
            **length,
        )
        spent, used = time.monotonic() - began, time.process_time() - processor
        epochs = run.history[-1]["epoch"]
        print(f"{model}, {epochs} epochs, {spent:.0f} s ({used:.0f} s of a core), seed {given.seed}")
        print(f"training error in the last epoch {run.metrics['train']['squared_error']:.4f}")
        for damage in DAMAGES if given.what == "denoising" else DAMAGES[:1]:
            found = api.reconstruct(run, given.data, split="test", corrupt=damage)
            scores = ", ".join(f"{way} {score.error:.4f}" for way, score in found.scores.items())
            print(f"{damage:>10}: {scores}", flush=True)


if __name__ == "__main__":
    main()
