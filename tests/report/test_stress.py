"""The page of ``striate stress`` and its section in a training report, from values worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from striate.report import stress as report
from striate.report.page import page as training_page
from striate.report.robustness import panel
from striate.stress.measure import Curve, Curves, Point
from striate.stress.place import GRID, Places
from striate.stress.relative import mce
from striate.stress.result import Example, Robustness, Stressed

from .conftest import EVIL, noise, told
from .test_browser import chromium, opened

__all__ = ["chromium"]


def robustness(name: str, lost: int = 0) -> Robustness:
    """A network that falls by 10 a level, and ``lost`` more."""

    def curve(name: str, *levels: float) -> Curve:
        points = [Point(level, 100, max(0, 90 - 10 * i - lost), 0.9) for i, level in enumerate(levels)]
        return Curve(name, "severity" if levels[0] else "pixels", bool(levels[0]), tuple(points))

    curves = {"shift": curve("shift", 0, 1, 2, 3, 4, 5, 6), "jpeg": Curve("jpeg", "quality", False, ())}
    curves["jpeg"] = replace(curves["shift"], name="jpeg", unit="quality")
    curves |= {one: curve(one, 1, 2, 3, 4, 5) for one in ("fog", "brightness", "jpeg_compression")}
    clean = Point(0, 100, 90 - lost, 0.9)
    hits = np.full((2, GRID, GRID), 45)
    hits[1, 0, 4] = 3
    places = Places(0.25, hits, np.array([50, 50]), np.array([45, 45]))
    classes = (f"{EVIL}a", f"{EVIL}b")
    return Robustness(
        name, classes, Curves(clean, curves, {"colour_cast": "grey"}), Point(0, 100, 77, 0.8), places
    )


def stressed() -> Stressed:
    own, other = robustness(f"runs/{EVIL}"), robustness(f"runs/other{EVIL}", lost=20)
    examples = [
        Example("", 0.0, noise(28, 0, 1)),
        *(Example("shift", level, noise(28, 1, 1)) for level in (3, 6)),
    ]
    examples += [Example("fog", 3, noise(28, 2, 1))]
    relative = mce(own.measured, other.measured)
    return Stressed(EVIL, "test", 1000, 0, own, other, relative, [f"{EVIL} costs 9 points."], 12.3, examples)


def test_the_page_holds_the_verdict_the_curves_the_table_and_the_map() -> None:
    told = report.page(stressed())
    assert told.count("<svg") == 3  # shift, JPEG quality and brightness; fog only in the table
    assert "costs 9 points." in told
    assert "<td style=--a:0.00>90</td>" in told
    assert "<td style=--a:0.44>50</td>" in told  # fog at severity 5: 40 of 90 points lost
    assert "at the top right" in told
    assert "77.0\xa0%" in told
    assert "not the official files" in told
    assert "100 of 1,000 pictures" in told


def test_what_was_left_out_is_named_even_where_nothing_is_left() -> None:
    own = robustness("runs/a")
    own = replace(own, measured=replace(own.measured, curves={}))
    told = report.page(replace(stressed(), own=own, other=None, relative=None))
    assert "<p>Left out: Colour cast: grey.</p>" in told


def test_names_of_users_are_text_and_nothing_else() -> None:
    told = report.page(stressed())
    assert "<script" not in told
    assert "<img" not in told
    assert EVIL not in told


def test_one_network_alone_has_one_table_and_no_errors_beside_another() -> None:
    alone = report.page(replace(stressed(), other=None, relative=None))
    assert alone.count("<table") == 2  # corruptions and places
    assert "CE" not in re.sub(r"<style.*?</style>", "", alone, flags=re.DOTALL)


def test_quality_falls_to_the_right() -> None:
    falling = replace(
        robustness("x").measured.curves["jpeg"],
        points=(Point(100, 10, 9, 0.9), Point(50, 10, 8, 0.9), Point(5, 10, 2, 0.9)),
    )
    measured = Curves(Point(0, 10, 9, 0.9), {"jpeg": falling})
    drawn = panel(falling, measured, None, "")
    places = [drawn.index(f">{level}<") for level in (80, 40)]
    x = [float(re.findall(r'(?:x="|translate\()([\d.]+)', drawn[:place])[-1]) for place in places]
    assert x[0] < x[1]
    assert "under half from 5" in drawn


def test_the_training_report_shows_both_curves_and_only_where_they_were_measured() -> None:
    story = replace(told(evil="x"), stress=robustness(""))
    assert 'id="stress"' in training_page(story)
    assert "striate stress" in training_page(story)
    assert 'id="stress"' not in training_page(told(evil="x"))


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_a_desk(chromium: str, tmp_path: object, dark: bool) -> None:
    for found in opened(chromium, tmp_path, report.page(stressed()), dark=dark):  # type: ignore[arg-type]
        assert found["scrolls"] <= found["width"], found["wide"]
        assert found["wide"] == []
        assert found["requested"] == []
