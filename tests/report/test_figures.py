from __future__ import annotations

import re
import warnings
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from striate.report import figures
from striate.training.metrics import classified


def curve(**how: Any) -> str:
    return figures.curve([1, 2, 3], {"train": [0.5, 0.4, 0.2], "val": [0.6, None, 0.3]}, "It falls.", **how)


def test_text_stays_text_and_colours_are_variables() -> None:
    svg = curve()
    words = [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]
    assert "epoch" in words
    assert "2" in words
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b(?!\))", re.sub(r'(href="|url\()#\w+', "", svg))
    for variable in ("--line", "--quiet", "--accent", "--second", "--sans"):
        assert f"var({variable})" in svg


def test_a_figure_fits_into_a_page() -> None:
    svg = curve()
    assert svg.startswith('<svg viewBox="0 0 ')
    assert 'role="img" aria-label="It falls."' in svg
    assert "<style" not in svg  # a rule in there would reach the whole page
    assert "<metadata" not in svg
    assert curve() == svg


def test_global_state_is_left_alone() -> None:
    before = dict(mpl.rcParams)
    curve()
    assert dict(mpl.rcParams) == before


def test_a_users_settings_do_no_harm() -> None:
    with mpl.rc_context({"svg.fonttype": "path", "font.size": 40, "text.usetex": True}):
        assert curve() == curve(log=False)
        assert "<text" in curve()


def test_shares_are_percentages_and_a_wide_range_is_logarithmic() -> None:
    assert ">50 %<" in curve(share=True)
    svg = figures.curve([1, 2, 3], {"loss": [1000.0, 10.0, 0.1]}, "", log=True)
    assert ">100<" in svg or ">1000<" in svg


def test_one_epoch_is_a_dot() -> None:
    assert "<use" in figures.curve([1], {"val": [0.5]}, "")


def test_many_points_stay_small() -> None:
    rng = np.random.default_rng(0)
    n = 50_000
    assert (
        len(figures.curve(range(n), {"a": rng.random(n).tolist(), "b": rng.random(n).tolist()}, "")) < 80_000
    )
    assert len(figures.scatter(rng.random(n), rng.random(n), "")) < 250_000


@pytest.mark.parametrize(
    ("shift", "words"), [(0.2, "surer than"), (-0.15, "less sure than"), (0.0, "about as sure")]
)
def test_calibration_says_to_which_side_it_errs(shift: float, words: str) -> None:
    right = np.arange(100) < 70
    sure = np.full(100, 0.7 + shift)
    probabilities = np.stack([sure, 1 - sure], 1)
    scores = classified(probabilities, np.where(right, 0, 1), ["a", "b"])
    assert words in figures.leaning(scores)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert words in figures.calibration(scores)


def test_equal_values_draw_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.scatter(np.ones(3), np.ones(3), "")
        figures.curve([1, 2], {"loss": [0.0, 0.0]}, "", from_zero=True)
        figures.curve([1], {"lr": [0.0]}, "", from_zero=True)
