"""A row of docs/reproductions.md: train with a recipe of striate's, score, print beside the paper's figure.

    python benchmarks/reproductions.py lenet5-quick
    python benchmarks/reproductions.py convnetjs --epochs 20
    python benchmarks/reproductions.py resnet-cifar-quick --run FOLDER      a run that was made before

Where the recipe says cifar10, the pictures are CIFAR-10 (JPEG). Seconds are the processor's, of all threads
together, from files to report: other work on the machine lengthens the wall's clock more than these. The
network of ConvNetJS is also scored as its page does it: the mean answer to six changed copies of a picture.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import striate
from striate import api
from striate.data import draws, transform
from striate.data.augment import parse
from striate.data.pictures import prepare
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.survey import survey
from striate.events import Event, Step
from striate.runs.load import preprocess_of
from striate.runs.recipe import named, packaged

if TYPE_CHECKING:
    from striate.runs.folder import Run

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATA = {"mnist": SHARED / "mnist", "cifar10": SHARED / "cifar10-jpeg.zip"}
# Test error in percent on the data of the recipe, where the source prints one.
PUBLISHED = {
    "mlp": "3.05 (figure 9)",
    "lenet5": "0.95 (figure 9)",
    "nin": "8.81 (table 1)",
    "convnetjs": "about 20 (its page; a rough bar)",
    "resnet-cifar": "8.75 (table 6)",
}
COPIES = 6  # ConvNetJS's page: the mean answer to so many changed copies


def averaged(run: Run, copies: int) -> float:
    """Give the test accuracy of the mean probabilities over changed copies of each picture.

    Each copy is changed as the run's training pictures were, by draws of its own.
    """
    recipe, preprocess = run.recipe, preprocess_of(run)
    assert isinstance(preprocess, Preprocess)
    source = open_source(recipe.data)
    pictures = prepare(source, survey(source), preprocess, val=recipe.val, test=recipe.test, seed=recipe.seed)
    rows, augment = pictures.split["test"], parse(recipe.augment or "off", flips=True, photos=False)
    answers = torch.zeros(len(rows), len(run.classes))
    network = run.model
    with torch.inference_mode():
        for copy in range(copies):
            for start in range(0, len(rows), 500):
                some = rows[start : start + 500]
                drawn = transform.named(draws.uniform(recipe.seed, copy, some, len(transform.COLUMNS)))
                pixels = torch.from_numpy(np.asarray(pictures.store.pixels[some]))
                x = preprocess.tensor(transform.augmented(pixels, drawn, augment, preprocess))
                answers[start : start + 500] += network(x).softmax(1)
    return float((answers.argmax(1).numpy() == pictures.targets[rows]).mean())


def main() -> None:
    """Train, or take a run that is given, and print the row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=[name for name in packaged() if named(name).data in DATA])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a run that was made with this recipe")
    given = parser.parse_args()
    recipe = named(given.recipe)
    length = {} if given.epochs is None else {"epochs": given.epochs}

    def tell(event: Event) -> None:
        if isinstance(event, Step) and event.step % 500 == 0:
            print(f"step {event.step} of {event.steps}, loss {event.loss:.3f}", flush=True)

    before = time.process_time()
    if given.run is None:
        run = api.train(DATA[recipe.data], recipe=given.recipe, seed=given.seed, emit=tell, **length)
    else:
        run = api.load(given.run)
    spent = f"{time.process_time() - before:.0f}" if given.run is None else "of the given run"
    ours = f"{100 * (1 - run.metrics['test']['accuracy']):.2f}"
    if recipe.model == "convnetjs":
        ours += f"; {100 * (1 - averaged(run, COPIES)):.2f} averaged over {COPIES} copies"
    data = "CIFAR-10 (JPEG)" if recipe.data == "cifar10" else "MNIST"
    pictures = run.info["data"]["pictures"]["train"]
    flags = "".join(f" --{name} {value}" for name, value in length.items())
    machine = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    print(f"striate {striate.__version__}, {machine}, {run.path}")
    print(
        f"| {given.recipe} | {PUBLISHED.get(given.recipe.removesuffix('-quick'), '')} | {ours} "
        f"| {data}, {pictures:,} | {run.recipe.seed} | {spent} "
        f"| `python benchmarks/reproductions.py {given.recipe}{flags}` |"
    )


if __name__ == "__main__":
    main()
