"""``striate train --tune``: measured once, written down, and taken up again without measuring."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from striate.cli.main import main
from striate.runs.recipe import SPEED
from striate.training import tune
from striate.training.defaults import fast

QUICK = ["digits", "--model", "mlp", "--size", "8", "--epochs", "1"]


def recipe(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose settings were measured, as short as that can be."""
    out = tmp_path_factory.mktemp("tune") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "SECONDS", {"full": 0.3})
        assert main(["train", *QUICK, "--tune", "full", "--no-fused", "--out", str(out)]) == 0
    return out


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every measurement an error."""
    monkeypatch.setattr(tune, "Bench", None)


def move(run: Path, **changes: Any) -> None:
    """Let the run come from another machine."""
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["machine"]["processor"] = "Abacus"
    (run / "run.json").write_text(json.dumps(info | changes), encoding="utf-8")


def test_the_choice_is_in_the_recipe_and_a_flag_is_obeyed(run: Path) -> None:
    found = recipe(run)
    assert set(SPEED) <= set(found)
    assert found["fused"] is False
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["machine"]["cores"] >= 1


@pytest.mark.usefixtures("unmeasured")
def test_a_recipe_brings_its_settings_and_nothing_is_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--recipe", str(run / "recipe.toml"), "--out", str(tmp_path / "again")]
    assert main(words) == 0
    assert recipe(tmp_path / "again") == recipe(run)
    assert "another machine" not in capsys.readouterr().err


def test_asked_for_beside_a_recipe_it_measures_anew(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[None] = []

    def tuned(_model: object, _task: object, _batch: object, recipe: Any, **_: object) -> Any:
        assert {name for name in SPEED if getattr(recipe, name) is not None} == {"layout"}
        measured.append(None)
        return fast(recipe), None, []

    monkeypatch.setattr(tune, "tuned", tuned)
    words = ["--recipe", str(run / "recipe.toml"), "--tune", "full", "--layout", "contiguous"]
    assert main(["train", *words, "--out", str(tmp_path / "again")]) == 0
    assert measured
    assert recipe(tmp_path / "again")["layout"] == "contiguous"


@pytest.mark.usefixtures("unmeasured")
def test_another_machine_is_told_in_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--recipe", str(run / "recipe.toml"), "--steps", "3", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    move(tmp_path / "run", status="interrupted")
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "another machine's (Abacus" in line]
    assert len(told) == 1
    move(tmp_path / "run")
    again = ["train", "--recipe", str(tmp_path / "run" / "recipe.toml"), "--out", str(tmp_path / "again")]
    assert main(again) == 0
    assert "another machine's (Abacus" in capsys.readouterr().err


@pytest.mark.usefixtures("unmeasured")
def test_off_measures_nothing(tmp_path: Path) -> None:
    assert main(["train", *QUICK, "--tune", "off", "--out", str(tmp_path / "run")]) == 0
    assert set(SPEED) <= set(recipe(tmp_path / "run"))
