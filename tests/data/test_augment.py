"""The written form of an augmentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.augment import PRESETS, RANGES, Augment, parse
from striate.errors import RecipeError

strengths = st.fixed_dictionaries(
    {kind: st.just(0.0) | st.floats(*limits) for kind, limits in RANGES.items()}
)


@given(flip=st.booleans(), alternate=st.booleans(), values=strengths)
def test_the_list_says_everything(flip: bool, alternate: bool, values: dict[str, float]) -> None:
    augment = Augment(flip=flip, alternate=alternate, **values)
    assert parse(str(augment), flips=not flip, photos=True) == augment


def test_known_lists() -> None:
    assert parse("off", flips=True, photos=True) == Augment()
    assert str(Augment()) == "off"
    assert parse("rotate=10, flip,crop=0.35", flips=False, photos=False) == Augment(
        flip=True, crop=0.35, rotate=10
    )
    assert str(parse("rotate=10,flip,crop=0.350", flips=True, photos=True)) == "flip,crop=0.35,rotate=10"
    assert str(parse("shift=0", flips=True, photos=True)) == "off"


@pytest.mark.parametrize("word", PRESETS)
@pytest.mark.parametrize("photos", [True, False])
@pytest.mark.parametrize("grey", [True, False])
def test_words_follow_the_data(word: str, photos: bool, grey: bool) -> None:
    mirrored = parse(word, flips=True, photos=photos, grey=grey)
    upright = parse(word, flips=False, photos=photos, grey=grey)
    assert mirrored.flip
    assert not upright.flip
    assert str(mirrored) == f"flip,{upright}"
    assert bool(mirrored.crop) == photos
    assert parse(str(mirrored), flips=False, photos=not photos) == mirrored
    if word == "strong":
        light = parse("light", flips=True, photos=photos, grey=grey)
        assert all(getattr(mirrored, kind) for kind in RANGES if getattr(light, kind))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("crop=1.5", "crop must be a number from 0 to 1. Received: 'crop=1.5'", "crop=0.2"),
        ("flip,shift=-0.1", "shift must be a number from 0 to 0.5. Received: 'flip,shift=-0.1'", "shift=0.1"),
        ("crop", "crop must be a number", "crop=0.2"),
        ("rotate=nan", "rotate must be a number from 0 to 180", "rotate=36"),
        ("noise=inf", "noise must be a number", "off"),
        ("rotate=ten", "Received: 'rotate=ten'", "rotate=36"),
        ("flip=1", "flip takes no value. Received: flip=1", "Write flip"),
        ("flip,flip", "flip is named twice", "once"),
        ("crop=0.3,crop=0.4", "crop is named twice", "once"),
        ("rotat=10", "unknown kind 'rotat'", "Did you mean rotate?"),
        ("colur=0.1", "unknown kind 'colur'", "Did you mean colour?"),
        ("ligth", "unknown kind 'ligth'", "Did you mean light?"),
        ("light,rotate=10", "light stands alone", "Write out the list"),
        ("off,flip", "off stands alone", "Write out the list"),
        ("", "unknown kind ''", "Known: off"),
        ("flip,", "unknown kind ''", "Known: off"),
    ],
)
def test_mistakes_are_explained(text: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text, flips=True, photos=True)
    assert caught.value.message.startswith("--augment: ")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


def test_parsing_needs_no_torch() -> None:
    code = "import sys, striate.data.augment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_names_every_kind_and_list() -> None:
    page = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text(encoding="utf-8")
    for lists in PRESETS.values():
        assert " | ".join(f"`{text}`" for text in lists.values()) in page
    for kind, (low, high) in RANGES.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{kind}` "))
        assert line.endswith(f"| {low:g} to {high:g} |")
