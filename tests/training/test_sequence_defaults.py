from typing import Any

import pytest

from striate.data.sequence import Sequences
from striate.data.sources import Sample, Source
from striate.errors import RecipeError
from striate.models import registry
from striate.runs.recipe import Recipe
from striate.training import sequence_defaults

SOURCE = Source(
    "words",
    "zip",
    tuple(Sample(f"{i}.wav", "ab"[i % 2]) for i in range(400)),
    ("a", "b"),
    lambda _: b"",
    "sound",
)
PLAN = Sequences(modality="sound", channels=1, length=4000, rate=8000, dtype="int16")


def test_every_setting_has_a_value_but_those_of_speed_and_of_pictures() -> None:
    recipe, choices = sequence_defaults.choose(Recipe(), SOURCE, PLAN)
    assert (recipe.rate, recipe.length) == (8000, 0.5)
    assert recipe.batch == 8  # few recordings are seen in small batches
    assert recipe.lr == pytest.approx(1e-3, rel=0.01)  # which takes smaller steps
    assert {"model", "epochs", "rate", "length"} <= {choice.name for choice in choices}
    again, none = sequence_defaults.choose(recipe, SOURCE, PLAN)
    assert again == recipe
    assert not none


@pytest.mark.parametrize(
    ("alphabet", "task", "model"),
    [
        ("ACGT", "classification", "dna"),
        ("ACGT", "next-step", "tcn"),
        ("abcdefgh", "classification", "tcn"),
        ("abcdefgh", "next-step", "tcn"),
    ],
)
def test_bases_are_searched_for_motifs_and_other_letters_are_not(
    alphabet: str, task: Any, model: str
) -> None:
    plan = Sequences(modality="symbols", channels=len(alphabet), length=81, alphabet=alphabet, dtype="uint8")
    recipe, _ = sequence_defaults.choose(Recipe(task=task), SOURCE, plan)
    assert (recipe.model, recipe.augment) == (model, "off")


def test_sounds_are_made_louder_and_softer_where_classes_are_learnt() -> None:
    assert sequence_defaults.choose(Recipe(), SOURCE, PLAN)[0].augment == "gain=10"
    assert sequence_defaults.choose(Recipe(augment="off"), SOURCE, PLAN)[0].augment == "off"
    assert sequence_defaults.choose(Recipe(task="reconstruction"), SOURCE, PLAN)[0].augment == "off"


def test_every_chosen_network_is_there() -> None:
    for name, _ in sequence_defaults.NETWORKS.values():
        assert registry.known(name), name


@pytest.mark.parametrize(
    ("name", "value"), [("tta", "flip"), ("size", 64), ("early_size", 32), ("stem", "small")]
)
def test_what_only_pictures_have_is_refused(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match="for pictures"):
        sequence_defaults.choose(Recipe().replace(**{name: value}), SOURCE, PLAN)
