"""What is chosen without flags, by the data; what the user says is never overruled."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from striate.errors import RecipeError
from striate.runs.recipe import SPEED, Recipe
from striate.training.defaults import ENOUGH_EPOCHS, SIDES, Facts, choose, fast

DIGITS = Facts(1797, 8, 1.0, 1, tuple("0123456789"))
CIFAR = Facts(50_000, 32, 1.0, 3, ("cat", "dog", "frog"))
PHOTOS = Facts(3_000, 400, 1.33, 3, ("shirt", "dress"))
MICROSCOPE = Facts(2_000, 512, 1.0, 5, ("alive", "dead"))


def chosen(facts: Facts, **asked: Any) -> Recipe:
    return choose(Recipe().replace(device="cpu", **asked), facts)[0]


@pytest.mark.parametrize(
    ("facts", "model", "size", "fit"),
    [
        (DIGITS, "lenet5", 28, "crop"),
        (CIFAR, "resnet20", 32, "crop"),
        (PHOTOS, "resnet18", 128, "squash"),
        (MICROSCOPE, "resnet18", 128, "crop"),
        (dataclasses.replace(PHOTOS, aspect=3.0), "resnet18", 128, "crop"),
    ],
)
def test_model_and_size_follow_the_pictures(facts: Facts, model: str, size: int, fit: str) -> None:
    recipe = chosen(facts)
    assert (recipe.model, recipe.size, recipe.fit) == (model, size, fit)


OF_DATA = {"val", "test", "group", "folds", "fold", "label_pattern"}
OF_OTHERS = {"length", "rate", "loss"}  # of sequences, and of reconstructions
NOT_CHOSEN = {"minutes", "steps", "weights", "freeze"} | OF_DATA | OF_OTHERS


@pytest.mark.parametrize("facts", [DIGITS, CIFAR, PHOTOS, MICROSCOPE])
def test_nothing_that_training_needs_is_left_open(facts: Facts) -> None:
    recipe = chosen(facts)
    open_fields = {f.name for f in dataclasses.fields(Recipe) if getattr(recipe, f.name) is None}
    assert open_fields == NOT_CHOSEN | set(SPEED)
    open_fields = {f.name for f in dataclasses.fields(Recipe) if getattr(fast(recipe), f.name) is None}
    assert open_fields == NOT_CHOSEN


def test_digits_and_letters_are_not_mirrored() -> None:
    assert "flip" not in str(chosen(DIGITS).augment)
    assert "flip" in str(chosen(CIFAR).augment)
    assert "flip" in str(chosen(PHOTOS).augment)
    assert chosen(DIGITS, augment="flip").augment == "flip"  # a list is obeyed


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "mlp"}, {"size": 40}, {"fit": "pad"}, {"batch": 7}, {"lr": 0.123}, {"optimizer": "adam"},
        {"epochs": 3}, {"augment": "off"}, {"label_smoothing": 0.3}, {"weight_decay": 0.0}, {"ema": 0.9},
    ],
)  # fmt: skip
def test_what_the_user_says_stays(asked: dict[str, Any]) -> None:
    recipe = chosen(PHOTOS, **asked)
    assert {name: getattr(recipe, name) for name in asked} == asked


def test_each_choice_that_a_person_would_ask_about_has_its_line() -> None:
    _, choices = choose(Recipe(), PHOTOS)
    names = {choice.name for choice in choices}
    assert {"model", "size", "fit", "epochs", "augment"} <= names
    assert all(choice.reason and len(f"{choice.value} {choice.reason}") < 80 for choice in choices)


def test_photographs_are_as_large_as_the_minutes_allow() -> None:
    recipe = Recipe().replace(minutes=10, device="cpu")

    def size(cost: float) -> int:
        return choose(recipe, PHOTOS, lambda _recipe, _side: cost)[0].size or 0

    # The cost of a step at the smallest side at which the next side is just seen often enough.
    batch = choose(recipe, PHOTOS, lambda _r, _s: 1.0)[0].batch or 1
    for side in SIDES:
        enough = 600 * 0.9 / (ENOUGH_EPOCHS * PHOTOS.pictures / batch) / (side / SIDES[0]) ** 2
        assert size(enough * 0.99) == side
    assert size(100.0) == SIDES[0]


def test_half_precision_without_a_gpu_is_told() -> None:
    with pytest.raises(RecipeError, match="--precision float16 needs"):
        chosen(DIGITS, precision="float16")


def test_a_device_that_is_not_there_is_told() -> None:
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="--device cuda"):
            choose(Recipe().replace(device="cuda"), DIGITS)
