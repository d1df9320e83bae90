"""From files to a run and back to answers, in Python: the whole chain on small real and made-up data."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from striate.errors import DataError, ModelError, RecipeError, RunError
from striate.events import Event, Note, Step, Warned

QUICK: dict[str, Any] = {"epochs": 2, "model": "lenet5", "batch": 32}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> striate.Run:
    """A short run on the digits."""
    return striate.train("digits", epochs=4, out=tmp_path_factory.mktemp("digits") / "run")


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of dark and bright pictures."""
    root, draw = tmp_path_factory.mktemp("shades"), np.random.default_rng(0)
    for name, low in (("dark", 0), ("bright", 140)):
        (root / name).mkdir()
        for i in range(40):
            pixels = draw.integers(low, low + 100, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


def test_a_run_folder_holds_what_it_promises(digits: striate.Run) -> None:
    names = {path.name for path in digits.path.iterdir()}
    assert names == {
        "recipe.toml", "run.json", "split.csv", "history.jsonl", "health.jsonl", "model.safetensors",
        "checkpoint", "report.html",
    }  # fmt: skip
    info = json.loads((digits.path / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["classes"] == [str(n) for n in range(10)]
    assert 0.5 < info["metrics"]["test"]["accuracy"] <= 1
    assert info["model"] == "lenet5"
    assert info["seconds"] > 0
    assert info["parameters"] == 61706
    assert "None" not in digits.recipe.toml()
    assert "lenet5" in digits._repr_html_()


def test_the_split_that_is_written_is_the_one_that_was_used(digits: striate.Run) -> None:
    lines = (digits.path / "split.csv").read_text().splitlines()
    sides = [line.rsplit(",", 1)[1] for line in lines[1:]]
    assert {side: sides.count(side) for side in set(sides)} == digits.info["data"]["pictures"]
    assert len(sides) == 1797


def test_prediction_prepares_as_training_did(digits: striate.Run, tmp_path: Path) -> None:
    """Scoring the test pictures one by one through predict gives the run's own test accuracy."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pictures = np.rint(data.images * 255 / 16).astype(np.uint8)
    lines = (digits.path / "split.csv").read_text().splitlines()[1:]
    rows = [i for i, line in enumerate(lines) if line.endswith(",test")]
    said = [p.label for p in digits.predict([pictures[i] for i in rows])]
    right = np.mean([label == str(data.target[i]) for label, i in zip(said, rows, strict=True)])
    assert right == pytest.approx(digits.metrics["test"]["accuracy"])
    files = []
    for i in rows[:5]:
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(pictures[i]).save(files[-1])
    predictions, unreadable = striate.predict(digits, files, csv=tmp_path / "said.csv")
    assert [p.label for p in predictions] == said[:5]
    assert not unreadable
    assert (tmp_path / "said.csv").read_text().count("\n") == 6
    assert predictions[0].json().keys() == {"file", "label", "probability", "top"}


def test_the_same_recipe_gives_the_same_weights(digits: striate.Run, tmp_path: Path) -> None:
    again = striate.train(recipe=digits.path / "recipe.toml", out=tmp_path / "again")
    assert (again.path / "model.safetensors").read_bytes() == (digits.path / "model.safetensors").read_bytes()
    other = striate.train(recipe=digits.recipe, seed=1, epochs=1, out=tmp_path / "other")
    assert (other.path / "model.safetensors").read_bytes() != (digits.path / "model.safetensors").read_bytes()
    assert len(other.history) == 1


def test_photographs_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    """Some real photographs, one of them broken, straight out of a zip."""
    small = tmp_path / "photos.zip"
    with zipfile.ZipFile(shared_data / "clothing-photos.zip") as whole, zipfile.ZipFile(small, "w") as part:
        names = [n for n in whole.namelist() if "/dress/" in n or "/shoes/" in n]
        for split, count in (("train", 60), ("validation", 20), ("test", 20)):
            chosen = [n for n in names if n.startswith(split)]
            for name in chosen[:: max(1, len(chosen) // count)]:
                part.writestr(name, whole.read(name))
        part.writestr("train/dress/broken.jpg", whole.read(names[0])[:900])
    seen: list[Event] = []
    run = striate.train(small, epochs=3, size=32, out=tmp_path / "run", emit=seen.append)
    assert run.info["model"] == "resnet18"
    assert [x["file"] for x in run.info["check"]["unreadable"]] == ["train/dress/broken.jpg"]
    assert run.metrics.keys() == {"test", "val", "train"}
    page = (run.path / "report.html").read_text()
    assert "broken.jpg" in page
    assert len(page) < 3_000_000
    scores = striate.evaluate(run, small)
    assert scores.json()["accuracy"] == pytest.approx(run.metrics["test"]["accuracy"])


def test_an_opened_picture_is_read_as_its_file_is(digits: striate.Run, tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[2:6, 3:5] = (0, 0, 0, 255)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(clear).save(tmp_path / "clear.png", exif=exif)
    from_file = digits.predict(tmp_path / "clear.png")[0]
    with Image.open(tmp_path / "clear.png") as opened:
        assert digits.predict(opened)[0].top == from_file.top
    several = digits.predict(np.zeros((3, 8, 8, 1), np.uint8))
    assert len(several) == 3


def test_a_model_that_is_passed_in_is_copied(shades: Path, tmp_path: Path) -> None:
    head = nn.Linear(12, 2)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), head)
    before = head.weight.clone()
    one = striate.train(shades, model=model, epochs=2, lr=0.1, out=tmp_path / "one")
    two = striate.train(shades, model=model, epochs=2, lr=0.1, dropout=0.5, seed=3, out=tmp_path / "two")
    assert torch.equal(head.weight, before)
    assert not torch.equal(one.model.state_dict()["2.weight"], two.model.state_dict()["2.weight"])


def test_evaluating_on_one_class_and_on_the_training_pictures(
    digits: striate.Run, shades: Path, tmp_path: Path
) -> None:
    run = striate.train(shades, out=tmp_path / "run", **QUICK)
    seen: list[Event] = []
    striate.evaluate(run, shades, emit=seen.append)
    assert any("was trained on most of these" in e.text for e in seen if isinstance(e, Warned))
    (tmp_path / "new" / "dark").mkdir(parents=True)
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(tmp_path / "new" / "dark" / "a.png")
    assert striate.evaluate(run, tmp_path / "new").json()["per_class"]


def test_patience_needs_validation(shades: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--patience needs validation"):
        striate.train(shades, patience=3, val=0, out=tmp_path / "run", **QUICK)
    with pytest.raises(RecipeError, match="both say how long"):
        striate.train(shades, epochs=3, minutes=1, out=tmp_path / "run")


def test_without_validation_everything_is_trained_on(shades: Path, tmp_path: Path) -> None:
    run = striate.train(shades, val=0, test=0, out=tmp_path / "run", **QUICK)
    assert run.info["data"]["pictures"] == {"train": 80}
    assert run.metrics.keys() == {"train"}
    assert (run.path / "report.html").exists()


@pytest.mark.parametrize("balance", ["weights", "sampler"])
def test_uneven_classes(shades: Path, tmp_path: Path, balance: str) -> None:
    run = striate.train(shades, balance=balance, out=tmp_path / "run", **QUICK)
    assert run.info["status"] == "finished"


def test_numbers_from_a_manifest(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(120):
        level = draw.integers(20, 200)
        Image.fromarray(np.full((16, 16), level, np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{level * 3 + 7}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    settings: dict[str, Any] = {"task": "regression", "epochs": 30, "model": "mlp", "augment": "off"}
    run = striate.train(tmp_path / "list.csv", out=tmp_path / "run", **settings)
    assert run.metrics["test"]["r2"] > 0.9
    prediction = run.predict(tmp_path / "0.png")[0]
    assert prediction.probability is None
    assert abs(float(prediction.label) - float(lines[1].split(",")[1])) < 100
    assert striate.evaluate(run, tmp_path / "list.csv").json()["r2"] > 0.9


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    """Two classes that differ only below the eighth bit."""
    draw = np.random.default_rng(0)
    for name, level in (("low", 30_000), ("high", 30_100)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(40):
            pixels = (level + draw.integers(0, 40, (16, 16))).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    run = striate.train(tmp_path / "data", epochs=20, model="mlp", augment="off", out=tmp_path / "run")
    preprocess = run.info["preprocess"]
    assert preprocess["dtype"] == "uint16"
    assert 29_990 < preprocess["low"][0] < preprocess["high"][0] < 30_200
    assert run.metrics["test"]["accuracy"] == 1.0
    assert run.predict(tmp_path / "data" / "high" / "0.png")[0].label == "high"


def net(classes: int, size: int) -> nn.Module:
    """A model of the user's own, with a layer that learns its width from the first batch."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(min(4, size)), nn.Flatten(), nn.LazyLinear(classes))


def test_a_model_of_ones_own(shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = striate.train(shades, model=net, epochs=15, size=16, lr=0.02, out=tmp_path / "run")
    assert run.info["model"].endswith(":net")
    with pytest.raises(RunError, match="outside striate"):
        striate.load(run.path)
    assert striate.load(run.path, model=net).predict(np.zeros((9, 9, 3), np.uint8))[0].label == "dark"

    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\ndef tiny(channels, classes):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    named = striate.train(shades, model="own_nets:tiny", epochs=1, out="named")
    assert striate.load("named", trust=True).metrics == named.metrics
    with pytest.raises(RunError, match="outside striate"):
        striate.load("named")


def test_a_network_that_cannot_be_looked_into_has_its_report_all_the_same(
    shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("it was made so")

    monkeypatch.setattr("striate.api.inside.inside", refuse)
    told: list[Event] = []
    run = striate.train(shades, **(QUICK | {"epochs": 1}), tune="off", out=tmp_path / "run", emit=told.append)
    assert Warned("The report does not look into the network: it was made so") in told
    assert (run.path / "report.html").exists()
    assert run.info["status"] == "finished"


def test_a_model_that_does_not_fit_says_so(shades: Path, tmp_path: Path) -> None:
    def wrong() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(7))

    def raises() -> nn.Module:
        return nn.Conv2d(9, 9, 3)

    with pytest.raises(ModelError, match=r"returned \(2, 7\) for 2 inputs; \(2, 2\) is needed"):
        striate.train(shades, model=wrong, out=tmp_path / "run")
    with pytest.raises(ModelError, match="it takes 9 channels"):
        striate.train(shades, model=raises, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_resume_takes_no_other_setting_and_the_same_data(shades: Path, tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "data"
    shutil.copytree(shades, data)

    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        striate.train(data, out=tmp_path / "run", emit=stop, **(QUICK | {"batch": 8}))
    with pytest.raises(RecipeError, match="takes no other setting"):
        striate.train(resume=tmp_path / "run", epochs=3)
    (data / "dark" / "00.png").unlink()
    with pytest.raises(RunError, match="have changed"):
        striate.train(resume=tmp_path / "run")
    shutil.copy(shades / "dark" / "00.png", data / "dark" / "00.png")
    assert striate.train(resume=tmp_path / "run").info["status"] == "finished"


def test_a_finished_run_is_left_alone(digits: striate.Run) -> None:
    seen: list[Event] = []
    striate.train(resume=digits.path, emit=seen.append)
    assert [e.text for e in seen if isinstance(e, Note)] == [
        f"{digits.path} is already finished; nothing to do."
    ]


def test_an_out_folder_in_use_is_refused(digits: striate.Run, shades: Path) -> None:
    with pytest.raises(RunError, match="not empty"):
        striate.train(shades, out=digits.path)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda run: (run / "run.json").unlink(), "not a run folder"),
        (lambda run: (run / "run.json").write_text("{"), "damaged"),
        (lambda run: (run / "run.json").write_text('{"format": 99}'), "another version"),
        (lambda run: (run / "model.safetensors").write_bytes(b"\0" * 99), "damaged"),
        (lambda run: (run / "model.safetensors").unlink(), "missing"),
    ],
)
def test_a_damaged_run_is_told(digits: striate.Run, tmp_path: Path, break_it: Any, says: str) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(digits.path, run)
    break_it(run)
    with pytest.raises(RunError, match=says):
        striate.load(run).predict(np.zeros((8, 8), np.uint8))


def test_evaluating_on_unknown_classes_is_refused(digits: striate.Run, shades: Path) -> None:
    with pytest.raises(DataError, match="does not know: bright, dark"):
        striate.evaluate(digits, shades)


def test_a_budget_of_minutes_is_kept(shades: Path, tmp_path: Path) -> None:
    run = striate.train(shades, minutes=0.4, model="lenet5", out=tmp_path / "run")
    assert run.info["seconds"] < 26
    assert run.recipe.steps == run.history[-1]["step"]
    assert run.recipe.minutes == 0.4


def test_threads_of_the_caller_are_left_alone(shades: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    striate.train(shades, out=tmp_path / "run", **QUICK)
    assert torch.get_num_threads() == before
