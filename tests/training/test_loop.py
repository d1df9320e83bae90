"""The loop: learns, goes on bit-equal from wherever it was cut, stops early, never keeps broken weights."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from striate.data.augment import parse
from striate.data.preprocess import Preprocess
from striate.errors import Diverged, Interrupted
from striate.events import Event, Step, ignore
from striate.runs import weights
from striate.runs.folder import Run
from striate.runs.recipe import Recipe
from striate.training import convolution, loop, optim
from striate.training import task as tasks
from striate.training.loop import Job, fit

SETTINGS: dict[str, Any] = {
    "model": "lenet5", "size": 12, "fit": "crop", "steps": 20, "batch": 8, "optimizer": "adamw", "lr": 0.01,
    "weight_decay": 0.01, "label_smoothing": 0.0, "ema": 0.0, "augment": "flip,shift=0.1",
    "precision": "float32", "device": "cpu",
}  # fmt: skip


class Cut(Exception):
    """A stand-in for a crash."""


def make_job(path: Path, **settings: Any) -> Job:
    """Forty pictures with a bright half, left or right: learnable in a moment."""
    recipe = Recipe().replace(**(SETTINGS | settings))
    draw = np.random.default_rng(0)
    targets = np.arange(40) % 2
    pixels = draw.integers(0, 100, (40, 12, 12, 1), np.uint8)
    for picture, target in zip(pixels, targets, strict=True):
        picture[6 * target : 6 * target + 6] += 100
    split = {"train": np.arange(30), "val": np.arange(30, 40)}
    preprocess = Preprocess(channels=1, size=12, mean=(0.4,), std=(0.2,))
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(128, 2),
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optim.drop_inputs_of_head(model, recipe.dropout)
    path.mkdir(exist_ok=True)
    return Job(
        model,
        tasks.for_training(recipe, targets[split["train"]], ("left", "right")),
        pixels,
        targets,
        split,
        preprocess,
        parse(recipe.augment or "off", flips=True, photos=False),
        recipe,
        Run(path),
        torch.device("cpu"),
    )


def result(job: Job) -> tuple[bytes, list[dict[str, Any]]]:
    """The weights' file and the history, times apart."""
    history = [{k: v for k, v in line.items() if k != "seconds"} for line in job.run.history]
    return (job.run.path / "model.safetensors").read_bytes(), history


def test_learns_and_writes_what_it_promises(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", steps=60)
    fit(job, ignore)
    history = job.run.history
    assert [line["epoch"] for line in history] == list(range(1, 21))
    assert history[-1]["val"]["accuracy"] == 1.0
    assert history[-1]["train"]["loss"] < history[0]["train"]["loss"] / 3
    assert history[-1]["step"] == 60


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "ema": 0.9, "dropout": 0.3, "patience": 4, "schedule": "plateau", "clip": 1.0,
        "augment": "shift=0.1,mixup=0.4", "optimizer": "nesterov", "label_smoothing": 0.1,
    },
    "fast": {
        "optimizer": "muon", "schedule": "linear", "warmup": 0.0, "early_size": 8,
        "augment": "alternate,shift=0.1", "tta": "flip",
    },
    "adadelta": {"optimizer": "adadelta", "lr": 1.0, "schedule": "one-cycle"},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cut", [0, 1, 7, 12, 19])
def test_cut_anywhere_and_resumed_is_bit_equal(
    tmp_path: Path, variant: str, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_job(tmp_path / "whole", **VARIANTS[variant])
    fit(whole, ignore)

    monkeypatch.setattr("striate.training.loop.Pace.due", lambda _: True)
    broken = make_job(tmp_path / "broken", **VARIANTS[variant])

    def crash(event: Event) -> None:
        if isinstance(event, Step) and event.step == cut + 1:
            raise Cut

    with pytest.raises(Cut):
        fit(broken, crash)
    again = make_job(tmp_path / "broken", **VARIANTS[variant])
    torch.manual_seed(999)  # whatever happened in between
    fit(again, ignore, resume=True)
    assert result(again) == result(whole)


def test_a_resumed_run_computes_its_convolutions_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_job(tmp_path / "whole", threads=1)
    fit(whole, ignore)
    monkeypatch.setattr("striate.training.loop.Pace.due", lambda _: True)

    def crash(event: Event) -> None:
        if isinstance(event, Step) and event.step == 9:
            raise Cut

    with pytest.raises(Cut):
        fit(make_job(tmp_path / "broken", threads=1), crash)
    # Another process knows nothing of what was measured, and may measure something else.
    convolution.forget()
    monkeypatch.setattr("striate.training.lower.measured", None)
    again = make_job(tmp_path / "broken", threads=1)
    fit(again, ignore, resume=True)
    assert result(again) == result(whole)


def test_resuming_before_the_first_save_starts_anew(tmp_path: Path) -> None:
    whole, other = make_job(tmp_path / "whole"), make_job(tmp_path / "other")
    fit(whole, ignore)
    fit(other, ignore, resume=True)
    assert result(other) == result(whole)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    whole = make_job(tmp_path / "whole")
    fit(whole, ignore)
    job = make_job(tmp_path / "run")

    def press(event: Event) -> None:
        if isinstance(event, Step) and event.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="after step 5 of 20") as caught:
        fit(job, press)
    assert signal.getsignal(signal.SIGINT) is before
    assert "--resume" in caught.value.hint
    assert (job.run.path / "model.safetensors").exists()
    again = make_job(tmp_path / "run")
    fit(again, ignore, resume=True)
    assert result(again) == result(whole)


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", optimizer="sgd", lr=1e30, warmup=0.0)
    with pytest.raises(Diverged, match=r"at step \d+; the weights of step 0") as caught:
        fit(job, ignore)
    assert "--lr" in caught.value.hint
    kept, _ = weights.read(job.run.path / "model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())
    fresh = make_job(tmp_path / "fresh")
    assert torch.equal(kept["0.weight"], fresh.model.state_dict()["0.weight"])


def test_where_a_look_costs_it_is_rare_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = make_job(tmp_path / "whole"), make_job(tmp_path / "other")
    fit(whole, ignore)
    monkeypatch.setattr(loop, "FREE_TO_LOOK", set())
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_LOOKS", 1e9)
    told: list[Event] = []
    fit(other, told.append)
    assert result(other) == result(whole)
    # At the end of each epoch of 3 steps, and at the last step.
    assert [event.step for event in told if isinstance(event, Step)] == [3, 6, 9, 12, 15, 18, 20]


@pytest.mark.parametrize("rare", [False, True])
def test_the_step_that_diverged_is_named_however_late_it_is_seen(
    tmp_path: Path, rare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rare:
        monkeypatch.setattr(loop, "FREE_TO_LOOK", set())
        monkeypatch.setattr(loop, "SECONDS_BETWEEN_LOOKS", 1e9)
    job = make_job(tmp_path / "run")
    count = itertools.count(1)

    def losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        # Of the steps 4 to 6, whose losses are looked at together; a look at the health is no step.
        bad = job.model.training and next(count) == 5
        return torch.nn.functional.cross_entropy(outputs, targets, reduction="none") * (
            float("nan") if bad else 1.0
        )

    monkeypatch.setattr(type(job.task), "losses", lambda _, outputs, targets: losses(outputs, targets))
    with pytest.raises(Diverged, match="at step 5; the weights of step 0"):
        fit(job, ignore)


def test_patience_stops_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.9, 0.5, 0.7, 0.6, 0.1])
    at_best: dict[str, torch.Tensor] = {}

    def validate(_job: Job, _state: object, tensors: Any, _epoch: int) -> dict[str, float]:
        loss = next(losses)
        if loss == 0.5:
            at_best.update({k: v.clone() for k, v in tensors.model.state_dict().items()})
        return {"loss": loss, "accuracy": 0.0}

    monkeypatch.setattr("striate.training.loop._validate", validate)
    job = make_job(tmp_path / "run", patience=2)
    kept = fit(job, ignore)
    assert len(job.run.history) == 4
    assert all(torch.equal(v, at_best[k]) for k, v in kept.state_dict().items())


def test_early_pictures_are_small(tmp_path: Path) -> None:
    job, sides = make_job(tmp_path / "run", early_size=8, steps=10), []

    def look(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if job.model.training:
            sides.append(inputs[0].shape[2])

    job.model[0].register_forward_pre_hook(look)  # type: ignore[index]
    fit(job, ignore)
    assert sides[-10:] == [8] * 6 + [12] * 4


def test_the_average_is_what_is_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", ema=0.5, steps=6)
    kept = fit(job, ignore)
    assert not torch.equal(kept.state_dict()["6.weight"], job.model.state_dict()["6.weight"])
    saved, _ = weights.read(job.run.path / "model.safetensors")
    assert torch.equal(saved["6.weight"], kept.state_dict()["6.weight"])


def test_the_loop_leaves_torchs_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(make_job(tmp_path / "run", dropout=0.5), ignore)
    assert torch.equal(torch.rand(3), expected)
