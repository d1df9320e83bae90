"""Photographs: striate's one command against ResNet-18 trained the usual way for the same minutes.

    python benchmarks/photos.py                     both, three seeds, ten minutes each: an hour
    python benchmarks/photos.py --seeds 1 --only ours

The usual way: a picture at a time through Pillow (random resized crop to 128 pixels, flip), a DataLoader with
two workers, ResNet-18 in float32, SGD with momentum, a cosine that reaches zero when the time is up. Its
time is training alone; striate's is the whole command, from files to report. The two take turns.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from striate.models.resnet import resnet18

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATA = SHARED / "clothing-photos.zip"
SIZE, BATCH, RATE, DECAY = 128, 64, 0.05, 5e-4
MEAN, STD = (
    torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
    torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
)


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """One split, a file and a picture at a time, as tutorials do it."""

    def __init__(self, folder: Path, *, train: bool) -> None:
        self.files = sorted(folder.glob("*/*"))
        self.classes = sorted({file.parent.name for file in self.files})
        self.train = train

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        image: Any = Image.open(self.files[i]).convert("RGB")
        if self.train:
            image = _random_resized_crop(image)
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        else:
            scale = 146 / min(image.size)
            image = image.resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
            )
            left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
            image = image.crop((left, top, left + SIZE, top + SIZE))
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(SIZE, SIZE, 3)
        return (pixels.permute(2, 0, 1).float() / 255 - MEAN) / STD, self.classes.index(
            self.files[i].parent.name
        )


def _random_resized_crop(image: Image.Image) -> Image.Image:
    """Cut 8 to 100 % of the area at an aspect of 3/4 to 4/3 (Szegedy et al. 2015) and resize it."""
    area = image.width * image.height
    for _ in range(10):
        target, ratio = (
            area * random.uniform(0.08, 1),
            math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3))),
        )
        width, height = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if width <= image.width and height <= image.height:
            left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
            return image.resize(
                (SIZE, SIZE), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
            )
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def usual(folder: Path, minutes: float, seed: int) -> dict[str, float]:
    """Train the usual way until the time is up; score the test split afterwards."""
    torch.manual_seed(seed)
    random.seed(seed)
    train, test = Photos(folder / "train", train=True), Photos(folder / "test", train=False)
    model = resnet18(classes=len(train.classes))
    rule = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=DECAY)
    loader = DataLoader(train, BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    began, seen = time.monotonic(), 0
    while (time.monotonic() - began) < minutes * 60:
        for inputs, targets in loader:
            progress = (time.monotonic() - began) / (minutes * 60)
            if progress >= 1:
                break
            for group in rule.param_groups:
                group["lr"] = RATE * (1 + math.cos(math.pi * progress)) / 2
            loss = F.cross_entropy(model(inputs), targets)
            rule.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            rule.step()
            seen += len(targets)
    seconds = time.monotonic() - began
    model.eval()
    with torch.inference_mode():
        hits = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(test, BATCH))
    return {"accuracy": hits / len(test), "seconds": seconds, "epochs": seen / len(train)}


def ours(minutes: float, seed: int, out: Path) -> dict[str, float]:
    """Run the command a user runs; read what it wrote."""
    began = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "striate",
        "train",
        str(DATA),
        "--minutes",
        str(minutes),
        "--seed",
        str(seed),
    ]
    subprocess.run(
        [*command, "--out", str(out)], check=True, env=os.environ | {"STRIATE_CACHE": str(out) + "-cache"}
    )
    seconds = time.monotonic() - began
    info = json.loads((out / "run.json").read_text())
    last = json.loads((out / "history.jsonl").read_text().splitlines()[-1])
    return {"accuracy": info["metrics"]["test"]["accuracy"], "seconds": seconds, "epochs": last["epoch"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=["ours", "usual"])
    parser.add_argument("--out", type=Path, help="keep striate's runs here")
    asked = parser.parse_args()
    results: dict[str, list[float]] = {"ours": [], "usual": []}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        zipfile.ZipFile(io.BytesIO(DATA.read_bytes())).extractall(place / "files")
        folder = next(path.parent for path in sorted((place / "files").rglob("train")) if path.is_dir())
        for seed in asked.seeds:
            for way in ("ours", "usual"):
                if asked.only in {None, way}:
                    found = (
                        usual(folder, asked.minutes, seed)
                        if way == "usual"
                        else ours(asked.minutes, seed, (asked.out or place) / f"photos-{seed}")
                    )
                    results[way].append(found["accuracy"])
                    print(
                        f"{way:6} seed {seed}: test {found['accuracy']:.2%}"
                        f" after {found['seconds']:.0f} s, {found['epochs']:.1f} epochs",
                        flush=True,
                    )
    for way, values in results.items():
        if values:
            mean = sum(values) / len(values)
            print(
                f"{way:6} mean {mean:.2%}, from {min(values):.2%} to {max(values):.2%}, {len(values)} seeds"
            )


if __name__ == "__main__":
    main()
