"""The task of saying the input again: what is shown, what is asked for, and what is scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.preprocess import Preprocess
from striate.data.sequence import Sequences
from striate.errors import RecipeError
from striate.runs.recipe import Recipe
from striate.training.reconstruction import Reconstruction, damage
from striate.training.task import from_info, unlabelled

MEAN, STD = (0.2, 0.5), (0.1, 0.4)


def some(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Values in 0..1 (N, 2, 3, 3) and the same normalised."""
    values = torch.rand(n, 2, 3, 3)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (MEAN, STD))
    return values, (values - mean) / std


@given(st.integers(1, 5), st.integers(0, 9999), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_perfect_answer_has_no_error_and_a_wrong_one_its_square(n: int, seed: int, cross: bool) -> None:
    torch.manual_seed(seed)
    task, (values, inputs) = Reconstruction(MEAN, STD, cross_entropy=cross), some(n)
    perfect = torch.logit(values) if cross else inputs
    truths = values.numpy()
    assert task.score(task.answers(perfect).numpy(), truths).error == pytest.approx(0, abs=1e-6)
    other = torch.randn_like(inputs)
    said = (
        other.sigmoid()
        if cross
        else other * torch.tensor(STD).view(-1, 1, 1) + torch.tensor(MEAN).view(-1, 1, 1)
    )
    squares = (said - values).square().flatten(1).sum(1)
    assert task.score(task.answers(other).numpy(), truths).error == pytest.approx(
        float(squares.mean()), rel=1e-4
    )
    torch.testing.assert_close(task.hits(other, inputs), squares, rtol=1e-4, atol=1e-5)


def test_the_losses_are_torchs_own() -> None:
    values, inputs = some()
    outputs = torch.randn_like(inputs)
    squared, crossed = (Reconstruction(MEAN, STD, cross_entropy=cross) for cross in (False, True))
    torch.testing.assert_close(squared.losses(outputs, inputs).mean(), F.mse_loss(outputs, inputs))
    right = F.binary_cross_entropy_with_logits(outputs, values)
    torch.testing.assert_close(crossed.losses(outputs, inputs).mean(), right)
    for task in (squared, crossed):
        answers = task.answers(outputs).numpy()
        scores = task.score(answers, values.numpy())
        mean = float(task.losses(outputs, inputs).mean())
        assert task.loss(scores, answers, values.numpy()) == pytest.approx(mean, rel=1e-4)


def test_the_damaged_is_shown_and_the_clean_asked_for() -> None:
    torch.manual_seed(0)
    values, inputs = some(400)
    task = Reconstruction(MEAN, STD, mask=0.25)
    shown, asked = task.posed(inputs, inputs)
    assert torch.equal(asked, inputs)
    black = task.values(shown).abs() < 1e-6
    assert black.float().mean() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(task.values(shown)[~black], values[~black])
    noisy = Reconstruction(MEAN, STD, noise=0.3)
    off = noisy.values(noisy.posed(inputs, inputs)[0]) - values
    assert off.std() == pytest.approx(0.3, rel=0.03)  # in values, whatever the channel's deviation
    assert off[:, 0].std() == pytest.approx(float(off[:, 1].std()), rel=0.05)


def test_a_run_says_what_its_task_was_and_evaluation_shows_clean_inputs() -> None:
    preprocess = Preprocess(channels=2, size=3, mean=MEAN, std=STD)
    task = unlabelled(Recipe(task="reconstruction", loss="cross-entropy", corrupt="noise=0.5"), preprocess)
    assert isinstance(task, Reconstruction)
    again = from_info({"task": "reconstruction", "target": task.scale})
    assert again == Reconstruction(MEAN, STD, cross_entropy=True)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 2), dtype=np.uint8)
    truths = task.truths(pixels, np.zeros(5), np.array([3, 1]), preprocess)
    np.testing.assert_allclose(truths, pixels[[3, 1]].transpose(0, 3, 1, 2) / 255, atol=1e-6)


@pytest.mark.parametrize("asked", ["fog", "noise", "noise=", "noise=-1", "mask=1.5", "mask=0", "noise=nan"])
def test_an_impossible_damage_is_refused_in_two_lines(asked: str) -> None:
    with pytest.raises(RecipeError, match="cannot read") as caught:
        damage(asked)
    assert "noise=0.5" in caught.value.hint


@pytest.mark.parametrize("cross_entropy", [False, True])
def test_padding_of_a_sequence_is_neither_learnt_nor_scored(cross_entropy: bool) -> None:
    task = Reconstruction((0.2,), (0.5,), cross_entropy=cross_entropy)
    torch.manual_seed(0)
    inputs, outputs = torch.randn(3, 1, 5), torch.randn(3, 1, 5)
    zeros = torch.zeros(3, 1, 4)
    longer, said = torch.cat([inputs, zeros], 2), torch.cat([outputs, zeros + 7], 2).requires_grad_()
    found = {}
    for name, x, y in (("bare", inputs, outputs), ("padded", longer, said)):
        shown, clean = task.posed(x, x)
        assert torch.equal(shown, x)
        found[name] = task.losses(y, clean), task.hits(y, clean)
    torch.testing.assert_close(found["bare"], found["padded"])
    found["padded"][0].sum().backward()  # type: ignore[no-untyped-call]
    assert said.grad is not None
    assert said.grad[..., :5].abs().min() > 0
    assert not said.grad[..., 5:].any()


def test_padding_is_not_damaged() -> None:
    task = Reconstruction((0.2,), (0.5,), noise=1.0, mask=0.5)
    inputs = torch.cat([torch.ones(4, 1, 6), torch.zeros(4, 1, 3)], 2)
    damaged = task.damaged(inputs)
    assert not torch.equal(damaged[..., :6], inputs[..., :6])
    assert not damaged[..., 6:].any()


def test_cross_entropy_is_refused_where_values_are_not_from_0_to_1() -> None:
    recipe = Recipe().replace(task="reconstruction", loss="cross-entropy")
    sound = Sequences(modality="sound", channels=1, length=8, rate=8000, dtype="int16")
    with pytest.raises(RecipeError, match="values from 0 to 1"):
        unlabelled(recipe, sound)
    rolls = Sequences(modality="series", channels=3, length=8, binary=True, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert unlabelled(recipe, rolls).metric == "squared_error"
