"""Snow, frost and fog: what is known of them without looking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.stress import chance, weather
from striate.stress.severity import constants
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(20))
SEVERITIES = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])


@pytest.mark.parametrize("side", [8, 28, 32, 100])
def test_a_cloud_fills_its_range_and_is_smooth_for_a_strong_decay(side: int) -> None:
    rough, smooth = (weather.plasma(side, decay, KEYS, "test") for decay in (1.2, 3.0))
    for cloud in (rough, smooth):
        assert cloud.shape[1] == cloud.shape[2] >= side
        assert torch.equal(cloud.amin((1, 2)), torch.zeros(20))
        assert torch.equal(cloud.amax((1, 2)), torch.ones(20))
    assert smooth.diff(dim=2).square().mean() < 0.5 * rough.diff(dim=2).square().mean()


def test_a_cloud_goes_on_at_its_other_side() -> None:
    cloud = weather.plasma(64, 3.0, KEYS, "test")
    seam = (cloud[:, :, 0] - cloud[:, :, -1]).square().mean()
    assert seam < 4 * cloud.diff(dim=2).square().mean()


@SEVERITIES
def test_fog_keeps_the_brightest_value_within_the_picture_and_black_black(severity: int) -> None:
    pictures = 0.6 * natural(20, 3, 32, 32)
    foggy = weather.fog(pictures, severity, KEYS)
    assert bool((foggy.amax((1, 2, 3)) <= pictures.amax((1, 2, 3)) + 1e-6).all())
    assert weather.fog(torch.zeros(20, 1, 32, 32), severity, KEYS).abs().max() == 0
    thickness, _ = constants(pictures, severity, *weather.FOG)
    # The picture itself is left in it, weaker by a known factor.
    fog_alone = foggy - pictures * (0.6 / (0.6 + thickness))
    brighter = weather.fog(torch.where(pictures < 0.3, pictures + 0.1, pictures), severity, KEYS)
    by = (brighter - foggy)[pictures < 0.3]
    assert torch.allclose(by, torch.tensor(0.1 * 0.6 / (0.6 + thickness)), atol=1e-4)
    assert fog_alone.min() >= -1e-6


@SEVERITIES
@pytest.mark.parametrize("side", [32, 96])
def test_frost_lies_on_the_picture_by_its_two_weights(severity: int, side: int) -> None:
    own, ice = constants(torch.empty(1, 1, side, side), severity, *weather.FROST)
    dark, light = (weather.frost(torch.full((20, 3, side, side), v), severity, KEYS) for v in (0.0, 0.5))
    assert torch.allclose(light - dark, torch.tensor(0.5 * own), atol=1e-6)
    assert float(dark.max()) <= ice + 1e-6
    assert 0.2 * ice < float(dark.mean()) < 0.7 * ice
    assert bool((dark[:, 0] <= dark[:, 2]).all())  # ice is bluish


def test_frost_hides_more_at_each_severity() -> None:
    pictures = natural(20, 3, 32, 32)
    alike = [
        float(np.corrcoef(weather.frost(pictures, s, KEYS).flatten(), pictures.flatten())[0, 1])
        for s in range(1, 6)
    ]
    assert alike == sorted(alike, reverse=True)


@SEVERITIES
def test_snow_whitens_and_falls_the_same_before_every_channel(severity: int) -> None:
    black = torch.zeros(20, 3, 32, 32)
    *_, own = constants(black, severity, *weather.SNOW)
    fallen = weather.snow(black, severity, KEYS)
    assert torch.equal(fallen[:, 0], fallen[:, 1])
    assert float(fallen.min()) >= (1 - own) * 0.5 - 1e-6  # black is whitened towards a half
    assert torch.allclose(fallen, fallen.flip(2, 3), atol=1e-6)  # one layer is the other turned
    assert float(fallen.std()) > 0.01


def test_the_grey_of_three_channels_is_their_luminance_and_of_others_their_mean() -> None:
    pictures = natural(2, 3, 8, 8)
    red, green, blue = pictures.unbind(1)
    assert torch.allclose(weather._grey(pictures)[:, 0], 0.299 * red + 0.587 * green + 0.114 * blue)
    five = natural(2, 5, 8, 8)
    assert torch.allclose(weather._grey(five), five.mean(1, keepdim=True), atol=1e-6)
