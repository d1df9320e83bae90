from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.data.sequence import Sequences
from striate.errors import ModelError, RecipeError
from striate.models.recurrent import gru
from striate.models.tcn import tcn
from striate.runs.recipe import Recipe
from striate.training import task as tasks
from striate.training.next_step import NextStep, check_causal
from striate.training.step import try_out

KINDS = ("binary", "symbols", "values")


def sequences(kind: str, lengths: list[int], channels: int = 3, seed: int = 0, padding: int = 0) -> Any:
    """Draw sequences of these lengths, zeros after their ends: (N, channels, longest + padding)."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.zeros(len(lengths), channels, max(lengths) + padding)
    for row, n in zip(x, lengths, strict=True):
        if kind == "binary":
            row[:, :n] = (torch.rand(channels, n, generator=draw) > 0.5).float()
            row[0, n - 1] = 1.0
        elif kind == "symbols":
            row[:, :n] = F.one_hot(torch.randint(channels, (n,), generator=draw), channels).T
        else:
            row[:, :n] = torch.randn(channels, n, generator=draw)
    return x


def network(which: str, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    if which == "tcn":
        return tcn(channels, channels, kernel=2, levels=2, hidden=5, every=True)
    return gru(channels, channels, widths=(5,), every=True)


def gradient(model: nn.Module, task: NextStep, x: Any) -> tuple[float, Any]:
    model.zero_grad()
    inputs, wanted = task.posed(x, torch.zeros(len(x)))
    loss = task.losses(model(inputs), wanted).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_what_follows_a_step_is_the_next_one_and_nothing_follows_the_last() -> None:
    x = torch.tensor([[[1.0, 2, 3, 0]], [[4, 0, 0, 0]], [[0, 0, 5, 6]]])
    shown, wanted = NextStep("values", 1).posed(x, torch.zeros(3))
    nan = torch.nan
    assert torch.equal(shown, x)
    expected = torch.tensor([[[2.0, 3, nan, nan]], [[nan] * 4], [[0, 5, 6, nan]]])
    assert torch.equal(wanted.nan_to_num(-1), expected.nan_to_num(-1))


def test_a_silent_step_of_a_roll_is_foretold_too() -> None:
    """At its end as well: a tiny number marks it as a step, and is no key that is on."""
    stored = np.full((1, 6, 2), np.nan, np.float32)
    stored[0, :4] = [[1, 0], [0, 0], [1, 1], [0, 0]]
    rolls = Sequences(modality="series", channels=2, length=6, binary=True, mean=(0.0, 0.0), std=(1.0, 1.0))
    truths = NextStep("binary", 2).truths(stored, np.zeros(1), np.array([0]), rolls)
    assert truths[0, :, :3].T.tolist() == [[0, 0], [1, 1], [0, 0]]
    assert np.isnan(truths[0, :, 3:]).all()


def test_a_letter_that_is_not_known_is_not_foretold() -> None:
    letters = Sequences(modality="symbols", channels=2, length=5, alphabet="ab", dtype="uint8")
    stored = np.array([[[1], [3], [2], [1], [0]]], np.uint8)
    truths = NextStep("symbols", 2).truths(stored, np.zeros(1), np.array([0]), letters)
    assert np.isnan(truths[0, 0]).tolist() == [True, False, False, True, True]
    assert truths[0, :, 1:3].T.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["tcn", "gru"])
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_padding_changes_neither_loss_nor_gradient(
    which: str, kind: str, lengths: list[int], padding: int, seed: int
) -> None:
    model, task = network(which), NextStep(kind, 3)
    loss, steep = gradient(model, task, sequences(kind, lengths, seed=seed))
    padded, also_steep = gradient(model, task, sequences(kind, lengths, seed=seed, padding=padding))
    assert padded == pytest.approx(loss, rel=1e-5, abs=1e-7)
    assert torch.allclose(also_steep, steep, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_unequal_lengths_is_what_its_sequences_are_one_by_one(kind: str) -> None:
    model, task, lengths = network("gru"), NextStep(kind, 3), [6, 2, 9]
    x = sequences(kind, lengths)
    alone = [gradient(model, task, x[i : i + 1, :, :n]) for i, n in enumerate(lengths)]
    steps = [n - 1 for n in lengths]  # each step weighs the same, whatever its sequence
    loss, steep = gradient(model, task, x)
    assert loss == pytest.approx(sum(n * one for n, (one, _) in zip(steps, alone, strict=True)) / sum(steps))
    expected = sum(n * one for n, (_, one) in zip(steps, alone, strict=True)) / sum(steps)
    assert torch.allclose(steep, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_score(kind: str) -> None:
    model, task, x = network("tcn").eval(), NextStep(kind, 3), sequences(kind, [5, 8, 2])
    inputs, wanted = task.posed(x, torch.zeros(3))
    with torch.no_grad():
        outputs = model(inputs)
    answers, truths = task.answers(outputs).numpy(), wanted.numpy()
    scores = task.score(answers, truths)
    assert task.losses(outputs, wanted).mean().item() == pytest.approx(scores.loss, rel=1e-5)
    assert task.loss(scores, answers, truths) == scores.loss
    assert task.metric in scores.summary()
    assert (scores.n, scores.steps) == (3, 12)


def test_sequences_of_one_step_teach_nothing() -> None:
    loss, steep = gradient(network("tcn"), NextStep("values", 3), sequences("values", [1, 1]))
    assert loss == 0
    assert (steep == 0).all()


def test_run_json_brings_the_task_back() -> None:
    for kind in KINDS:
        task = NextStep(kind, 88)
        assert tasks.from_info({"task": "next-step", "target": task.scale, "classes": []}) == task


def test_sounds_and_single_steps_have_no_next_step() -> None:
    recipe = Recipe(task="next-step")
    with pytest.raises(RecipeError, match="the data are sound"):
        tasks.unlabelled(recipe, Sequences(modality="sound", channels=1, length=9, rate=8000))
    with pytest.raises(RecipeError, match="one step each"):
        tasks.untrained("next-step", (), Sequences(modality="series", channels=1, length=1))


class Centred(nn.Module):
    """A convolution that sees one step ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return self.conv(x)


class Placed(nn.Module):
    """Adds a number of its own to each step, of which there are 20."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(3, 20))

    def forward(self, x: Any) -> Any:
        return x + self.places


def test_a_network_that_sees_what_it_is_to_foretell_is_refused() -> None:
    task, inputs = NextStep("values", 3), torch.zeros(2, 3, 20)
    for which in ("tcn", "gru"):
        try_out(network(which), task, inputs)
    normed = nn.Sequential(nn.Conv1d(3, 3, 1), nn.GroupNorm(1, 3))  # its mean is over time too
    for model in (Centred(), normed):
        with pytest.raises(ModelError, match="which it is to foretell"):
            try_out(model, task, inputs)
    with pytest.raises(ModelError, match="RuntimeError for a shorter sequence"):
        try_out(Placed(), task, inputs)
    check_causal(Centred().requires_grad_(False), (3, 1))  # there is nothing to see


def test_padding_of_a_whole_batch_is_left_away_in_training_and_in_no_score() -> None:
    stored = np.full((3, 9, 1), np.nan, np.float32)
    stored[0, :5], stored[1, :3] = 0.5, 0.25
    series = Sequences(modality="series", channels=1, length=9)
    task, rows = NextStep("values", 1), np.array([0, 1])
    x = series.tensor(torch.from_numpy(stored[rows]).movedim(-1, 1))
    shown, wanted = task.posed(x, torch.zeros(2))
    assert shown.shape == wanted.shape == (2, 1, 5)
    truths = task.truths(stored, np.zeros(3), rows, series)
    assert truths.shape == (2, 1, 9)
    assert (~np.isnan(truths)).sum((1, 2)).tolist() == [4, 2]
