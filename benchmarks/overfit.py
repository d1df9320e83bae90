"""Every network of ours learns 32 pictures by heart: a row each, as a markdown table.

    python benchmarks/overfit.py ../shared/data/cifar10-jpeg.zip [NAME ...] [--side 16] [--steps 300]

Each at the smallest square that it can be trained on, with Adam and without dropout; a row is written when a
training step has answered all 32 right, or after 100 steps. Names limit it to those.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from striate.data.batches import Batch
from striate.models.registry import MODELS, build
from striate.summary.smallest import works
from striate.training import task as tasks
from striate.training.optim import initialise
from striate.training.step import training_step

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse")
MOST = 100  # steps
ATTEMPTS = (("default", 1e-3), ("default", 1e-4), ("he_normal", 1e-4), ("default", 1e-2))  # weights, rate


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("names", nargs="*", help="only these networks")
    parser.add_argument("--side", type=int, help="of the pictures, in place of the smallest")
    parser.add_argument("--steps", type=int, default=MOST, help="at most")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # on maps of a few pixels threads mostly wait for each other
    x, y = pictures(arguments.archive)
    print("| network | input | first weights | rate | steps | seconds |\n|---|---|---|---|---|---|")
    classifiers = [name for name, known in MODELS.items() if len(known.input) == 3 and known.classes]
    for name in arguments.names or classifiers:
        channels, side = MODELS[name].input[0], arguments.side or smallest_side(name)
        small = F.interpolate(x.mean(1, keepdim=True) if channels == 1 else x, (side, side), mode="bilinear")
        for init, rate in ATTEMPTS:
            steps, seconds = learnt(name, small, y, init, rate, arguments.steps)
            if steps:
                break
        written = str(steps) if steps else f"not in {arguments.steps}"
        print(
            f"| {name} | {channels}x{side}x{side} | {init} | {rate:g} | {written} | {seconds:.1f} |",
            flush=True,
        )


def pictures(archive: Path) -> tuple[Tensor, Tensor]:
    """Give four pictures of each class, (32, 3, 32, 32), normalised by channel, and their classes."""
    with zipfile.ZipFile(archive) as opened:
        names = [f"train/{name}/{i:04}.jpg" for name in CLASSES for i in range(4)]
        pixels = [np.asarray(Image.open(io.BytesIO(opened.read(name))).convert("RGB")) for name in names]
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    return x, torch.arange(len(CLASSES)).repeat_interleave(4)


def smallest_side(name: str) -> int:
    """Find the smallest square, from 4 pixels on, that a network can be built for and trained on."""
    channels, own = MODELS[name].input[:2]
    low, high = 3, own
    while high - low > 1:  # every larger one works, too
        side = (low + high) // 2
        try:
            with torch.device("meta"):
                model = build(name, classes=len(CLASSES), channels=channels, size=side)
            fits = works(model.train(), (channels, side, side), torch.float32)
        except Exception:  # noqa: BLE001 - refused while it was built
            fits = False
        low, high = (low, side) if fits else (side, high)
    return high


def learnt(name: str, x: Tensor, y: Tensor, init: str, rate: float, most: int) -> tuple[int, float]:
    """Train from seed 0 until a step answers all right: the steps before it, 0 for never, and the seconds."""
    torch.manual_seed(0)
    model = build(name, classes=len(CLASSES), channels=x.shape[1], size=x.shape[2])
    initialise(model, init, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    task, batch = tasks.untrained("classification", CLASSES), Batch(x, y, None, None, np.arange(len(y)))
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    started = time.perf_counter()
    for step in range(most + 1):
        _, right = training_step(model, task, batch, optimiser, precision="float32", clip=1.0)
        if right == len(y):
            return step, time.perf_counter() - started
    return 0, time.perf_counter() - started


if __name__ == "__main__":
    main()
