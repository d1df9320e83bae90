"""The verdict: only what the sample can tell, the costliest first, with what exists to try against it."""

from __future__ import annotations

import pytest

from striate.data import augment
from striate.stress.distortion import CORRUPTIONS, CURVES
from striate.stress.measure import Curve, Curves, Point
from striate.stress.verdict import AUGMENTS, KINDS, WORDS, advice, compared, level_in_words, verdict, worst


def made(clean: int = 490, n: int = 500, **levels: dict[float, int]) -> Curves:
    """Right answers of n pictures, by distortion and level."""
    curves = {}
    for name, hits in levels.items():
        points = tuple(Point(level, n, hit, 0.9) for level, hit in hits.items())
        published = name in CORRUPTIONS
        start = () if published else (Point(CURVES[name].identity, n, clean, 0.9),)
        curves[name] = Curve(name, "", published, start + points)
    return Curves(Point(0, n, clean, 0.9), curves)


def said(found: Curves, trained: str = "off", side: int = 28) -> list[str]:
    return verdict(found, augment=trained, side=side, channels=1, run="runs/x")


def test_a_fall_is_told_with_its_cost_and_what_to_try() -> None:
    told = said(made(shift={1: 485, 2: 470, 3: 445, 4: 200}, noise={0.1: 489, 0.2: 488}))
    assert (
        told[0] == "A shift of 3 px costs 9.0 points (98.0% to 89.0%); a shift of 4 px leaves less than half."
    )
    assert "--augment strong" in told[1] or "--augment shift=0.11" in told[1]
    assert "--compare RUN2" in told[1]
    assert len(told) == 2  # noise stays within the interval


def test_what_only_one_of_two_networks_was_measured_under_is_not_compared() -> None:
    """A colour cast means nothing for a network of grey pictures."""
    colour, grey = made(shift={1: 300}, colour_cast={1: 100}), made(shift={1: 400})
    assert compared(colour, grey, "GREY").startswith("GREY is better under shift;")
    assert compared(grey, colour, "COLOUR").startswith("COLOUR is worse under shift;")


def test_a_robust_network_is_said_to_be_one() -> None:
    (told,) = said(made(shift={1: 489, 2: 485}, fog={1: 490, 5: 486}))
    assert told.startswith("Nothing tried costs more than the sample can tell")


def test_the_same_fall_counts_only_where_the_sample_is_large_enough() -> None:
    assert worst(made(490, 500, shift={1: 470}))
    assert not worst(made(49, 50, shift={1: 47}))


def test_one_sentence_a_kind_and_three_in_all() -> None:
    found = made(
        gaussian_noise={1: 100}, shot_noise={1: 90}, noise={0.1: 80}, shift={1: 300}, rotation={5: 350},
        fog={1: 400},
    )  # fmt: skip
    assert [fall.name for fall in worst(found)] == ["noise", "shift", "rotation"]


def test_strong_is_advised_where_it_holds_more_than_the_run_had() -> None:
    falls = worst(made(rotation={5: 480, 10: 400}))
    assert advice(falls, augment="shift=0.07", side=28, channels=1) == "strong"
    again = advice(falls, augment="shift=0.07,rotate=10", side=28, channels=1)
    assert again == "shift=0.07,rotate=15"  # what it had did not help
    more = worst(made(rotation={20: 400}))
    assert advice(more, augment="shift=0.07,rotate=10", side=28, channels=1) == "shift=0.07,rotate=20"


def test_what_no_augmentation_makes_is_not_promised() -> None:
    told = said(made(glass_blur={1: 300}))
    assert told[0].startswith("Glass blur at severity 1 costs 38.0 points")
    assert "No augmentation makes glass blur" in told[1]
    assert not any("--augment" in line for line in told)


def test_every_distortion_has_a_kind_and_every_advice_can_be_asked_for() -> None:
    known = {**CURVES, **CORRUPTIONS}
    assert set(KINDS) == set(known)
    assert set(WORDS) == set(CURVES) - set(CORRUPTIONS)
    assert set(AUGMENTS.values()) <= set(augment.RANGES)
    for name in known:
        found = made(490, 500, **{name: {2.0: 200}})
        asked = advice(worst(found), augment="off", side=28, channels=3)
        augment.parse(asked or "off", flips=True, photos=False)
        assert level_in_words(name, 2)


def test_two_runs_are_told_apart_only_where_their_intervals_are() -> None:
    own = made(shift={1: 480, 2: 200}, fog={1: 400}, noise={0.1: 300})
    other = made(shift={1: 482, 2: 300}, fog={1: 405}, noise={0.1: 200})
    told = compared(own, other, "RUN2")
    assert told.startswith("RUN2 is better under shift and worse under noise;")
    assert compared(own, own, "RUN2") == "RUN2 differs nowhere by more than the intervals."


@pytest.mark.parametrize("name", ["brightness", "contrast"])
def test_a_published_name_says_its_severity(name: str) -> None:
    assert level_in_words(name, 3) == f"{name} at severity 3"
