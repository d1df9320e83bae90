"""How much of what is pasted anywhere on a large canvas ``scan`` finds: test pictures of CIFAR-10 (JPEG).

    striate train cifar10-jpeg.zip --model composites:unpadded --minutes 2.5 --out RUN     in benchmarks/
    python composites.py cifar10-jpeg.zip RUN

With ``--nothing OUT.zip`` in place of RUN it writes a copy of the data with a class ``nothing``, to train on.
Any other run on CIFAR-10 can be measured, too. A composite is 256 x 256 pixels of faint texture with one to
three objects, each at 1 to 2 times its 32 pixels, none on top of another. Found: a box of the right class
with an intersection over union of at least 0.4. A false box is any other.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import tempfile
import time
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import nn

from striate.api.scan import scan
from striate.runs.load import load
from striate.scan.found import Scanned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.runs.folder import Run

SIDE, OBJECT, SURE = 256, 32, 0.4  # pixels, pixels, intersection over union
THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
Corners = tuple[float, float, float, float]


def unpadded(classes: int = 10, channels: int = 3) -> nn.Module:
    """Build a small network without padding for 32 pixels: total stride 4, 3x3 kernels, dense at the end."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(channels, 32), *block(32, 32), nn.MaxPool2d(2),
        *block(32, 64), *block(64, 64), nn.MaxPool2d(2),
        *block(64, 128), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 9, classes),
    )  # fmt: skip


@dataclass(frozen=True)
class Composite:
    """A canvas (SIDE, SIDE, 3) and what was pasted: class and left, top, right, bottom."""

    canvas: NDArray[np.uint8]
    objects: tuple[tuple[str, Corners], ...]


def composite(pictures: dict[str, list[Image.Image]], seed: int) -> Composite:
    """Paste one to three objects at places and sizes drawn by the seed."""
    random = np.random.default_rng(seed)
    coarse = random.normal(random.uniform(90, 160), 12, (12, 12, 3)).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    fine = np.asarray(canvas, np.float32) + random.normal(0, 5, (SIDE, SIDE, 1))
    canvas = Image.fromarray(fine.clip(0, 255).astype(np.uint8))
    objects: list[tuple[str, Corners]] = []
    for _ in range(random.integers(1, 4)):
        name = sorted(pictures)[random.integers(len(pictures))]
        side = round(OBJECT * 2 ** random.uniform(0, 1))
        left, top = random.integers(0, SIDE - side, 2).tolist()
        place = (float(left), float(top), float(left + side), float(top + side))
        if all(shared(place, other) == 0 for _, other in objects):
            picture = pictures[name][random.integers(len(pictures[name]))]
            canvas.paste(picture.resize((side, side), Image.Resampling.BICUBIC), (left, top))
            objects.append((name, place))
    return Composite(np.asarray(canvas), tuple(objects))


def shared(one: Corners, other: Corners) -> float:
    """Give the intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    inside = max(0.0, wide) * max(0.0, high)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return inside / (sum(areas) - inside)


def pictures_of(data: Path, split: str = "test") -> dict[str, list[Image.Image]]:
    """Open the pictures of a split by class."""
    found = defaultdict(list)
    with zipfile.ZipFile(data) as archive:
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if parts[0] == split and name.endswith(".jpg"):
                found[parts[1]].append(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--nothing", type=Path)
    parser.add_argument("--composites", type=int, default=100)
    asked = parser.parse_args()
    if asked.nothing is not None:
        with_nothing(asked.data, asked.nothing)
        return
    run, pictures = load(asked.run, trust=True), pictures_of(asked.data)
    began = time.perf_counter()
    looked = [over(run, composite(pictures, seed)) for seed in range(asked.composites)]
    seconds = (time.perf_counter() - began) / len(looked)
    objects = sum(len(one.objects) for one, _ in looked)
    accuracy = run.metrics["test"]["accuracy"]
    print(
        f"{asked.run}: test accuracy {accuracy:.1%}, {looked[0][1].how}, a window every {looked[0][1].stride}"
    )
    print(f"{len(looked)} composites, {objects} objects, {seconds:.2f} s each")
    print("threshold  found  false boxes a composite  precision")
    for threshold in THRESHOLDS:
        hits, boxes = (sum(n) for n in zip(*(counted(*one, threshold) for one in looked), strict=True))
        print(
            f"{threshold:9.2f} {hits / objects:6.1%} {(boxes - hits) / len(looked):24.2f}"
            f" {hits / max(1, boxes):10.1%}"
        )


def with_nothing(data: Path, out: Path, each: int = 5000) -> None:
    """Copy the data set and add a class ``nothing``: windows of composites that hold no object, or a part.

    each: pictures for training, a fifth of them more for the test; the objects are those of the same split.
    """
    shutil.copyfile(data, out)
    random = np.random.default_rng(0)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        for split, count in (("train", each), ("test", each // 5)):
            pictures, made = pictures_of(data, split), 0
            for seed in itertools.count(10**6):
                one = composite(pictures, seed)
                for _ in range(20):
                    side = round(OBJECT * 2 ** random.uniform(0, 2))
                    left, top = random.integers(0, SIDE - side, 2).tolist()
                    box = (float(left), float(top), float(left + side), float(top + side))
                    overlap = max(shared(box, place) for _, place in one.objects)
                    if overlap < 0.3 and (overlap > 0 or random.random() < 0.3):
                        window = Image.fromarray(one.canvas).resize((OBJECT, OBJECT), box=box)
                        buffer = io.BytesIO()
                        window.save(buffer, "jpeg", quality=95)
                        archive.writestr(f"{split}/nothing/{made:04}.jpg", buffer.getvalue())
                        made += 1
                if made >= count:
                    break


def over(run: Run, one: Composite) -> tuple[Composite, Scanned]:
    """Look a composite over with the least threshold."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(one.canvas).save(file.name)
        found = scan(run, file.name, threshold=THRESHOLDS[0])
    assert isinstance(found, Scanned)
    return one, found


def counted(one: Composite, found: Scanned, threshold: float) -> tuple[int, int]:
    """Count the objects that were found, each once, and all boxes of at least the threshold."""
    boxes = [(each.name, box) for each in found.classes for box in each.boxes if box.score >= threshold]
    hits = sum(
        any(
            name == wanted and shared(place, (box.left, box.top, box.right, box.bottom)) >= SURE
            for wanted, box in boxes
        )
        for name, place in one.objects
    )
    return hits, len(boxes)


if __name__ == "__main__":
    main()
