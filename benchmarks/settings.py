"""What each setting of speed is worth on ResNet-20, and that the fastest learns what float32 learns.

    python benchmarks/settings.py [--batch 128] [--rounds 5] [--steps 50]

First each candidate against the default settings: steps timed in turn, medians of the rounds' ratios. Then
the choice of `--tune full` against plain float32 (eager, the library's kernels): the loss of the first steps
on pictures of 32 pixels with classes that can be learnt, from equal weights and batches. The mean over each
ten steps must stay within BAND of float32's, or the script ends with an error. OMP_NUM_THREADS=1 keeps it to
a core where other work would disturb two.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time

import numpy as np
import torch

from striate.data.batches import Batch
from striate.models.resnet import resnet20
from striate.runs.recipe import SPEED, Recipe
from striate.training import task as tasks
from striate.training.defaults import fast
from striate.training.step import key
from striate.training.stepper import stepper
from striate.training.tune import Bench, candidates, tuned

CLASSES = tuple("0123456789")
BAND = 0.05  # of the loss
PLAIN = {"precision": "float32", "kernels": "library", "layout": "contiguous", "compile": False}


def pictures(batch: int, step: int) -> Batch:
    """Noise with a tint that the class decides, so that there is something to learn."""
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(batch, 3, 32, 32, generator=draw)
    y = torch.randint(10, (batch,), generator=draw)
    tints = torch.randn(10, 3, 1, 1, generator=torch.Generator().manual_seed(99))
    x += 0.3 * tints[y]
    return Batch(x.contiguous(memory_format=torch.channels_last), y, None, None, np.arange(batch))


def losses(recipe: Recipe, batch: int, steps: int) -> tuple[list[float], float]:
    """Train from the same weights on the same batches: the mean loss of each step, and a step's seconds."""
    torch.manual_seed(0)
    model, told, times = resnet20(classes=10), list[float](), list[float]()
    task = tasks.untrained("classification", CLASSES)
    with stepper(model, task, recipe, pictures(batch, 0).inputs) as train:
        for step in range(steps):
            given = pictures(batch, step)
            key(0, step)
            started = time.perf_counter()
            told.append(train(given)[0].item() / batch)
            times.append(time.perf_counter() - started)
    return told, statistics.median(times)


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    task = tasks.untrained("classification", CLASSES)
    open_recipe = Recipe(
        device="cpu", optimizer="nesterov", lr=0.05, weight_decay=5e-4, label_smoothing=0.0, tune="full"
    )
    start, known = fast(open_recipe), candidates(open_recipe, torch.device("cpu"))
    torch.manual_seed(0)
    model = resnet20(classes=10)
    batch = pictures(asked.batch, 0)
    print(f"start: {', '.join(f'{name} {getattr(start, name)}' for name in SPEED)}")
    print(f"{'setting':<12}{'tried':<18}{'ms a step':>10}{'times as fast':>15}{'gradient off by':>18}")
    for name, value in known:
        if name == "compile":
            continue  # a minute or more; striate train --tune full --minutes 30 tries it
        with Bench(copy.deepcopy(model), task, batch) as bench:
            other = start.replace(**{name: value})
            off, _ = bench.errors(other)
            pairs = [(bench.turn(start), bench.turn(other)) for _ in range(asked.rounds)]
            ratio = statistics.median(one / two for one, two in pairs)
            cost = statistics.median(two for _, two in pairs)
        print(f"{name:<12}{value!s:<18}{cost * 1e3:>10.1f}{ratio:>15.2f}{off:>18.0e}", flush=True)

    chosen, _, _ = tuned(model, task, batch, open_recipe, steps=500)
    print(f"chosen: {', '.join(f'{name} {getattr(chosen, name)}' for name in SPEED)}")
    plain, plain_cost = losses(chosen.replace(**PLAIN), asked.batch, asked.steps)
    ours, cost = losses(chosen, asked.batch, asked.steps)
    worst = 0.0
    print(f"{'steps':<12}{'float32 eager':>14}{'chosen':>10}{'differs by':>12}")
    for first in range(0, asked.steps, 10):
        one, two = (statistics.mean(told[first : first + 10]) for told in (plain, ours))
        worst = max(worst, abs(two / one - 1))
        print(f"{first + 1}-{first + 10:<9}{one:>14.4f}{two:>10.4f}{two / one - 1:>12.1%}")
    print(f"{plain_cost / cost:.2f} times as fast; largest difference {worst:.1%}, allowed {BAND:.0%}")
    return 0 if worst <= BAND else 1


if __name__ == "__main__":
    sys.exit(main())
