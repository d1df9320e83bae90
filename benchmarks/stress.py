"""Seconds of ``striate stress`` on its default sample, by part, and of each distortion on its own.

    python benchmarks/stress.py RUN [--sample 500]

Prints the whole page's time, then for each distortion milliseconds a picture at its last level, the network
apart, medians of five rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from striate import api
from striate.api.labelled import labelled
from striate.data.preprocess import Preprocess
from striate.runs.load import preprocess_of
from striate.stress import chance
from striate.stress.distortion import CORRUPTIONS, CURVES
from striate.stress.reader import Reader

ROUNDS, BATCH = 5, 128


def milliseconds(work: object, n: int) -> float:
    """Time a function of nothing: median of the rounds, in milliseconds a picture."""
    assert callable(work)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--sample", type=int, default=500)
    asked = parser.parse_args()
    run = api.load(asked.run)
    found = api.stress(run, sample=asked.sample)
    print(f"{found.own.measured.clean.n} pictures, {torch.get_num_threads()} threads: {found.seconds:.1f} s")
    opened = labelled(run)
    rows = opened.rows[:BATCH]
    preprocess = preprocess_of(run)
    assert isinstance(preprocess, Preprocess)
    reader, keys = Reader.of(preprocess, opened.pixels, rows, "cpu"), chance.keys(0, rows)
    pictures, answers = reader[:BATCH], reader.answers(run.fastest, run.precision, run.recipe.tta)
    print(f"network            {milliseconds(lambda: answers(pictures), len(rows)):8.3f} ms a picture")
    for name, one in {**CURVES, **CORRUPTIONS}.items():
        if not one.refusal(pictures.shape[1]):
            level = one.levels(pictures.shape[2])[-1]
            cost = milliseconds(lambda d=one, at=level: d.apply(pictures, at, keys, pictures), len(rows))
            print(f"{name:18s} {cost:8.3f} ms a picture")


if __name__ == "__main__":
    main()
