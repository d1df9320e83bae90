"""Light by known answers and the standard library's hue, saturation and value."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from striate.stress import chance, light
from striate.stress.severity import constants
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(30))


@pytest.mark.parametrize("severity", [1, 5])
def test_brightness_adds_to_the_value_and_keeps_hue_and_saturation(severity: int) -> None:
    pictures = natural(1, 3, 8, 8)
    pictures[0, :, 0, 0] = 0  # black has no hue
    added = constants(pictures, severity, *light.ADDED)
    result = light.brightness(pictures, severity, KEYS[:1])
    for pixel, ours in zip(pictures[0].flatten(1).T.tolist(), result[0].flatten(1).T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert ours == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1, value + added)), abs=1e-6)


def test_contrast_draws_each_channel_to_its_mean() -> None:
    pictures = natural(3, 3, 16, 16)
    flat = light.contrast(pictures, 5, KEYS[:3])
    assert torch.allclose(flat.mean((2, 3)), pictures.mean((2, 3)), atol=1e-6)
    assert torch.allclose(flat.std((2, 3)), 0.15 * pictures.std((2, 3)), rtol=1e-4)


def test_darkness_takes_the_stated_share() -> None:
    assert torch.allclose(light.darkness(torch.full((1, 1, 2, 2), 0.5), 0.8, KEYS[:1]), torch.tensor(0.1))


def test_a_colour_cast_multiplies_channels_and_keeps_their_product() -> None:
    gains = light.colour_cast(torch.full((30, 3, 4, 4), 0.1), 0.75, KEYS).log2() - torch.tensor(0.1).log2()
    assert torch.allclose(gains, gains[:, :, :1, :1].expand_as(gains))
    assert torch.allclose(gains.sum(1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(gains.abs().amax(1), torch.tensor(0.75), atol=1e-5)
    assert set(gains[:, :, 0, 0].abs().argmax(1).tolist()) == {0, 1, 2}  # any channel may change most


def test_grey_pictures_have_no_colour_to_cast() -> None:
    assert light.one_channel(1)
    assert not light.one_channel(3)
