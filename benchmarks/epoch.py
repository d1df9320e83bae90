"""Training from a folder of JPEG files, decoding included: striate against the loop that most scripts have.

    python benchmarks/epoch.py              an epoch of ResNet-20 on 50,000 files of CIFAR-10 (four minutes)
    python benchmarks/epoch.py --photos     pictures seen in ten minutes: ResNet-18, 128 pixels, batch 32

The usual loop: a data set that opens, converts, cuts, flips and normalises a file at a time with Pillow and
torch, as ImageFolder and its transforms do; a DataLoader with 0, 1 and 2 workers; a channels-last step, in
bfloat16 autocast where the processor has AMX, else in float32. A share of the epoch is measured and scaled
up. All train in turn in one process, with the same network, batch and optimiser; a ratio is the median of the
rounds', against whichever number of workers is best in that round.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import statistics
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from striate.data.augment import parse
from striate.data.batches import Batches, ahead
from striate.data.pictures import measured, targets_of
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.store import build, survey
from striate.models import registry
from striate.runs.recipe import Recipe
from striate.training import optim, task
from striate.training.defaults import fast
from striate.training.stepper import stepper

if TYPE_CHECKING:
    from torch import Tensor, nn

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MEAN, STD = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
LOW = torch.cpu.get_capabilities().get("amx_bf16", False)
WORKERS = (0, 1, 2)


@dataclass(frozen=True)
class Case:
    """A data set, and what is trained on it."""

    archive: str
    model: str
    side: int
    batch: int
    augment: str


CIFAR = Case("cifar10-jpeg.zip", "resnet20", 32, 128, "flip,shift=0.125")
PHOTOS = Case("clothing-photos.zip", "resnet18", 128, 32, "flip,crop=0.35")


class Files(Dataset[tuple["Tensor", int]]):
    """A folder per class, a file at a time."""

    def __init__(self, folder: Path, side: int) -> None:
        self.files = sorted(folder.glob("*/*.jpg"))
        self.classes = sorted({file.parent.name for file in self.files})
        self.side = side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        with open(self.files[i], "rb") as file:
            picture = Image.open(file).convert("RGB")
        if self.side == 32:
            left, top = random.randint(0, 8), random.randint(0, 8)
            picture = ImageOps.expand(picture, 4).crop((left, top, left + 32, top + 32))
        else:
            picture = random_resized_crop(picture, self.side)
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        x = pixels.view(self.side, self.side, 3).permute(2, 0, 1).contiguous().float().div(255)
        return x.sub_(MEAN).div_(STD), self.classes.index(self.files[i].parent.name)


def random_resized_crop(picture: Image.Image, side: int) -> Image.Image:
    """Cut 8 to 100 % of the area at an aspect of 3/4 to 4/3 (Szegedy et al. 2015) and resize it."""
    for _ in range(10):
        area = picture.width * picture.height * random.uniform(0.08, 1)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if width <= picture.width and height <= picture.height:
            left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
            part = picture.crop((left, top, left + width, top + height))
            return part.resize((side, side), Image.Resampling.BILINEAR)
    return picture.resize((side, side), Image.Resampling.BILINEAR)


class Usual:
    """The loop that most scripts have."""

    def __init__(self, case: Case, folder: Path, model: nn.Module) -> None:
        self.files = Files(folder, case.side)
        self.batch, self.model = case.batch, model
        self.rule = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

    def seconds(self, steps: int, workers: int) -> float:
        """Train for some steps from the start of an epoch; give seconds a step."""
        loader = DataLoader(self.files, self.batch, shuffle=True, num_workers=workers, drop_last=True)
        began = time.perf_counter()
        for x, y in itertools.islice(loader, steps):
            inputs = x.contiguous(memory_format=torch.channels_last)
            self.rule.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=LOW):
                loss = F.cross_entropy(self.model(inputs), y)
            loss.backward()  # type: ignore[no-untyped-call]
            self.rule.step()
            assert math.isfinite(loss.item())
        return (time.perf_counter() - began) / steps


class Ours:
    """Decode once, then batches of arrays and the step that training takes."""

    def __init__(self, case: Case, folder: Path, model: nn.Module, threads: int) -> None:
        began = time.perf_counter()
        source = open_source(str(folder))
        seen = survey(source)
        preprocess = Preprocess(channels=3, size=case.side)
        store = build(source, seen, preprocess, cache=False)
        targets = targets_of(source, store, source.classes)
        rows = torch.arange(len(targets)).numpy()
        preprocess = measured(preprocess, store.pixels, rows)
        self.once = time.perf_counter() - began
        self.recipe = fast(
            Recipe(model=case.model, batch=case.batch, optimizer="momentum", lr=0.05, device="cpu")
            .replace(weight_decay=5e-4, threads=threads)
        )  # fmt: skip
        augment = parse(case.augment, flips=True, photos=True)
        self.batches = Batches(
            store.pixels, targets, rows, preprocess, batch=case.batch, seed=0, augment=augment
        )
        self.model, self.task = model, task.untrained("classification", source.classes)
        self.rule = optim.optimizer(model, self.recipe, torch.device("cpu"))
        self.plans: dict[str, Any] = {}
        self.workers = 0

    def seconds(self, steps: int, workers: int) -> float:
        """As the usual loop does."""
        first = self.batches.at(0, 0).inputs
        with stepper(self.model, self.task, self.recipe, first, self.rule, self.plans) as step:
            began = time.perf_counter()
            made = ahead(lambda k: self.batches.at(*divmod(k, self.batches.steps)), range(steps), workers)
            for batch in made:
                loss, _ = step(batch)
                assert math.isfinite(loss.item())
            return (time.perf_counter() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", action="store_true")
    parser.add_argument("--minutes", type=float, default=10, help="for the photographs")
    parser.add_argument("--share", type=float, default=0.05, help="of the epoch that is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0, help="threads that prepare our batches")
    asked = parser.parse_args()
    case = PHOTOS if asked.photos else CIFAR
    threads = torch.get_num_threads()
    print(
        f"torch {torch.__version__}, {threads} threads, {os.cpu_count()} cores,"
        f" {'AMX: the usual step in bfloat16' if LOW else 'no AMX: both steps in float32'}; "
        f"{case.model}, {case.side} pixels, batch {case.batch}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as place:
        with zipfile.ZipFile(SHARED / case.archive) as archive:
            archive.extractall(place)
        folder = next(path for path in sorted(Path(place).rglob("train")) if path.is_dir())
        networks = [network(case, folder) for _ in range(2)]
        usual, ours = Usual(case, folder, networks[0]), Ours(case, folder, networks[1], threads)
        steps = max(2, round(asked.share * ours.batches.steps))
        usual.seconds(2, 0)  # the first steps prepare the kernels
        ours.seconds(2, 0)
        rounds = []
        for _ in range(asked.rounds):
            own = ours.seconds(steps, asked.workers)
            rounds.append((own, [usual.seconds(steps, workers) for workers in WORKERS]))
    tell(case, ours, rounds, steps, asked.minutes * 60 if asked.photos else 0)


def network(case: Case, folder: Path) -> nn.Module:
    """Make a network; equal first weights each time."""
    torch.manual_seed(0)
    classes = sum(path.is_dir() for path in folder.iterdir())
    model = registry.build(case.model, classes=classes, channels=3, size=case.side)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def tell(case: Case, ours: Ours, rounds: list[tuple[float, list[float]]], steps: int, budget: float) -> None:
    """Print seconds a step, and the ratios that the table asks for."""
    whole = ours.batches.steps
    print(f"{steps} of {whole} steps measured; ours reads and decodes once: {ours.once:.1f} s")
    for k, workers in enumerate(WORKERS):
        seconds = statistics.median(usual[k] for _, usual in rounds)
        print(f"usual, {workers} workers: {seconds * 1e3:6.1f} ms a step, {seconds * whole:6.1f} s an epoch")
    own = statistics.median(own for own, _ in rounds)
    print(f"ours:             {own * 1e3:6.1f} ms a step, {own * whole:6.1f} s an epoch")
    if budget:
        ratios = {
            "pictures seen": [(budget - ours.once) / own * min(usual) / budget for own, usual in rounds]
        }
        seen = (budget - ours.once) / own * case.batch
        print(f"in {budget / 60:g} minutes ours sees {seen:,.0f} pictures")
    else:
        ratios = {
            "first epoch": [min(usual) * whole / (ours.once + own * whole) for own, usual in rounds],
            "later epochs": [min(usual) / own for own, usual in rounds],
        }
    for name, values in ratios.items():
        print(f"{name}: ratio {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
