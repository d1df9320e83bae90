"""From maps to boxes: where, how large, and one an object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.scan import Box, Level, boxes, suppressed
from striate.scan.found import Found, Scanned


def level(scale: float, stride: int, shape: tuple[int, int], **at: float) -> Level:
    """A map of one class that is 0 but at places such as y2x3."""
    scores = torch.zeros(1, *shape)
    for place, value in at.items():
        y, x = place[1:].split("x")
        scores[0, int(y), int(x)] = value
    return Level((scale, scale), (stride, stride), scores)


def test_a_box_is_the_window_in_pixels_of_the_picture() -> None:
    found = boxes([level(0.5, 4, (5, 6), y2x3=0.75)], 0, (10, 10), threshold=0.5, overlap=0.3)
    assert found == [Box(left=24, top=16, right=44, bottom=36, score=0.75)]


def test_a_threshold_is_reached_or_not() -> None:
    levels = [level(1, 4, (5, 6), y2x3=0.75)]
    assert len(boxes(levels, 0, (10, 10), threshold=0.75, overlap=0.3)) == 1
    assert boxes(levels, 0, (10, 10), threshold=0.76, overlap=0.3) == []


def test_of_one_object_at_two_sizes_the_better_stays() -> None:
    levels = [level(1, 4, (9, 9), y4x4=0.9, y0x0=0.8), level(0.5, 4, (4, 4), y2x2=0.95)]
    found = boxes(levels, 0, (8, 8), threshold=0.5, overlap=0.3)
    assert [(box.left, box.right) for box in found] == [(16, 32), (0, 8)]
    assert [box.score for box in found] == pytest.approx([0.95, 0.8])


def test_a_wide_plain_area_does_not_hide_an_object_that_is_a_little_less_sure() -> None:
    scores = torch.zeros(1, 60, 60)
    scores[0, :, :40] = 0.97  # 2,400 windows, each as good as its neighbours
    scores[0, 30, 55] = 0.96
    found = boxes([Level((1, 1), (1, 1), scores)], 0, (3, 3), threshold=0.95, overlap=0.3)
    assert (found[-1].left, found[-1].top) == (55, 30)
    assert [(box.left, box.top) for box in found[:3]] == [(0, 0), (3, 0), (6, 0)]  # in reading order
    assert max(box.left for box in found[:-1]) < 40


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 9)), max_size=12))
def test_what_is_kept_does_not_overlap_and_what_is_not_does(places: list[tuple[int, int, int]]) -> None:
    corners = [(float(y), float(x), float(y + side), float(x + side)) for y, x, side in places]

    def shared(one: int, other: int) -> float:
        a, b = corners[one], corners[other]
        high, wide = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        return max(0.0, high) * max(0.0, wide) / min(places[one][2], places[other][2]) ** 2

    kept = suppressed(torch.tensor(corners).view(-1, 4), 0.3).tolist()
    assert kept == sorted(kept)
    for i in range(len(corners)):
        rivals = [j for j in kept if j < i and shared(i, j) > 0.3]
        assert (i in kept) == (not rivals)


def scanned(*levels: Level) -> Scanned:
    return Scanned(
        file="a.png", picture=np.zeros((40, 60, 1), np.uint8), mode="exact", reason="no inner padding",
        difference=1e-7, stride=4, window=8, scales=(1.0,), threshold=0.5, names=("cat",), levels=levels,
        classes=(Found("cat", 0.9, (Box(16, 8, 24, 16, 0.9),)),),
    )  # fmt: skip


def test_a_map_is_highest_at_the_middle_of_its_window() -> None:
    heat = scanned(level(1, 4, (9, 14), y2x4=0.9)).heat("cat", 40, 60)
    assert heat.shape == (40, 60)
    top, left = divmod(int(heat.argmax()), 60)
    assert (abs(top + 0.5 - 12), abs(left + 0.5 - 20)) <= (1, 1)
    assert heat.max() == pytest.approx(0.9, abs=0.25)
    assert heat[30, 50] == 0


def test_a_map_takes_the_best_of_all_sizes() -> None:
    coarse = level(0.2, 4, (1, 2), y0x1=0.4)  # one size may have a single row of windows
    heat = scanned(level(1, 4, (9, 14), y2x4=0.9), coarse).heat("cat", 40, 60)
    assert heat[20, 59] == pytest.approx(0.4)
    assert heat[20, 0] == 0


def test_the_words_say_what_was_found_and_how() -> None:
    found = scanned()
    assert found.answer == ("cat",)
    assert found.verdict == "Answer: cat (1, 90.0%); windows of at least 0.5."
    assert found.how == "exact: no inner padding: one map is the same as its windows, to 1e-07"
