"""Blurs against scipy, loops and single points of light."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from striate.stress import blur, chance
from striate.stress.severity import constants
from striate.stress.smooth import smoothed
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(40))


def point(count: int = 40, side: int = 41) -> torch.Tensor:
    pictures = torch.zeros(count, 1, side, side)
    pictures[:, :, side // 2, side // 2] = 1
    return pictures


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 30.0])
@pytest.mark.parametrize(("reflect", "mode"), [(False, "nearest"), (True, "reflect")])
def test_a_gaussian_is_that_of_scipy(sigma: float, reflect: bool, mode: str) -> None:
    pictures = natural(2, 1, 13, 18).double()
    ours = smoothed(pictures, sigma, reflect=reflect, truncate=3.0)
    theirs = ndimage.gaussian_filter(pictures.numpy(), (0, 0, sigma, sigma), mode=mode, truncate=3.0)
    assert np.allclose(ours.numpy(), theirs, atol=1e-12)


def test_a_lens_out_of_focus_spreads_a_point_to_a_disk() -> None:
    assert blur.disk(3, 1e-3).gt(1e-6).sum() == 29  # the points with whole coordinates within a radius of 3
    assert torch.allclose(blur.disk(3, 1e-3)[3 + 1, 3 + 1], torch.tensor(1 / 29))
    for radius, softness in (*blur.DEFOCUS[0], *blur.DEFOCUS[1]):
        kernel = blur.disk(radius, softness)
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
        assert torch.allclose(kernel, kernel.rot90(1, (0, 1)))
    pictures = natural(1, 1, 20, 31)
    kernel = blur.disk(*blur.DEFOCUS[0][4])
    expected = ndimage.convolve(pictures.numpy(), kernel.numpy()[None, None], mode="nearest")
    assert np.allclose(blur.defocus_blur(pictures, 5, KEYS[:1]).numpy(), expected, atol=1e-5)
    spread = blur.defocus_blur(point(1, 101), 5, KEYS[:1])[0, 0]
    assert int((spread > 1e-4).sum(1).gt(0).sum()) in (21, 23)  # a radius of 10, and its soft edge


@pytest.mark.parametrize(("height", "width", "severity"), [(14, 11, 4), (9, 9, 1), (70, 71, 3), (66, 80, 5)])
def test_glass_is_the_loop_over_pixels(height: int, width: int, severity: int) -> None:
    pictures = natural(2, 2, height, width)
    sigma, farthest, rounds = constants(pictures, severity, *blur.GLASS)
    expected = smoothed(pictures, sigma).numpy().copy()
    rows, columns = height - 2 * farthest, width - 2 * farthest
    offsets = blur._offsets(KEYS[:2], (rounds, 2, rows, columns), farthest).numpy()
    assert offsets.min() == -farthest
    assert offsets.max() == farthest - 1
    for n in range(2):
        for k in range(rounds):
            for i in range(rows):
                for j in range(columns):
                    h, w = height - farthest - i, width - farthest - j
                    down, right = offsets[k, :, n, i, j]
                    expected[n, :, h, w] = expected[n, :, h + down, w + right]
    ours = blur.glass_blur(pictures, severity, KEYS[:2])
    assert torch.allclose(ours, smoothed(torch.from_numpy(expected), sigma), atol=1e-6)


def test_motion_leaves_a_trail_of_half_a_gaussian() -> None:
    trail = blur.trailed(point(2), 6, 2.0, torch.tensor([0.0, 90.0]))
    weights = torch.exp(-0.5 * (torch.arange(11) / 2) ** 2)
    expected = weights / weights.sum()
    assert torch.allclose(trail[0, 0, 20, 10:21].flip(0), expected, atol=1e-6)
    assert torch.allclose(trail[1, 0, 10:21, 20].flip(0), expected, atol=1e-6)
    assert float(trail.sum()) == pytest.approx(2, abs=1e-5)


def test_motion_goes_within_45_degrees_of_the_horizontal() -> None:
    spread = blur.motion_blur(point(), 5, KEYS)[:, 0]
    line = torch.arange(41.0) - 20
    down, across = (spread.sum(2) @ line).abs(), (spread.sum(1) @ line).abs()
    assert bool((down <= across + 0.05).all())
    assert down.max() > 0.5 * across.max()


def test_a_zoom_keeps_the_middle_and_enlarges_about_it() -> None:
    line = torch.linspace(0, 1, 33).expand(1, 1, 33, 33)
    assert torch.equal(blur.zoomed(line, 1), line)
    larger = blur.zoomed(line, 1.5)[0, 0, 0]
    assert float(larger[16]) == pytest.approx(0.5, abs=0.5 / 32)  # half a pixel
    assert float(larger.diff().mean()) == pytest.approx(1 / 32 / 1.5, rel=0.04)
    for side in (8, 31, 64, 100):
        for factor in (1.01, 1.13, 1.25, 2.25, 4.5):
            assert blur.zoomed(torch.rand(1, 1, side, side + 3), factor).shape == (1, 1, side, side + 3)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("change", [blur.defocus_blur, blur.glass_blur, blur.motion_blur, blur.zoom_blur])
def test_a_plain_picture_stays_plain(change: object, severity: int) -> None:
    plain = torch.full((2, 3, 16, 16), 0.3)
    assert torch.allclose(change(plain, severity, KEYS[:2]), plain, atol=1e-5)  # type: ignore[operator]
