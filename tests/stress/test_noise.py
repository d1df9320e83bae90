"""Noise by its statistics: within three standard errors of what its constants say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.stress import chance, noise
from striate.stress.severity import constants

KEYS = chance.keys(0, np.arange(60))
SIDES = pytest.mark.parametrize("side", [32, 96])
SEVERITIES = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])


def grey(side: int, value: float = 0.5) -> torch.Tensor:
    return torch.full((60, 3, side, side), value)


@SIDES
@SEVERITIES
def test_gaussian_noise_has_the_published_deviation(side: int, severity: int) -> None:
    sigma = constants(grey(side), severity, *noise.GAUSSIAN)
    added = noise.gaussian_noise(grey(side), severity, KEYS) - 0.5
    count = added.numel()
    assert float(added.std()) == pytest.approx(sigma, abs=3 * sigma / (2 * count) ** 0.5)
    assert abs(float(added.mean())) < 3 * sigma / count**0.5
    across = float((added[:-1] * added[1:]).mean())  # no picture's noise is another's
    assert abs(across) < 3 * sigma**2 / count**0.5


def test_the_published_deviations_are_these() -> None:
    small, large = grey(64), grey(65)
    assert [constants(small, s, *noise.GAUSSIAN) for s in range(1, 6)] == [0.04, 0.06, 0.08, 0.09, 0.10]
    assert [constants(large, s, *noise.GAUSSIAN) for s in range(1, 6)] == [0.08, 0.12, 0.18, 0.26, 0.38]


def test_a_higher_level_has_the_same_noise_enlarged() -> None:
    low, high = (noise.noise(grey(8), level, KEYS) - 0.5 for level in (0.1, 0.3))
    assert torch.allclose(3 * low, high, atol=1e-6)


@SIDES
@SEVERITIES
def test_shot_noise_has_the_light_as_mean_and_variance(side: int, severity: int) -> None:
    photons = constants(grey(side), severity, *noise.SHOT)
    shot = noise.shot_noise(grey(side, 0.4), severity, KEYS).double()
    variance = 0.4 / photons
    count = shot.numel()
    assert float(shot.mean()) == pytest.approx(0.4, abs=3 * (variance / count) ** 0.5)
    fourth = (3 + 1 / (0.4 * photons)) * variance**2  # of a Poisson number
    assert float(shot.var()) == pytest.approx(variance, abs=3 * ((fourth - variance**2) / count) ** 0.5)
    assert noise.shot_noise(grey(side, 0.0), severity, KEYS).abs().max() == 0


@SIDES
@SEVERITIES
def test_impulse_noise_hits_the_published_share_half_white_half_black(side: int, severity: int) -> None:
    share = constants(grey(side), severity, *noise.IMPULSE)
    hit = noise.impulse_noise(grey(side), severity, KEYS)
    count = hit.numel()
    slack = 3 * (share * (1 - share) / count) ** 0.5
    assert float((hit != 0.5).double().mean()) == pytest.approx(share, abs=slack)
    assert float((hit == 1).double().mean()) == pytest.approx(share / 2, abs=slack)
    assert set(hit.flatten().tolist()) == {0.0, 0.5, 1.0}


def test_impulses_stay_at_the_next_severity() -> None:
    before = noise.impulse_noise(grey(16), 2, KEYS)
    after = noise.impulse_noise(grey(16), 4, KEYS)
    assert torch.equal(after[before != 0.5], before[before != 0.5])
