"""The diary: what is recorded and when; training with it is training without it, and so is resuming."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.data import batches
from striate.data.preprocess import Preprocess
from striate.errors import Diverged
from striate.events import Event, Note, Step, ignore
from striate.training import diary as diaries
from striate.training.loop import Job, fit
from tests.training.test_loop import Cut, make_job, result


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every record, however busy the machine is."""
    monkeypatch.setattr(diaries, "SECONDS", math.inf)


def records(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.run.path / "health.jsonl").read_text().splitlines()]


def test_it_records_before_during_and_after(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", steps=19)  # epochs of 3 steps, the last one cut short
    fit(job, ignore)
    found = records(job)
    assert [(record["epoch"], record["step"]) for record in found] == [
        (0, 0), (1, 3), (2, 6), (4, 12), (7, 19),
    ]  # fmt: skip
    assert job.run.health == found
    assert {record["pictures"] for record in found} == {30}
    for record in found:
        assert [(layer["name"], layer["kind"], layer["units"]) for layer in record["layers"]] == [
            ("0", "Conv2d", 4), ("3", "Conv2d", 8), ("6", "Linear", 2),
        ]  # fmt: skip
        assert all((layer["update"] is None) == (record["step"] == 0) for layer in record["layers"])
        assert all(layer["gradient"] > 0 for layer in record["layers"])


def test_the_update_is_the_length_of_one_step(tmp_path: Path) -> None:
    """Plain descent moves the weights by the learning rate times the gradient, here without any averaging."""
    weights: list[Tensor] = []
    job = make_job(tmp_path / "run", steps=6, optimizer="sgd", schedule="constant", warmup=0.0)
    head = job.model[6]  # type: ignore[index]

    def look(event: Event) -> None:
        if isinstance(event, Step):
            weights.append(head.weight.detach().clone())

    fit(job, look)
    # After steps 2 and 3, and 5 and 6.
    expected = [(weights[i] - weights[i - 1]).norm() / weights[i - 1].norm() for i in (2, 5)]
    found = [record["layers"][2]["update"] for record in records(job)[1:]]
    assert found == pytest.approx([float(value) for value in expected], rel=1e-4)


def test_training_is_the_same_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"dropout": 0.3, "ema": 0.9, "augment": "shift=0.1,mixup=0.4"}
    with_it, without = make_job(tmp_path / "with", **settings), make_job(tmp_path / "without", **settings)
    fit(with_it, ignore)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a network that cannot be measured")

    monkeypatch.setattr(diaries, "measure", fail)
    told: list[Event] = []
    fit(without, told.append)
    assert result(without) == result(with_it)
    assert not (without.run.path / "health.jsonl").exists()
    (note,) = [event.text for event in told if isinstance(event, Note)]
    assert note == "The network's health is not recorded: RuntimeError: a network that cannot be measured"


@pytest.mark.parametrize("cut", [0, 4, 6, 12, 18])
def test_cut_and_resumed_it_is_the_diary_of_a_whole_run(
    tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = make_job(tmp_path / "whole"), make_job(tmp_path / "broken")
    fit(whole, ignore)
    monkeypatch.setattr("striate.training.loop.Pace.due", lambda _: cut % 4 == 0)

    def crash(event: Event) -> None:
        if isinstance(event, Step) and event.step == cut + 1:
            raise Cut

    with pytest.raises(Cut):
        fit(broken, crash)
    again = make_job(tmp_path / "broken")
    fit(again, ignore, resume=True)
    assert records(again) == records(whole)


def test_a_run_that_diverges_says_so_as_ever(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", optimizer="sgd", lr=1e30, warmup=0.0)
    with pytest.raises(Diverged):
        fit(job, ignore)
    assert records(job)[0]["step"] == 0


def test_weights_that_are_no_numbers_are_recorded_as_none(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", steps=3)
    del job.split["val"]  # whose loss would tell before
    head = job.model[6]  # type: ignore[index]

    def spoil(event: Event) -> None:
        if isinstance(event, Step) and event.step == 3:
            nn.init.constant_(head.weight, math.nan)

    with pytest.raises(Diverged):
        fit(job, spoil)
    assert [layer["weight"] is None for layer in records(job)[-1]["layers"]] == [False, False, True]


def test_few_pictures_are_looked_at_and_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diaries, "ENOUGH", 5)
    monkeypatch.setattr(diaries, "FEWEST", 3)
    seen: list[Tensor] = []

    def look(*arguments: Any) -> Any:
        seen.extend(batches.plain(*arguments))
        return seen[-1:]

    monkeypatch.setattr(diaries, "plain", look)
    fit(make_job(tmp_path / "run"), ignore)
    assert len(seen) == 5
    assert all(torch.equal(x, seen[0]) for x in seen)
    assert seen[0].shape == (5, 1, 12, 12)


def test_the_number_of_pictures_follows_the_length_of_the_run(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run")
    job.split = {"train": job.split["train"].repeat(100)}
    job.preprocess = Preprocess(channels=1, size=12)
    short, long = (len(diaries._few(job, steps, 10)) for steps in (10, 100_000))
    assert (short, long) == (64, 128)


def test_a_network_that_takes_long_to_measure_has_the_first_and_the_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diaries, "SECONDS", 0.0)
    monkeypatch.setattr(diaries, "PERCENT", 0.0)
    job = make_job(tmp_path / "run")
    fit(job, ignore)
    assert [record["step"] for record in records(job)] == [0, 20]
    assert all(layer["update"] > 0 for layer in records(job)[-1]["layers"])
