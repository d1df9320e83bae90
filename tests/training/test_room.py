from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from striate.data.sequence import Sequences
from striate.errors import RecipeError
from striate.runs.recipe import Recipe
from striate.training import room
from striate.training.next_step import NextStep
from striate.training.task import Classification

CLASSES = Classification(("a", "b"))


def sounds(length: int) -> Sequences:
    return Sequences(modality="sound", channels=1, length=length, rate=8000, dtype="int16")


def recipe(batch: int) -> Recipe:
    return Recipe(batch=batch, device="cpu")


@pytest.mark.parametrize("model", ["tdnn", "m5"])
def test_a_sound_of_a_day_is_refused_and_one_of_a_second_is_not(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 16 * 2**30)
    with pytest.raises(RecipeError, match=r"8 sequences of 691,200,000 steps needs about [\d,]{3,} GiB"):
        room.check_room(recipe(8), model, CLASSES, sounds(86_400 * 8000))
    room.check_room(recipe(8), model, CLASSES, sounds(8000))


def test_letters_by_the_million_are_refused() -> None:
    letters = Sequences(modality="symbols", channels=4, length=10**9, alphabet="ACGT", dtype="uint8")
    with pytest.raises(RecipeError, match="smaller") as caught:
        room.check_room(recipe(4), "tcn", NextStep("symbols", 4), letters)
    assert caught.value.hint == "Give a smaller --length or --batch."


def test_what_is_kept_grows_as_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ReLU keeps what it gave: 4 bytes a value; the convolution before it keeps the input."""
    model = nn.Sequential(nn.Conv1d(1, 3, 1), nn.ReLU(), nn.Flatten(), Last())
    assert room._kept(model, torch.ones(1, 1, 1000)) == 4 * (1000 + 3000)
    length, batch = 4_000_000, 2
    by_hand = batch * 4 * 4 * length
    for spare, refused in ((0.99, True), (1.01, False)):
        monkeypatch.setattr(room, "free_memory", lambda spare=spare: int(spare * by_hand))
        if refused:
            with pytest.raises(RecipeError):
                room.check_room(recipe(batch), model, CLASSES, sounds(length))
        else:
            room.check_room(recipe(batch), model, CLASSES, sounds(length))


class Last(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[:, -2:]


def test_a_network_for_one_length_is_held_against_its_input_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed(nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError(f"not for {x.shape}")

    monkeypatch.setattr(room, "free_memory", lambda: 10**9)
    room.check_room(recipe(2), Fixed(), CLASSES, sounds(10**8))
    with pytest.raises(RecipeError, match="about 7 GiB"):
        room.check_room(recipe(2), Fixed(), CLASSES, sounds(10**9))
