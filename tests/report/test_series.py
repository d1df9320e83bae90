"""Sequences on a page: a drawing ends where the sequence does, and every letter stands on its own value."""

from __future__ import annotations

import re

import numpy as np
import pytest

from striate.data.sequence import Sequences
from striate.report import series
from striate.report.heat import Scale, coloured

SOUND = Sequences(modality="sound", channels=1, length=8000, rate=8000)
DNA = Sequences(modality="symbols", channels=4, length=12, alphabet="ACGT")
LINES = Sequences(modality="series", channels=3, length=50)
ROLL = Sequences(modality="series", channels=88, length=20)


def one_hot(text: str, window: int = 12) -> np.ndarray:
    x = np.zeros((4, window))
    for i, letter in enumerate(text):
        x[:, i] = 0.25 if letter == "N" else np.eye(4)["ACGT".index(letter)]
    return x


def test_a_text_is_read_back_without_its_padding_and_escaped() -> None:
    assert ">GATT·CA<" in series.plain(one_hot("GATTNCA"), DNA, "x")
    hostile = Sequences(modality="symbols", channels=2, length=2, alphabet="<&")
    drawn = series.drawn(np.eye(2), hostile, "x", [(np.ones(2), "for <b>")], Scale(1.0))
    assert "<b>" not in drawn
    assert "&lt;</i>" in drawn
    assert "&amp;</i>" in drawn


def test_every_letter_stands_on_the_colour_of_its_own_value() -> None:
    values, scale = np.array([1.0, -1.0, 0.0, 0.5, *[9.0] * 8]), Scale(1.0)
    drawn = series.drawn(one_hot("ACGT"), DNA, "x", [(values, "for one"), (-values, "for two")], scale)
    cells = re.findall(r"background:rgb\((\d+),(\d+),(\d+)\)[^>]*>(\w)</i>", drawn)
    assert "".join(cell[-1] for cell in cells) == "ACGTACGT"
    expected = [*coloured(values[None, :4], scale)[0], *coloured(-values[None, :4], scale)[0]]
    assert [tuple(map(int, cell[:3])) for cell in cells] == [tuple(rgb) for rgb in expected]


def test_a_waveform_ends_with_the_recording_and_its_axis_tells_the_seconds() -> None:
    x = np.zeros((1, 8000))
    x[0, :4000] = np.sin(np.arange(4000) / 10)
    x[0, 3999] = 1e-9
    drawn = series.drawn(x, SOUND, "a word", [(np.arange(8000.0), "for one")], Scale(4000.0))
    assert "<b>0.5 s</b>" in drawn
    across = [float(a) for a in re.findall(r"[ML]([\d.]+) ", drawn)]
    assert max(across) == pytest.approx(series.WIDE, abs=2)
    assert drawn.count('class="strip"') == 1
    assert 'aria-label="a word"' in drawn


def test_few_channels_are_lines_and_many_a_roll() -> None:
    few = series.plain(np.random.default_rng(0).normal(size=(3, 50)), LINES, "x")
    assert few.count('class="line') == 3
    assert 'class="roll"' in series.plain(np.ones((88, 20)), ROLL, "x")


@pytest.mark.parametrize("about", [SOUND, DNA, LINES, ROLL], ids=["sound", "dna", "lines", "roll"])
def test_nothing_at_all_can_be_drawn_too(about: Sequences) -> None:
    drawn = series.drawn(np.zeros(about.shape), about, "x", [(np.zeros(about.length), "for")], Scale(1.0))
    assert "nan" not in drawn


def test_what_one_of_the_data_is_called() -> None:
    assert [series.called(one) for one in (SOUND, DNA, LINES)] == ["recording", "sequence", "sequence"]
