"""Recurrent and temporal convolutional networks as runs: what was trained is what is opened again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import striate
from striate.runs import load


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages: in one the vowels come first. Only their order tells, and the lengths differ."""
    folder, draw = tmp_path_factory.mktemp("words"), Random(0)
    for name, order in (("first", 1), ("last", -1)):
        drawn = (
            ("".join(draw.choices("aeiou", k=draw.randint(2, 5))), "".join(draw.choices("bdgkm", k=3)))
            for _ in range(60)
        )
        lines = sorted({"".join(pair[::order]) for pair in drawn})
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("model", ["bilstm-6", "gru-8-6", "tcn-2-2-8"])
def test_a_run_learns_and_its_folder_knows_what_it_learnt(model: str, words: Path, tmp_path: Path) -> None:
    run = striate.train(
        words, model=model, epochs=15, batch=8, lr=0.02, clip=1.0, val=0.2, test=0.2, tune="off", threads=1,
        out=tmp_path / "run",
    )  # fmt: skip
    assert run.info["metrics"]["test"]["accuracy"] > 0.9
    assert striate.evaluate(load.load(run.path), words).json()["accuracy"] > 0.9
