"""Starting from weights against starting from nothing, with few pictures; no network is needed.

    python benchmarks/transfer.py [--work FOLDER] [--seeds 5] [--epochs 8]

1. A ResNet-20 learns five classes of CIFAR-10 (JPEG). Then 50 pictures of each of the other
   five classes: from scratch, from those weights, and only a new head on the features: a linear model.
   Test: the 5,000 test pictures of these classes.
2. A ResNet-20 learns all of CIFAR-10 (JPEG). Then 50 photographs of each kind of clothes, at 32 pixels,
   likewise. Test: the 372 test photographs.

Everything is kept in the work folder; what is finished there is not done again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import striate

if TYPE_CHECKING:
    from collections.abc import Collection

DATA = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FIRST = {"airplane", "automobile", "bird", "cat", "deer"}
WAYS: dict[str, dict[str, Any]] = {
    "from scratch": {},
    "a new head on the features": {"freeze": "body"},
    "from the weights": {},
}


def folder(
    archive: str, out: Path, classes: Collection[str] | None, each: int | None = None, seed: int = 0
) -> Path:
    """Unpack some classes of an archive, of the training pictures ``each`` a class, drawn by the seed."""
    if (out / "done").exists():
        return out
    random = np.random.default_rng(seed)
    with zipfile.ZipFile(DATA / archive) as file:
        members: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in sorted(file.namelist()):
            parts = Path(name).parts
            if len(parts) >= 3 and name.endswith(".jpg") and (classes is None or parts[-2] in classes):
                members[parts[-3], parts[-2]].append(name)
        for (side, label), names in members.items():
            if side == "validation" and each is not None:
                continue
            chosen = names
            if side == "train" and each is not None:
                chosen = [names[i] for i in random.permutation(len(names))[:each]]
            place = out / side / label
            place.mkdir(parents=True, exist_ok=True)
            for name in chosen:
                (place / Path(name).name).write_bytes(file.read(name))
    (out / "done").touch()
    return out


def accuracy(data: Path, out: Path, **settings: Any) -> float:
    """Train, or go on, or take what is finished; return the accuracy on the test pictures."""
    if (out / "run.json").exists():
        run = striate.train(resume=out)
    else:
        run = striate.train(data, out=out, **settings)
    return run.metrics["test"]["accuracy"]


def compare(work: Path, archive: str, classes: Collection[str] | None, weights: Path, seeds: int) -> None:
    """Print a row for each way to begin."""
    found: dict[str, list[float]] = {}
    for way, settings in WAYS.items():
        begin = {} if way == "from scratch" else {"weights": str(weights)}
        for seed in range(seeds):
            data = folder(archive, work / f"{Path(archive).stem}-50-{seed}", classes, 50, seed)
            out = work / f"{Path(archive).stem}-{way.replace(' ', '-')}-{seed}"
            told = accuracy(data, out, seed=seed, model="resnet20", size=32, **begin, **settings)
            found.setdefault(way, []).append(100 * told)
        values = found[way]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = ", ".join(f"{value:.1f}" for value in values)
        print(f"| {archive} | {way} | {statistics.mean(values):.1f} ± {spread:.1f} | {each} |", flush=True)


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("transfer"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of each pretraining")
    given = parser.parse_args()
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    learning = {"model": "resnet20", "epochs": given.epochs}
    some = folder("cifar10-jpeg.zip", work / "cifar-first-five", FIRST)
    told = accuracy(some, work / "five-classes", **learning)
    print(f"five classes of CIFAR-10 (JPEG): {100 * told:.1f} %", flush=True)
    print("| data | way | test accuracy, % | each seed |\n|---|---|---|---|", flush=True)
    others = {"dog", "frog", "horse", "ship", "truck"}
    compare(work, "cifar10-jpeg.zip", others, work / "five-classes", given.seeds)
    told = accuracy(DATA / "cifar10-jpeg.zip", work / "ten-classes", **learning)
    print(f"all of CIFAR-10 (JPEG): {100 * told:.1f} %", flush=True)
    compare(work, "clothing-photos.zip", None, work / "ten-classes", given.seeds)


if __name__ == "__main__":
    main()
