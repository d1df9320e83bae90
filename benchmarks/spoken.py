"""Spoken digits: the usual split, speakers held out, and clips a second beside a bare PyTorch loop.

    python benchmarks/spoken.py usual       recordings 0 to 4 of each digit and speaker are the test
    python benchmarks/spoken.py speakers    each of the six speakers is the test once
    python benchmarks/spoken.py speed       training steps of both, in turn, in one process

Accuracy is of ``striate train`` with its defaults (the network tdnn), on --threads cores. The bare loop has
the same network, batches of the same size and the fastest of its settings: clips as float32 in memory
or as they are stored, AdamW fused or not, whichever is best in each round; a ratio is the median of the
rounds'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

import striate
from striate.data.batches import Batches
from striate.data.pictures import measured, targets_of
from striate.data.sequence import planned
from striate.data.sequence_augment import parse
from striate.data.sources import open_source
from striate.data.store import build, survey
from striate.models.tdnn import tdnn
from striate.runs.recipe import Recipe
from striate.training import optim, task
from striate.training.defaults import fast
from striate.training.stepper import stepper

if TYPE_CHECKING:
    from torch import Tensor, nn

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DIGITS, PATTERN = str(SHARED / "spoken-digits.zip"), "{label}_{group}_{n}.wav"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
BATCH, LR, DECAY = 32, 2e-3, 0.01


def usual(out: Path, settings: dict[str, Any], repeat: int) -> None:
    """Print the test accuracy of each seed."""
    several = striate.train_several(
        DIGITS, repeat=repeat, label_pattern=PATTERN, test="n<5", out=out / "usual", **settings
    )
    print("| seed | test accuracy, % | seconds |\n|---|---|---|")
    for seed, run in enumerate(several.runs):
        print(f"| {seed} | {100 * run.info['metrics']['test']['accuracy']:.2f} | {run.info['seconds']:.0f} |")


def speakers(out: Path, settings: dict[str, Any]) -> None:
    """Print the test accuracy on each speaker by a network that never heard them."""
    print("| speaker held out | test accuracy, % | seconds |\n|---|---|---|", flush=True)
    found = []
    for name in SPEAKERS:
        folder = out / name
        if not (folder / "model.safetensors").exists():
            striate.train(
                DIGITS, label_pattern=PATTERN, test=f"group=={name}", val=0.0, out=folder, **settings
            )
        info = striate.Run(folder).info
        found.append(100 * info["metrics"]["test"]["accuracy"])
        print(f"| {name} | {found[-1]:.1f} | {info['seconds']:.0f} |", flush=True)
    print(f"| mean | {statistics.mean(found):.1f} | |")


class Ours:
    """The batches and the step that training takes."""

    def __init__(self, threads: int) -> None:
        source = open_source(DIGITS, label_pattern=PATTERN)
        seen = survey(source)
        store = build(source, seen, planned(source, seen, length=None, rate=None), cache=False)
        self.targets = targets_of(source, store, source.classes)
        rows = np.arange(len(self.targets))
        plan = planned(source, seen, length=None, rate=None)
        self.preprocess, self.stored = measured(plan, store.pixels, rows), store.pixels
        self.batches = Batches(
            store.pixels, self.targets, rows, self.preprocess, batch=BATCH, seed=0,
            augment=parse("off", "sound"),
        )  # fmt: skip
        torch.manual_seed(0)
        self.model = tdnn(length=store.pixels.shape[1]).train()
        asked = Recipe(model="tdnn", batch=BATCH, optimizer="adamw", lr=LR, device="cpu")
        self.recipe = fast(asked.replace(weight_decay=DECAY, threads=threads))
        self.task = task.untrained("classification", source.classes)
        self.rule = optim.optimizer(self.model, self.recipe, torch.device("cpu"))

    def rate(self, steps: int) -> float:
        """Train for some steps; give clips a second."""
        first = self.batches.at(0, 0).inputs
        with stepper(self.model, self.task, self.recipe, first, self.rule, {}) as step:
            began = time.perf_counter()
            for k in range(steps):
                step(self.batches.at(*divmod(k, self.batches.steps)))[0].item()
            return BATCH * steps / (time.perf_counter() - began)


class Bare:
    """A loop of a dozen lines. ready: the clips are float32 and normalised before the first step."""

    def __init__(self, ours: Ours, *, ready: bool, fused: bool) -> None:
        std = 32768 * ours.preprocess.std[0]
        stored = torch.from_numpy(np.ascontiguousarray(ours.stored[:, :, 0]))[:, None]
        self.clips, self.scale = (stored / std, 1.0) if ready else (stored, std)
        self.targets = torch.from_numpy(ours.targets)
        torch.manual_seed(0)
        self.model: nn.Module = tdnn(length=stored.shape[2]).train()
        self.rule = torch.optim.AdamW(self.model.parameters(), LR, weight_decay=DECAY, fused=fused)

    def rate(self, steps: int) -> float:
        """As ours does."""
        order: Tensor = torch.randperm(len(self.clips))
        began = time.perf_counter()
        for k in range(steps):
            rows = order[(torch.arange(BATCH) + k * BATCH) % len(order)]
            x = self.clips[rows] / self.scale if self.scale != 1 else self.clips[rows]
            loss = F.cross_entropy(self.model(x), self.targets[rows])
            self.rule.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.rule.step()
            loss.item()
        return BATCH * steps / (time.perf_counter() - began)


def speed(rounds: int, steps: int, threads: int) -> None:
    """Print clips a second of each, and the ratio of ours to the best of the others'."""
    torch.set_num_threads(threads)
    ours = Ours(threads)
    others = {
        f"{'float32' if ready else 'int16'}, {'fused' if fused else 'plain'} AdamW": Bare(
            ours, ready=ready, fused=fused
        )
        for ready in (True, False)
        for fused in (True, False)
    }
    ours.rate(3)
    for loop in others.values():
        loop.rate(3)  # the first steps prepare the kernels
    found = [(ours.rate(steps), [loop.rate(steps) for loop in others.values()]) for _ in range(rounds)]
    print(
        f"torch {torch.__version__}, {threads} threads, batches of {BATCH}, {rounds} rounds of {steps} steps"
    )
    print("| loop | clips a second |\n|---|---|")
    print(f"| striate | {statistics.median(own for own, _ in found):,.0f} |")
    for k, name in enumerate(others):
        print(f"| bare, {name} | {statistics.median(theirs[k] for _, theirs in found):,.0f} |")
    print(f"| striate to the best | {statistics.median(own / max(theirs) for own, theirs in found):.2f} |")


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["usual", "speakers", "speed"])
    parser.add_argument("--out", type=Path, help="where the runs go; what is finished there is not repeated")
    parser.add_argument("--epochs", type=int, help="default: what striate train chooses")
    parser.add_argument("--repeat", type=int, default=3, help="seeds")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    if asked.table == "speed":
        return speed(asked.rounds, asked.steps, asked.threads)
    settings: dict[str, Any] = {"threads": asked.threads, "tune": "off"}
    settings |= {"epochs": asked.epochs} if asked.epochs else {}
    out = asked.out or Path(mkdtemp())
    return usual(out, settings, asked.repeat) if asked.table == "usual" else speakers(out, settings)


if __name__ == "__main__":
    main()
