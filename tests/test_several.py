"""Several runs by one command: folds and seeds, cut off anywhere, and what they say together."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from striate import Recipe, train, train_several
from striate.cli.main import main
from striate.errors import Interrupted, RecipeError, RunError
from striate.events import Note, Step

if TYPE_CHECKING:
    from striate.events import Event

QUICK = ["digits", "--model", "mlp", "--size", "8", "--epochs", "1"]
SAME: dict[str, Any] = {"model": "mlp", "size": 8, "epochs": 1}
RESULTS = ("predictions.csv", "suspects.csv", "several.json")


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def told(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "several.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main(["train", *QUICK, "--folds", "3", "--out", str(out)]) == 0
    return out


def test_every_picture_is_tested_in_one_fold_and_answered_by_its_network(whole: Path) -> None:
    answers = read(whole / "predictions.csv")
    assert len({answer["path"] for answer in answers}) == len(answers) == 1797
    for fold in (1, 2, 3):
        sides = {row["path"]: row["split"] for row in read(whole / f"fold-{fold}" / "split.csv")}
        assert {a["path"] for a in answers if a["fold"] == str(fold)} == {
            path for path, side in sides.items() if side == "test"
        }
        mine = [a for a in answers if a["fold"] == str(fold)]
        right = np.mean([a["label"] == a["predicted"] for a in mine])
        assert right == pytest.approx(told(whole)["runs"][fold - 1]["metrics"]["accuracy"], abs=0.002)


def test_several_json_says_how_far_they_spread(whole: Path) -> None:
    info = told(whole)
    found = [run["metrics"]["accuracy"] for run in info["runs"]]
    spread = info["spread"]["accuracy"]
    assert (info["status"], info["folds"], info["repeat"], info["split"]) == ("finished", 3, None, "test")
    assert spread["mean"] == pytest.approx(np.mean(found))
    assert spread["std"] == pytest.approx(np.std(found, ddof=1))
    low, high = info["out_of_fold"]["interval"]
    assert low < info["out_of_fold"]["accuracy"] < high
    assert info["suspects"] == len(read(whole / "suspects.csv"))
    assert (whole / "suspects.html").stat().st_size < 3e6


def test_all_runs_have_the_settings_that_the_first_chose(whole: Path) -> None:
    recipes = [(whole / f"fold-{fold}" / "recipe.toml").read_text(encoding="utf-8") for fold in (1, 2, 3)]
    plain = [
        [line for line in text.splitlines() if not line.startswith(("#", "fold = "))] for text in recipes
    ]
    assert plain[0] == plain[1] == plain[2]
    assert "batch = " in recipes[0]


def test_a_folds_recipe_alone_gives_its_split_and_weights(whole: Path, tmp_path: Path) -> None:
    run = train(recipe=whole / "fold-2" / "recipe.toml", out=tmp_path / "again")
    for name in ("split.csv", "model.safetensors"):
        assert (run.path / name).read_bytes() == (whole / "fold-2" / name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_ctrl_c_inside_a_fold_and_between_folds_loses_nothing(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folds: list[str] = []

    def stop_in_the_second(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("fold "):
            folds.append(event.text)
        if isinstance(event, Step) and len(folds) == 2 and event.step == 3:
            signal.raise_signal(signal.SIGINT)

    def stop_before_the_third(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("fold 3 of 3"):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"fold 2 of 3 is saved") as stopped:
        train_several("digits", folds=3, out=out, emit=stop_in_the_second, **SAME)
    assert stopped.value.hint == f"Go on with: striate train --resume {out}"
    assert told(out)["status"] == "training"
    assert len(told(out)["runs"]) == 1
    with pytest.raises(Interrupted, match="2 of 3 are finished"):
        train_several("digits", folds=3, out=out, emit=stop_before_the_third, **SAME)
    first = (out / "fold-1" / "model.safetensors").stat().st_mtime_ns
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "fold-1" / "model.safetensors").stat().st_mtime_ns == first
    for name in (*RESULTS, "fold-2/split.csv", "fold-2/model.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_kill_nine_and_the_same_command_goes_on(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["train", *QUICK, "--folds", "3", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "striate", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (out / "fold-2").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert told(out)["status"] == "training"
    assert main(words) == 0
    for name in RESULTS:
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_what_is_finished_stays_as_it_is(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    for words in (["--resume", str(whole)], [*QUICK, "--folds", "3", "--out", str(whole)]):
        assert main(["train", *words]) == 0
        captured = capsys.readouterr()
        assert "already finished" in captured.err
        assert "± sd" in captured.err
        assert captured.out.splitlines() == [str(whole)]
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_repeating_takes_other_seeds_and_other_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", *QUICK, "--seed", "7", "--repeat", "2", "--json", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert captured.err == ""
    assert events[-1]["event"] == "spread"
    assert events[-1]["path"] == str(out)
    found = [event["metrics"]["test"]["accuracy"] for event in events if event["event"] == "finished"]
    assert events[-1]["spread"]["accuracy"]["mean"] == pytest.approx(np.mean(found))
    assert [(run["path"], run["seed"]) for run in told(out)["runs"]] == [("seed-7", 7), ("seed-8", 8)]
    assert (out / "seed-7" / "split.csv").read_bytes() != (out / "seed-8" / "split.csv").read_bytes()
    assert not (out / "suspects.csv").exists()


def test_flipped_labels_are_suspected(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(y))[:90]
    wrong = y.copy()
    wrong[chosen] = (y[chosen] + rng.integers(1, 10, 90)) % 10
    np.savez(tmp_path / "flipped.npz", x=(x.reshape(-1, 8, 8) * 15).astype(np.uint8), y=wrong)
    several = train_several(
        tmp_path / "flipped.npz", folds=2, model="mlp", size=8, epochs=6, out=tmp_path / "out"
    )
    place = {answer["path"]: i for i, answer in enumerate(read(several.path / "predictions.csv"))}
    suspects = read(several.path / "suspects.csv")
    flipped = np.isin([place[suspect["path"]] for suspect in suspects], chosen)
    assert flipped.sum() >= 0.5 * 90
    assert flipped[:40].mean() >= 0.9
    assert all(suspect["label"] != suspect["suggested"] for suspect in suspects)
    scores = [float(suspect["score"]) for suspect in suspects]
    assert scores == sorted(scores)


def test_numbers_far_off_are_suspected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shades = rng.uniform(0, 150, 240)
    x = (shades[:, None, None] + rng.uniform(0, 30, (240, 8, 8))).astype(np.uint8)
    x[::40] = rng.integers(0, 255, (6, 8, 8))
    y = shades / 10
    y[[11, 111]] = [60, -60]
    np.savez(tmp_path / "shades.npz", x=x, y=y)
    several = train_several(
        tmp_path / "shades.npz",
        task="regression", folds=2, model="mlp", size=8, epochs=10, augment="off", out=tmp_path / "out",
    )  # fmt: skip
    suspects = read(several.path / "suspects.csv")
    labels = np.array([float(suspect["label"]) for suspect in suspects])
    assert set(labels[:2].tolist()) == {60.0, -60.0}
    assert list(read(several.path / "predictions.csv")[0]) == ["path", "label", "predicted", "fold"]
    assert several.spread["mae"]["std"] is not None
    assert "mean absolute error out of fold" in (several.path / "suspects.html").read_text(encoding="utf-8")


def test_a_given_test_split_is_never_touched(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    pictures = (x.reshape(-1, 8, 8) * 15).astype(np.uint8)
    np.savez(
        tmp_path / "d.npz",
        x_train=pictures[:400],
        y_train=y[:400],
        x_test=pictures[400:500],
        y_test=y[400:500],
    )
    several = train_several(tmp_path / "d.npz", folds=2, out=tmp_path / "out", **SAME)
    assert len(read(several.path / "predictions.csv")) == 400
    for run in several.runs:
        sides = [row["split"] for row in read(run.path / "split.csv")]
        assert sides[400:] == [""] * 100
        assert "" not in sides[:400]
        counts = run.info["check"]["classes"].values()
        assert sum(sum(sides.values()) for sides in counts) == 400


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--folds", "3", "--repeat", "2"], "--repeat and --folds"),
        (["--repeat", "1"], "at least 2"),
        (["--repeat", "2.5"], "2.5 is not a whole number"),
        (["--folds", "1"], "--folds"),
        (["--fold", "2"], "--fold 2: there are no --folds"),
        (["--folds", "3", "--fold", "4"], "only 3 folds"),
        (["--folds", "3", "--test", "0.2"], "--folds and --test"),
        (["--folds", "3", "--repeat", "2", "--fold", "1"], "--repeat and --folds"),
        (["--folds", "500"], "--folds 500: the smallest class has only"),
        (["--folds", "3", "--optimizer", "adam", "--lr", "0.1", "--augment", "flipp"], "flipp"),
    ],
)
def test_mistakes_are_told_in_two_lines_and_leave_nothing(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *QUICK, "--json", "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_other_settings_need_another_folder(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, "--folds", "4", "--out", str(whole)]) == 2
    assert f"--resume {whole}" in capsys.readouterr().err
    assert main(["train", "--resume", str(whole), "--epochs", "3", "--folds", "3"]) == 2
    assert "takes no other setting" in capsys.readouterr().err


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "several.json").write_text('{"format": 1')
    with pytest.raises(RunError, match="damaged"):
        train_several(resume=tmp_path)
    (tmp_path / "several.json").write_text('{"format": 9}')
    with pytest.raises(RunError, match="another version"):
        train_several(resume=tmp_path)
    with pytest.raises(RunError, match=r"no several\.json"):
        train_several(resume=tmp_path / "nowhere")


def test_one_run_cannot_be_all_folds() -> None:
    with pytest.raises(RecipeError, match="3 folds are 3 runs"):
        train("digits", recipe=Recipe(folds=3))
