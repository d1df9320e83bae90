"""Moved and bent pictures against rolls, turns and ramps, whose pixels say where they came from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from striate.stress import chance, move
from striate.stress.severity import constants
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(40))


def ramp(side: int) -> Tensor:
    """Row and column of each pixel as two channels, 40 pictures."""
    line = torch.arange(side, dtype=torch.float32)
    return torch.stack(torch.meshgrid(line, line, indexing="ij")).expand(len(KEYS), 2, side, side)


def test_a_shift_is_a_roll_inside_and_the_border_colour_outside() -> None:
    pictures = natural(40, 3, 16, 20)
    moved = move.shift(pictures, 3, KEYS)
    ways = set()
    for picture, result in zip(pictures, moved, strict=True):
        found = [
            (down, right)
            for down in (-3, 0, 3)
            for right in (-3, 0, 3)
            if torch.equal(picture.roll((down, right), (1, 2))[:, 3:-3, 3:-3], result[:, 3:-3, 3:-3])
        ]
        assert len(found) == 1
        ways.add(found[0])
        down, right = found[0]
        outside = torch.ones(16, 20, dtype=torch.bool)
        outside[max(down, 0) : 16 + min(down, 0), max(right, 0) : 20 + min(right, 0)] = False
        edge = torch.cat([picture[:, 0], picture[:, -1], picture[:, 1:-1, 0], picture[:, 1:-1, -1]], 1)
        assert torch.allclose(result[:, outside], edge.mean(1)[:, None], atol=1e-6)
    assert len(ways) == 8
    assert (0, 0) not in ways


def test_a_longer_shift_goes_the_same_way() -> None:
    near, far = move.shift(ramp(32), 2, KEYS), move.shift(ramp(32), 6, KEYS)
    middle = ramp(32)[:, :, 16, 16]
    assert torch.equal((far[:, :, 16, 16] - middle), 3 * (near[:, :, 16, 16] - middle))


def test_a_shift_beyond_the_picture_leaves_its_border_colour() -> None:
    pictures = natural(8, 1, 8, 8)
    moved = move.shift(pictures, 30, KEYS[:8])
    assert torch.allclose(moved, move.border(pictures).expand_as(moved))


def test_a_quarter_turn_turns_pixels_onto_pixels() -> None:
    pictures = natural(40, 3, 15, 15)
    turned = move.rotation(pictures, 90, KEYS)
    left = [
        torch.allclose(one, was.rot90(1, (1, 2)), atol=1e-4)
        for one, was in zip(turned, pictures, strict=True)
    ]
    right = [
        torch.allclose(one, was.rot90(-1, (1, 2)), atol=1e-4)
        for one, was in zip(turned, pictures, strict=True)
    ]
    assert all(a != b for a, b in zip(left, right, strict=True))
    assert 10 < sum(left) < 30


def test_a_turn_keeps_distances_where_height_and_width_differ() -> None:
    dot = torch.zeros(40, 1, 31, 61)
    dot[:, :, 15, 40] = 1  # 10 pixels right of the middle
    turned = move.rotation(dot, 90, KEYS)
    places = turned[:, 0].flatten(1).argmax(1)
    assert set(places.tolist()) == {5 * 61 + 30, 25 * 61 + 30}


def test_twice_the_size_and_half() -> None:
    pictures = natural(40, 1, 32, 32)
    scaled = move.scale(pictures, 2, KEYS)
    # Half the size: each pixel reads the corner of four.
    half = torch.nn.functional.avg_pool2d(pictures, 2)
    small = (scaled[:, :, 8:24, 8:24] - half).abs().amax((1, 2, 3)) < 1e-5
    # Twice: bilinear interpolation of the middle.
    double = torch.nn.functional.interpolate(pictures, scale_factor=2, mode="bilinear")[:, :, 16:48, 16:48]
    large = (scaled - double).abs().amax((1, 2, 3)) < 1e-5
    assert bool((small ^ large).all())
    assert 10 < int(small.sum()) < 30


def test_a_shear_moves_rows_sideways_in_proportion() -> None:
    sheared = move.shear(ramp(41), 45, KEYS)
    moved = (sheared - ramp(41))[:, :, 15:26, 20]
    assert torch.allclose(moved[:, 0], torch.zeros(()), atol=1e-4)
    assert torch.allclose(moved[:, 1].abs(), torch.arange(-5, 6.0).abs().expand(40, -1), atol=1e-4)


def test_an_elastic_deformation_has_the_displacement_that_was_asked_for() -> None:
    by = (move.elastic(ramp(64), 1.5, KEYS) - ramp(64))[:, :, 4:-4, 4:-4]  # near the border the ramp ends
    assert float(by.square().mean().mul(2).sqrt()) == pytest.approx(1.5, rel=0.1)
    roughness = by.diff(dim=3).square().mean() / by.square().mean()
    assert float(roughness) < 0.02  # a standard deviation of 8.8 pixels: neighbours move alike


# Not the wide bending, for which the mirrored noise is no longer white, nor 128 pixels at 2, moved very far.
@pytest.mark.parametrize(
    ("side", "severity"), [(32, 1), (32, 3), (32, 4), (32, 5), (128, 3), (128, 4), (128, 5)]
)
def test_the_published_elastic_transform_moves_by_its_constants(side: int, severity: int) -> None:
    by = (move.elastic_transform(ramp(side), severity, KEYS) - ramp(side))[:, :, side // 2, side // 2]
    moved, strength, smoothness = (side * one for one in constants(ramp(side), severity, *move.BENT))
    # Three points move uniformly within +-moved; the middle is the mean of two of them: variance moved^2 / 6.
    affine = moved**2 / 6
    # White noise of variance 1/3 after a Gaussian, whose squares sum to 1 / (4 pi sigma^2).
    bending = strength**2 / 3 / (4 * np.pi * smoothness**2) if smoothness else 0.0
    assert float(by.std()) == pytest.approx((affine + bending) ** 0.5, rel=0.25)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("side", [32, 128])
def test_the_published_transform_mirrors_what_lies_outside(side: int, severity: int) -> None:
    plain = torch.full((40, 1, side, side), 0.3)
    assert torch.allclose(move.elastic_transform(plain, severity, KEYS), plain, atol=1e-5)


def test_without_bending_the_published_transform_is_affine() -> None:
    by = move.elastic_transform(ramp(32), 1, KEYS)[:, :, 8:-8, 8:-8]
    assert torch.allclose(by.diff(n=2, dim=2), torch.zeros(()), atol=1e-3)
    assert torch.allclose(by.diff(n=2, dim=3), torch.zeros(()), atol=1e-3)
    assert float((by - ramp(32)[:, :, 8:-8, 8:-8]).abs().max()) > 1


@pytest.mark.parametrize("change", [move.shift, move.scale, move.rotation, move.shear, move.elastic])
def test_a_plain_picture_stays_plain(change: object) -> None:
    plain = torch.full((40, 1, 12, 12), 0.3)
    assert torch.allclose(change(plain, 2, KEYS), plain, atol=1e-6)  # type: ignore[operator]
