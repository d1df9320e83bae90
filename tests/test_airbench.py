"""The comparison with the public airbench94 scripts, as far as it goes without a GPU and without them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "airbench.py"


@pytest.fixture(scope="module")
def airbench() -> dict[str, Any]:
    """Give the names of the script."""
    return runpy.run_path(str(SCRIPT))


def test_a_scripts_table_is_read(airbench: dict[str, Any]) -> None:
    printed = """
|  run     |  epoch  |  train_acc  |  val_acc  |  tta_val_acc  |  time_seconds  |
|       0  |      7  |     0.9500  |   0.9300  |               |        2.4000  |
|          |   eval  |     0.9500  |   0.9300  |       0.9402  |        2.5000  |
|          |   eval  |     0.9500  |   0.9300  |       0.9398  |        2.7000  |
"""
    found = airbench["results"](printed)
    assert found == [(0.9402, 2.5), (0.9398, 2.7)]
    assert airbench["row"]("theirs", found) == "| theirs | 2 | 94.00% (0.03%) | 2.60 (0.14) |"


def test_only_the_number_of_trials_is_changed(airbench: dict[str, Any]) -> None:
    code = "for i in range(8):\n    pass\naccs = torch.tensor([main(run, model) for run in range(200)])\n"
    assert airbench["with_trials"](code, 25) == code.replace("range(200)", "range(25)")
    with pytest.raises(SystemExit, match="number of trials"):
        airbench["with_trials"]("print(1)", 25)


def test_a_dry_run_names_what_is_missing(
    airbench: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    airbench["main"](["--dry-run", "--script", "nowhere.py"])
    told = capsys.readouterr().out
    assert "ours: 25 runs on cuda" in told
    assert "nowhere.py" in told.partition("missing: ")[2]
