"""The recipe: one declaration for flags, TOML and Python; a mistake gets key, value and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import RecipeError
from striate.runs.recipe import Recipe, check, helps, read

recipes = st.builds(
    lambda **values: check(values),
    data=st.text(st.characters(codec="utf-8"), max_size=20),
    lr=st.none() | st.floats(1e-9, 1e3),
    epochs=st.none() | st.integers(1, 10**6),
    fit=st.sampled_from([None, "crop", "pad", "squash"]),
    init=st.sampled_from(["default", "he_normal", "normal:0.02"]),
    seed=st.integers(0, 2**63 - 1),
)


@given(recipes)
def test_toml_gives_the_recipe_back(recipe: Recipe) -> None:
    import tomllib

    assert check(tomllib.loads(recipe.toml())) == recipe


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epohcs": 3}, "Did you mean epochs"),
        ({"epochs": 0}, "--epochs.*Received: 0"),
        ({"epochs": 2.5}, "--epochs.*Received: 2.5"),
        ({"fit": "stretch"}, "--fit.*'crop', 'pad' or 'squash'.*Received: 'stretch'"),
        ({"lr": float("nan")}, "--lr"),
        ({"lr": float("inf")}, "--lr"),
        ({"val": 1.0}, "--val.*Received: 1.0"),
        ({"label_smoothing": -0.1}, "--label-smoothing"),
        ({"init": "he"}, "--init.*'he'"),
        ({"init": "normal:x"}, "--init"),
        ({"init": "normal:-1"}, "--init"),
        ({"model": 3}, "--model"),
        ({"seed": -1}, "--seed"),
        ({"minutes": 0}, "--minutes"),
    ],
)
def test_a_mistake_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        check(values)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.hint


def test_every_field_has_its_help() -> None:
    texts = helps()
    assert list(texts) == list(Recipe.__dataclass_fields__)
    assert all(text.endswith(".") and len(text) < 110 for text in texts.values())


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Cannot read"):
        read(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("epochs = = 3")
    with pytest.raises(RecipeError, match="is not TOML"):
        read(bad)
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not TOML"):
        read(bad)
    bad.write_text('epochs = "three"')
    with pytest.raises(RecipeError, match="--epochs"):
        read(bad)
