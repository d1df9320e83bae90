"""What ``striate predict`` prints."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import striate
from striate.cli.main import main
from striate.cli.predict import lines
from striate.runs import predict as predicting
from striate.runs.predict import Prediction

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

CAT = Prediction("photos/a.jpg", "cat", 0.9312, (("cat", 0.9312), ("dog", 0.0688)))
PRICE = Prediction("photos/b.jpg", 12.3456)


def test_a_pipe_gets_tab_separated_values() -> None:
    assert lines([CAT]) == ["photos/a.jpg\tcat\t0.931200"]
    assert lines([PRICE]) == ["photos/b.jpg\t12.3456"]


def test_a_terminal_gets_columns_that_fit(terminal: Callable[[str], io.StringIO]) -> None:
    terminal("stdout")
    deep = Prediction("a/" * 60 + "c.jpg", "dog", 0.5, (("dog", 0.5), ("cat", 0.5)))
    told = lines([CAT, deep])
    assert told[0].split() == ["file", "label", "probability", "next", "best"]
    assert told[1].split() == ["photos/a.jpg", "cat", "93.1%", "dog", "6.9%"]
    assert max(len(line) for line in told) <= 80
    assert told[2].startswith("…")


def test_a_number_has_neither_probability_nor_second_best(terminal: Callable[[str], io.StringIO]) -> None:
    terminal("stdout")
    assert [line.split() for line in lines([PRICE])] == [["file", "number"], ["photos/b.jpg", "12.35"]]


def test_json_is_a_list_of_answers_and_nothing_else(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained.parent / "d" / "dog"
    assert main(["predict", str(trained), str(folder), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["file"] for answer in answers] == [str(path) for path in sorted(folder.iterdir())]
    assert all(set(answer) == {"file", "label", "probability", "top"} for answer in answers)
    for answer in answers:
        assert answer["top"][0] == {"label": answer["label"], "probability": answer["probability"]}
    assert sum(answer["label"] == "dog" for answer in answers) > 6


def test_a_csv_is_written_too(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = trained.parent / "d" / "cat" / "00.png"
    assert main(["predict", str(trained), str(picture), str(picture), "--csv", str(tmp_path / "p.csv")]) == 0
    told = capsys.readouterr().out.splitlines()
    with open(tmp_path / "p.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(picture)] * 2
    assert [line.split("\t")[:2] for line in told] == [[row["file"], row["label"]] for row in rows]


def test_hidden_files_are_left_out_and_impossible_names_are_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = (trained.parent / "d" / "cat" / "00.png").read_bytes()
    for name in ("in/cat/1.png", "in/cat/._1.png", "in/.x/1.png", "in/__MACOSX/cat/1.png"):
        path = tmp_path / ".hidden" / name  # the folder that is asked for may lie in a hidden one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    folder = tmp_path / ".hidden" / "in"
    assert main(["predict", str(trained), str(folder)]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(folder / "cat/1.png")
    ]
    assert main(["predict", str(trained), "x" * 5000]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_predicted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    picture = trained.parent / "d" / "cat" / "00.png"
    assert main(["predict", str(trained), str(tmp_path / "broken.png"), str(picture)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert captured.err.startswith(f"Left out {tmp_path / 'broken.png'}: ")


def test_many_pictures_get_the_answers_that_few_get(trained: Path) -> None:
    run = striate.load(trained)
    many = list(np.random.default_rng(0).integers(0, 256, (predicting.MANY, 12, 12, 3), np.uint8))
    found = run.predict(many, batch=48)
    assert "fastest" in vars(run)
    few = striate.load(trained)
    for picture, of_many in zip(many[:5], found, strict=False):
        (alone,) = few.predict(picture)
        assert alone.label == of_many.label
        assert alone.probability == pytest.approx(of_many.probability, abs=1e-5)
    assert "fastest" not in vars(few)  # a few pictures are not worth the search


def test_a_run_that_was_decoded_scaled_predicts_so(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for name in ("cat", "dog"):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(6):
            picture = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96))
            picture.save(tmp_path / "d" / name / f"{i}.jpg")
    words = ["--model", "mlp", "--size", "12", "--steps", "2", "--decode", "scaled"]
    assert main(["train", str(tmp_path / "d"), *words, "--out", str(tmp_path / "run")]) == 0
    run = striate.load(tmp_path / "run")
    assert run.info["preprocess"]["decode"] == "scaled"
    file = tmp_path / "d" / "cat" / "0.jpg"
    scaled = Image.open(file)
    scaled.draft("RGB", (12, 12))
    (of_file,), (of_scaled,) = run.predict(file), run.predict(np.asarray(scaled))
    assert of_file.probability == of_scaled.probability
    (of_whole,) = run.predict(Image.open(file))  # opened by somebody else: whole
    assert of_file.probability != of_whole.probability
