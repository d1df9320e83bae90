"""kill -9 at any moment, then --resume: weights and history are those of a run that was never cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.runs import weights

FLAGS = [
    "--model",
    "lenet5",
    "--epochs",
    "6",
    "--batch",
    "32",
    "--augment",
    "shift=0.1,mixup=0.3",
    "--ema",
    "0.9",
    # Nothing that is measured: two processes may measure differently, and round differently.
    "--tune",
    "off",
    "--kernels",
    "library",
]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def striate(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "striate", "train", *arguments]


def result(run: Path) -> tuple[bytes, list[dict[str, Any]]]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return (run / "model.safetensors").read_bytes(), [
        {k: v for k, v in x.items() if k != "seconds"} for x in lines
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(
        striate("digits", *FLAGS, "--out", str(run)), check=True, env=ENVIRONMENT, capture_output=True
    )
    return run


@pytest.mark.parametrize("seed", range(3))
def test_kill_nine_and_resume(whole: Path, tmp_path: Path, seed: int) -> None:
    run, draw = tmp_path / "run", np.random.default_rng(seed)
    steps: list[int] = []  # where each killed process had saved last
    command = striate("digits", *FLAGS, "--out", str(run))
    for _ in range(5):
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        state = run / "checkpoint" / "state.safetensors"
        while not state.exists() and process.poll() is None:
            time.sleep(0.01)
        before = state.stat().st_mtime_ns if state.exists() else 0
        # Wait for progress worth losing, then for any moment after it.
        while process.poll() is None and state.stat().st_mtime_ns == before:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        steps.append(weights.read(state)[1]["step"])
        command = striate("--resume", str(run))
    else:
        subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    last = result(whole)[1][-1]["step"]
    assert any(0 < step < last for step in steps), steps  # at least one was cut in the middle
    assert (run / "report.html").exists()
    assert result(run) == result(whole)
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_resuming_a_finished_run_says_so_and_changes_nothing(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    done = subprocess.run(
        striate("--resume", str(whole)), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "already finished" in done.stderr
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
