"""What writing down the health of a network costs the run that it is trained in: docs/run-folder.md.

    python benchmarks/health.py
    python benchmarks/health.py --only photos

Each run is timed as a whole, from files to report, and so is what of it went into the diary: a share of the
same run, so that a busy machine touches both alike. Bound: 1 % of a run or one second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from striate import api
from striate.training.diary import Diary

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RUNS: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits"},
    "mnist": {"data": SHARED / "mnist", "model": "lenet5", "epochs": 1},
    "photos": {"data": SHARED / "clothing-photos.zip", "minutes": 1},
    "cifar": {"data": SHARED / "cifar10-jpeg.zip", "model": "resnet20", "epochs": 1},
}


class Clock:
    """Adds up the seconds that a method takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, name: str) -> None:
        """Time every call of a method of the diary from now on."""
        method = getattr(Diary, name)

        def timed(*arguments: Any) -> None:
            started = time.perf_counter()
            method(*arguments)
            self.seconds += time.perf_counter() - started

        setattr(Diary, name, timed)


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=RUNS, action="append", help="runs to make; all without it")
    clock = Clock()
    for method in ("__init__", "before", "after"):
        clock.wrap(method)
    print("| run | seconds | records | pictures | of it the diary, s | share |\n|---|---|---|---|---|---|")
    for name in parser.parse_args().only or RUNS:
        with tempfile.TemporaryDirectory() as place:
            clock.seconds, started = 0.0, time.perf_counter()
            run = api.train(out=Path(place) / "run", **RUNS[name])
            whole, health = time.perf_counter() - started, run.health
        print(
            f"| {name} | {whole:.1f} | {len(health)} | {health[0]['pictures']} | {clock.seconds:.2f} "
            f"| {clock.seconds / whole:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
