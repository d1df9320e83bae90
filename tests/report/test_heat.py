"""Maps as pictures: the colours mean what their scale says, to every eye."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.report.heat import Scale, about_grey, coloured, fitted, image, over, png, scale_of

# Colours as people without red or green cones see them, in linear light (Viénot, Brettel and Mollon 1999).
BLINDNESS = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, -0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, -0.0], [-0.02234, 0.02234, 1.0]],
}


def seen(colour: Any, kind: str) -> Any:
    linear = (np.asarray(colour, float) / 255) ** 2.2
    return (np.array(BLINDNESS[kind]) @ linear).clip(0, 1) ** (1 / 2.2) * 255


def test_zero_is_nearly_white_orange_is_above_and_purple_below() -> None:
    below, zero, above = coloured(np.array([[-1.0, 0.0, 1.0]]), Scale(1.0))[0].astype(int)
    assert zero.min() > 240
    assert above[0] > above[1] > above[2]  # red over green over blue
    assert below[2] > below[0] > below[1]


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_two_sides_differ_to_the_colour_blind(kind: str) -> None:
    for share in (0.4, 0.7, 1.0):
        below, above = coloured(np.array([[-share, share]]), Scale(1.0))[0]
        assert np.abs(seen(below, kind) - seen(above, kind)).max() > 60


def test_more_is_darker_on_both_sides() -> None:
    grey = coloured(np.linspace(-1, 1, 41)[None], Scale(1.0)).mean(2)[0]
    assert (np.diff(grey[:21]) > 0).all()
    assert (np.diff(grey[20:]) < 0).all()


def test_compared_maps_share_a_scale_which_shows_its_raw_numbers() -> None:
    weak, strong = np.full((4, 4), 0.25), np.full((4, 4), -0.5)
    scale = scale_of(weak, strong)
    assert scale == Scale(0.5, signed=True)
    assert (coloured(weak, scale) != coloured(-strong, scale)).any()
    assert re.findall(r"<b>(.*?)</b>", scale.html()) == ["-0.5", "0", "0.5"]
    assert re.findall(r"<b>(.*?)</b>", scale_of(weak).html()) == ["0", "0.25"]


def test_a_single_strong_pixel_does_not_blank_the_others() -> None:
    values = np.ones((20, 20))
    values[0, 0] = 1000
    assert scale_of(values).limit == 1.0


def test_a_map_of_zeros_has_a_scale() -> None:
    values = np.zeros((3, 3))
    assert scale_of(values).limit == 1.0
    values[1, 1] = 7.0
    assert scale_of(np.pad(values, 50)).limit == 7.0


def test_what_is_zero_leaves_the_picture_grey() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    values = np.zeros((6, 5))
    values[2, 3] = 1.0
    mixed = over(picture, values, Scale(1.0)).astype(int)
    coloured_ones = np.ptp(mixed, axis=2) > 0
    assert coloured_ones.sum() == 1
    assert coloured_ones[2, 3]
    grey = np.rint(picture.mean(2))
    assert np.abs(mixed[~coloured_ones] - grey[~coloured_ones][:, None]).max() <= 1


def test_kernels_lie_about_the_middle_grey() -> None:
    kernel = np.array([[[-2.0, 0.0, 2.0]]])
    assert about_grey(kernel)[0, :, 0].tolist() == [0, 128, 255]
    assert about_grey(kernel, 4.0)[0, :, 0].tolist() == [64, 128, 191]
    assert about_grey(np.stack([kernel[0]] * 3)).shape == (1, 3, 3)
    assert about_grey(np.stack([kernel[0]] * 7)).shape == (1, 3, 1)


@given(st.floats(-5, 5, allow_subnormal=False), st.integers(1, 7), st.integers(1, 40))
def test_enlarging_keeps_a_constant(value: float, small: int, large: int) -> None:
    assert fitted(np.full((small, small), value), large, large) == pytest.approx(value, abs=1e-5)


def opened(tag: str) -> Image.Image:
    found = re.search(r'src="data:image/\w+;base64,([^"]+)"', tag)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_a_small_picture_keeps_its_pixels_and_a_large_one_gets_smaller() -> None:
    small = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    tag = image(small, 'a "name" <b>')
    assert 'class="sharp"' in tag
    assert "<b>" not in tag
    assert (np.asarray(opened(tag).convert("RGB")) == small).all()
    large = image(np.zeros((400, 300, 1), np.uint8), "large", side=100)
    assert opened(large).size == (75, 100)
    assert "sharp" not in large


def test_a_file_shows_each_pixel_as_a_square() -> None:
    pixels = np.array([[[0], [255]]], np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(png(pixels, side=8))))
    assert shown.shape == (4, 8)
    assert (shown[:, :4] == 0).all()
    assert (shown[:, 4:] == 255).all()
