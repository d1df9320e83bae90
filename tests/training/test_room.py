from __future__ import annotations

import pytest

from striate.data.sequence import Sequences
from striate.errors import DataError
from striate.training import room
from striate.training.next_step import NextStep
from striate.training.task import Classification

CLASSES = Classification(("a", "b"))


def sounds(length: int) -> Sequences:
    return Sequences(modality="sound", channels=1, length=length, rate=8000, dtype="int16")


@pytest.fixture(autouse=True)
def _free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 16 * 2**30)


@pytest.mark.parametrize("model", ["tdnn", "m5"])
def test_a_sound_of_a_day_is_refused_and_one_of_a_minute_is_not(model: str) -> None:
    with pytest.raises(DataError, match=r"8 recordings of 86,400 s takes about [\d,]{2,} GiB") as caught:
        room.check(model, CLASSES, sounds(86_400 * 8000), batch=8, noun="recordings")
    assert "--length 10 (seconds)" in caught.value.hint
    room.check(model, CLASSES, sounds(60 * 8000), batch=8, noun="recordings")


@pytest.mark.parametrize("model", ["tcn", "gru", "lstm-64"])
def test_letters_by_the_million_are_refused(model: str) -> None:
    letters = Sequences(modality="symbols", channels=4, length=10**9, alphabet="ACGT", dtype="uint8")
    with pytest.raises(DataError, match="1,000,000,000 steps takes about"):
        room.check(model, NextStep("symbols", 4), letters, batch=4, noun="sequences")


def test_a_network_that_is_none_is_told_where_it_is_built() -> None:
    room.check("nosuch", CLASSES, sounds(86_400 * 8000), batch=8, noun="recordings")
