"""A training step: ours against bare PyTorch loops on five networks, and what our loop adds to its steps.

    python benchmarks/step.py [--network NAME] [--minutes 14] [--only step|loop]

The first table is ``striate bench``. The second trains the same number of steps twice, in turn: with
``striate.training.loop.fit``, pictures and all, and with a bare loop of the same step, the same settings and
the same pictures, which lie normalised in memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.cli.bench import lines
from striate.cli.show import Lines
from striate.data.augment import Augment
from striate.data.batches import Batch
from striate.data.preprocess import Preprocess
from striate.events import ignore
from striate.runs.folder import Run
from striate.runs.recipe import Recipe
from striate.training import task as tasks
from striate.training.bench import NETWORKS, Network, bench, find, seeded
from striate.training.defaults import fast
from striate.training.loop import Job, fit
from striate.training.stepper import stepper

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS, STEPS = 5, {"lenet5": 800, "resnet20": 50}
ASKED = {"lenet5": 0.10, "resnet20": 0.03}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", help="only this one, in the first table")
    parser.add_argument("--minutes", type=float, default=14.0, help="for the first table")
    parser.add_argument("--only", choices=("step", "loop"))
    asked = parser.parse_args()
    if asked.only != "loop":
        print("\n".join(lines(bench(find(asked.network), asked.minutes * 60, Lines()), None)), flush=True)
    if asked.only != "step":
        print(f"\nwhat our loop adds, {ROUNDS} rounds in turn, {torch.get_num_threads()} threads")
        for name, steps in STEPS.items():
            print(overhead(NETWORKS[name], steps), flush=True)


def overhead(network: Network, steps: int) -> str:
    """Time the loop and the bare loop in turn; say the median of their ratios."""
    draw = np.random.default_rng(0)
    shape = (network.batch * steps, network.size, network.size, network.channels)
    pixels, targets = draw.integers(0, 256, shape, np.uint8), draw.integers(0, network.classes, shape[0])
    both = [(looped(network, pixels, targets), bare(network, pixels, targets)) for _ in range(ROUNDS + 1)][1:]
    added = [loop / plain - 1 for loop, plain in both]
    loop, plain = (1000 * statistics.median(side) / steps for side in zip(*both, strict=True))
    return (
        f"{network.name:9} {loop:8.2f} ms a step in the loop, {plain:8.2f} bare:"
        f" {statistics.median(added):+.1%} ({min(added):+.1%} to {max(added):+.1%};"
        f" asked: {ASKED[network.name]:.0%})"
    )


def recipe_of(network: Network, steps: int) -> Recipe:
    """Make the same settings for both."""
    asked = Recipe(
        size=network.size, batch=network.batch, steps=steps, optimizer="momentum", lr=0.01, weight_decay=0.0,
        label_smoothing=0.0, ema=0.0, augment="off", device="cpu", schedule="constant", warmup=0.0,
    )  # fmt: skip
    return fast(asked)


def looped(network: Network, pixels: NDArray[Any], targets: NDArray[Any]) -> float:
    """Train one epoch with our loop: its seconds, checkpoints included."""
    recipe = recipe_of(network, len(pixels) // network.batch)
    task = tasks.untrained("classification", tuple(map(str, range(network.classes))))
    mean, std = (0.5,) * network.channels, (0.25,) * network.channels
    preprocess = Preprocess(channels=network.channels, size=network.size, mean=mean, std=std)
    with tempfile.TemporaryDirectory() as folder:
        split = {"train": np.arange(len(pixels))}
        run, device = Run(Path(folder)), torch.device("cpu")
        job = Job(
            seeded(network), task, pixels, targets, split, preprocess, Augment(), recipe, run, device
        )  # fmt: skip
        started = time.perf_counter()
        fit(job, ignore)
        return time.perf_counter() - started


def bare(network: Network, pixels: NDArray[Any], targets: NDArray[Any]) -> float:
    """Train one epoch with a bare loop of the same step, on pictures that lie ready: its seconds."""
    recipe = recipe_of(network, len(pixels) // network.batch)
    task = tasks.untrained("classification", tuple(map(str, range(network.classes))))
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(targets)
    batches = [Batch(x[i : i + network.batch], y[i : i + network.batch], None, None, np.arange(0))
               for i in range(0, len(x), network.batch)]  # fmt: skip
    model = seeded(network)
    started = time.perf_counter()
    with stepper(model, task, recipe, batches[0].inputs) as step:
        for batch in batches:
            step(batch)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
