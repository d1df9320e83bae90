"""What a newcomer does in the first minute: import, train a little, ask, evaluate, look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import striate

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_minute(tmp_path: Path) -> None:
    run = striate.train("digits", epochs=2, out=tmp_path / "run")
    assert run.metrics["test"]["accuracy"] > 0.5
    for name in ("recipe.toml", "run.json", "split.csv", "history.jsonl", "model.safetensors", "report.html"):
        assert (run.path / name).stat().st_size > 0

    from sklearn.datasets import load_digits

    digits = load_digits()
    answers = striate.load(run.path).predict(list(digits.images[:100]))
    assert sum(answer.label == str(digit) for answer, digit in zip(answers, digits.target, strict=False)) > 50
    assert striate.evaluate(run, "digits").json()["accuracy"] > 0.5
    assert "<table>" in run._repr_html_()
