"""How many pictures a second reach the network: decoded once and augmented in batches, against the usual way.

The usual way opens, decodes, cuts, flips and normalises one picture at a time, as most training scripts do.
Both sides run in this process with one thread, in turn, five rounds each; files are in the system's cache.
Run ``python benchmarks/loader.py`` (under three minutes); it reads ``../shared/data`` or $STRIATE_DATA.
"""

from __future__ import annotations

import math
import os
import platform
import random
import statistics
import tempfile
import time
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from striate.data.augment import parse
from striate.data.batches import Batches
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.store import build, survey

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ROUNDS = 5
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Case:
    """One data set, and what is done to its pictures."""

    name: str
    archive: str
    files: int
    side: int
    batch: int
    augment: str


CASES = (
    Case("CIFAR-10 (JPEG), 32 px", "cifar10-jpeg.zip", 10_000, 32, 128, "flip,shift=0.125"),
    Case("clothing photographs, 128 px", "clothing-photos.zip", 1_000, 128, 64, "flip,crop=0.35"),
)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"{'':30}{'usual way':>12}{'ours':>12}{'ratio':>8}{'decode once':>14}{'pays after':>14}")
    for case in CASES:
        print(row(case), flush=True)


def row(case: Case) -> str:
    """Measure both ways on one data set."""
    with tempfile.TemporaryDirectory() as folder:
        files = unpack(DATA / case.archive, Path(folder), case.files)
        start = time.perf_counter()
        batches = ours(folder, case)
        decoding = time.perf_counter() - start
        usual_way, our_way = partial(usual_epoch, files, case), partial(our_epoch, batches)
        pairs = [(rate(usual_way), rate(our_way)) for _ in range(ROUNDS)]
    usual, our = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [b / a for a, b in pairs]
    epochs = decoding / (len(files) / usual - len(files) / our)
    return (
        f"{case.name:30}{usual:10,.0f}/s{our:10,.0f}/s{statistics.median(ratios):7.1f}x"
        f"{decoding:12.1f} s{epochs:7.1f} epochs   (ratio {min(ratios):.1f} to {max(ratios):.1f})"
    )


def unpack(archive: Path, folder: Path, files: int) -> list[Path]:
    """Unpack some training pictures, evenly chosen, into a folder per class."""
    with zipfile.ZipFile(archive) as opened:
        names = [n for n in sorted(opened.namelist()) if "train/" in n and n.endswith(".jpg")]
        chosen = [names[i * len(names) // files] for i in range(files)]
        paths = []
        for name in chosen:
            path = folder / Path(name).parent.name / Path(name).name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(opened.read(name))
            paths.append(path)
    return paths


def ours(folder: str, case: Case) -> Batches:
    """Decode every file once."""
    source = open_source(folder)
    preprocess = Preprocess(channels=3, size=case.side, low=(0.0,) * 3, high=(255.0,) * 3, mean=MEAN, std=STD)
    store = build(source, survey(source), preprocess, cache=False)
    targets = np.array([source.classes.index(str(source.samples[i].target)) for i in store.rows])
    augment = parse(case.augment, flips=True, photos=True)
    return Batches(
        store.pixels, targets, np.arange(len(targets)), preprocess, batch=case.batch, seed=0, augment=augment
    )


def our_epoch(batches: Batches) -> int:
    """Make every batch of an epoch; give the number of pictures."""
    return sum(len(batches.at(0, step).inputs) for step in range(batches.steps))


def usual_epoch(files: list[Path], case: Case) -> int:
    """Make every batch of an epoch; give the number of pictures."""
    order = random.sample(files, len(files))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    done = 0
    for first in range(0, len(order) - case.batch + 1, case.batch):
        pictures = [usual_picture(path, case, mean, std) for path in order[first : first + case.batch]]
        done += len(torch.stack(pictures))
    return done


def usual_picture(path: Path, case: Case, mean: Tensor, std: Tensor) -> Tensor:
    """Open, decode, cut, flip and normalise one picture."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    if case.side == 32:
        left, top = random.randint(0, 8), random.randint(0, 8)
        picture = ImageOps.expand(picture, 4).crop((left, top, left + 32, top + 32))
    else:
        picture = random_resized_crop(picture, case.side, smallest=0.35)
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
    return (x - mean) / std


def random_resized_crop(picture: Image.Image, side: int, smallest: float) -> Image.Image:
    """Cut a random part, aspect 3:4 to 4:3, and resize it."""
    area = picture.width * picture.height * random.uniform(smallest, 1)
    aspect = math.exp(random.uniform(-1, 1) * math.log(4 / 3))
    width = min(picture.width, round(math.sqrt(area * aspect)))
    height = min(picture.height, round(math.sqrt(area / aspect)))
    left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
    part = picture.crop((left, top, left + width, top + height))
    return part.resize((side, side), Image.Resampling.BILINEAR)


def rate(epoch: Callable[[], int]) -> float:
    """Measure pictures a second over at least one epoch and half a second."""
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < 0.5:
        done += epoch()
    return done / seconds


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
