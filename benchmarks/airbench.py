"""On a GPU: seconds to 94 % of CIFAR-10 (JPEG), the recipe fast against the public airbench94 scripts.

    python benchmarks/airbench.py --script airbench94_muon.py --script legacy/airbench94.py
    python benchmarks/airbench.py --dry-run            what would be run, and whether it is all there

The scripts are yours: get them from the repository KellerJordan/cifar10-airbench. Each runs as it is but for
the number of its trials, in a folder where it finds the same pictures as ours (the JPEG copy, in the script's
own file format). All are timed alike: training with the first layer's preparation and the scoring of the test
pictures, without decoding, compiling and report. The scripts and ours take turns, a process each.
If no script reaches 94 % on this copy, look for the epochs at which ours has the mean that they do reach.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from striate import api
from striate.data.pictures import Pictures, prepare
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.survey import survey
from striate.runs.load import preprocess_of
from striate.training import task as tasks
from striate.training.evaluate import evaluate

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATA = SHARED / "cifar10-jpeg.zip"
EPOCHS, BATCH = 8, 2000  # the length and the batches of airbench94_muon
TRIALS = re.compile(r"range\(\d+\)\]\)")  # how the scripts end: [main(run, ...) for run in range(200)])

Result = tuple[float, float]  # accuracy, seconds


def read() -> Pictures:
    """Decode all pictures."""
    source = open_source(str(DATA))
    return prepare(source, survey(source), Preprocess(channels=3, size=32), val=0.0, test=None, seed=0)


def ours(pictures: Pictures, runs: int, device: str, epochs: int, steps: int | None) -> list[Result]:
    """Train several times; the first is for warming up and not counted."""
    found = []
    rows = pictures.split["test"]
    for seed in range(runs + 1):
        with tempfile.TemporaryDirectory() as place:
            run = api.train(
                DATA, recipe="fast", out=Path(place) / "run", seed=seed, epochs=epochs, batch=BATCH,
                device=device, steps=steps,
            )  # fmt: skip
            model, preprocess = run.model.to(device), preprocess_of(run)
            began = time.perf_counter()
            _, scores = evaluate(
                model, tasks.from_info(run.info), pictures.store.pixels, pictures.targets, rows, preprocess,
                precision=run.precision, device=device, tta=run.recipe.tta,
            )  # fmt: skip
            scoring = time.perf_counter() - began
            found.append((scores.summary()["accuracy"], run.history[-1]["seconds"] + scoring))
    return found[1:]


def put_where_scripts_look(pictures: Pictures, folder: Path) -> None:
    """Write the pictures as the scripts keep what they downloaded: cifar10/train.pt and test.pt."""
    (folder / "cifar10").mkdir()
    for name in ("train", "test"):
        rows = pictures.split[name]
        held = {
            "images": torch.from_numpy(np.array(pictures.store.pixels[rows])),
            "labels": torch.from_numpy(pictures.targets[rows]),
            "classes": list(pictures.source.classes),
        }
        torch.save(held, folder / "cifar10" / f"{name}.pt")  # the scripts' format, read by them alone


def with_trials(code: str, runs: int) -> str:
    """Change how many trials a script makes."""
    changed, count = TRIALS.subn(f"range({runs})])", code)
    if count != 1:
        sys.exit("The script does not end as airbench94's do: its number of trials was not found.")
    return changed


def results(printed: str) -> list[Result]:
    """Read a script's table: the last two columns of each trial's line of `eval`."""
    cells = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in printed.splitlines()]
    lines = [row for row in cells if "eval" in row]
    return [(float(row[-2]), float(row[-1])) for row in lines]


def theirs(script: Path, pictures: Pictures, runs: int) -> list[Result]:
    """Run a public script on the same pictures, with a trial more than is counted: one for warming up."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        put_where_scripts_look(pictures, folder)
        (folder / script.name).write_text(
            with_trials(script.read_text(encoding="utf-8"), runs + 1), encoding="utf-8"
        )
        done = subprocess.run(
            [sys.executable, script.name], cwd=folder, check=True, capture_output=True, text=True
        )
    return results(done.stdout)[-runs:]


def row(name: str, found: list[Result]) -> str:
    """Make a line of the table: means, and the spread (standard deviation) of single runs."""
    accuracy, seconds = ([pair[i] for pair in found] for i in (0, 1))
    several = len(found) > 1
    spread = [statistics.stdev(values) if several else 0.0 for values in (accuracy, seconds)]
    return (
        f"| {name} | {len(found)} | {statistics.mean(accuracy):.2%} ({spread[0]:.2%})"
        f" | {statistics.mean(seconds):.2f} ({spread[1]:.2f}) |"
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--script", type=Path, action="append", default=[], help="a public script")
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of ours")
    parser.add_argument("--steps", type=int, help="of ours, in place of epochs: to try the script out")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry-run", action="store_true")
    asked = parser.parse_args(words)
    missing = [str(path) for path in (DATA, *asked.script) if not path.is_file()]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    if asked.dry_run:
        for name in ["ours", *map(str, asked.script)]:
            print(f"{name}: {asked.runs} runs on {asked.device} ({gpu})")
        print(f"missing: {', '.join(missing) or 'nothing'}")
        return
    if missing:
        sys.exit(f"Not there: {', '.join(missing)}")
    pictures = read()
    print(f"{gpu}, torch {torch.__version__}")
    print("| what | runs | accuracy (spread) | seconds (spread) |\n|---|---|---|---|")
    print(row("ours", ours(pictures, asked.runs, asked.device, asked.epochs, asked.steps)), flush=True)
    for script in asked.script:
        print(row(script.name, theirs(script, pictures, asked.runs)), flush=True)


if __name__ == "__main__":
    main()
