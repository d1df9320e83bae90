"""What the examples share: their options, fewer pictures, a followed training, the figure and the table."""

from __future__ import annotations

import argparse
import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

import striate
from striate.errors import Diverged
from striate.events import Epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from striate.events import Event

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CIFAR10 = SHARED / "cifar10-jpeg.zip"


def options(
    about: str, *, data: str, pictures: int, epochs: int, quick: tuple[int, int]
) -> argparse.Namespace:
    """Read the command line; ``quick``: the pictures and epochs of --quick, to see whether it works."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=data, help="what striate train takes (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=pictures, help="of a zip, train on so many; 0: all")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for figure and runs")
    parser.add_argument("--go-on", action="store_true", help="keep or finish the runs that are in --out")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: does it work?")
    given = parser.parse_args()
    if given.quick:
        given.pictures, given.epochs = quick
    given.out.mkdir(parents=True, exist_ok=True)
    if given.pictures and str(given.data).endswith(".zip"):
        given.data = fewer(Path(given.data), given.pictures, given.out / f"{given.pictures}-pictures.zip")
    return given


def fewer(archive: Path, pictures: int, out: Path) -> Path:
    """Write a smaller archive: the first ``pictures`` of train/CLASS/..., evenly by class, and all the rest.

    With fewer than 1,000 pictures the test pictures are as few, too.
    """
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(out, "w") as part:
        names = sorted(name for name in whole.namelist() if not name.endswith("/"))
        folders = Counter(name.rpartition("/")[0] for name in names)
        training = [folder for folder in folders if "train" in Path(folder).parts]
        each, taken = pictures // len(training), Counter[str]()
        for name in names:
            folder = name.rpartition("/")[0]
            taken[folder] += 1
            if taken[folder] <= each or (folder not in training and pictures >= 1000):
                part.writestr(name, whole.read(name))
    return out


def course(
    name: str, given: argparse.Namespace, **settings: Any
) -> tuple[striate.Run | None, list[dict[str, Any]]]:
    """Train, and give the run and its history; no run where the loss became no number."""

    def hear(event: Event) -> None:
        if isinstance(event, Epoch):
            print(f"{name}: epoch {event.epoch}, training loss {event.train['loss']:.4g}", flush=True)

    out = given.out / "runs" / name
    begun = given.go_on and (out / "run.json").exists()
    if begun and (run := striate.load(out)).info["status"] == "finished":
        return run, run.history
    if not begun:
        shutil.rmtree(out, ignore_errors=True)
    asked = {"epochs": given.epochs, "seed": given.seed, **settings}
    try:
        run = (
            striate.train(resume=out, emit=hear)
            if begun
            else striate.train(given.data, out=out, emit=hear, **asked)
        )
    except Diverged as diverged:
        print(f"{name}: {diverged.message}")
        return None, striate.load(out).history
    return run, run.history


def error(scores: dict[str, float]) -> float:
    """Turn an accuracy into an error in percent."""
    return 100 * (1 - scores["accuracy"])


def canvas(columns: int = 1, *, height: float = 3.2) -> tuple[Figure, Any]:
    """Make a figure with axes side by side."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}
    return plt.subplots(1, columns, figsize=(4.4 * columns, height), layout="constrained", squeeze=False)


def finish(
    figure: Figure,
    name: str,
    given: argparse.Namespace,
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> None:
    """Write the figure as PNG and SVG, print the table, and say where the figure is."""
    for ending in ("png", "svg"):
        figure.savefig(given.out / f"{name}.{ending}", dpi=160)
    table = [list(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"figure: {given.out / name}.png")
