"""What holds for every distortion, whatever it does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.stress import chance
from striate.stress.distortion import CORRUPTIONS, CURVES, Distortion
from tests.stress.pictures import digits, natural

ALL = CURVES | CORRUPTIONS
EVERY = pytest.mark.parametrize("distortion", ALL.values(), ids=ALL)
WITHOUT_DRAWS = {
    *("darkness", "blur", "jpeg", "brightness", "contrast", "defocus_blur", "zoom_blur", "pixelate"),
    "jpeg_compression",
}
# Where the published constants do not take pixels farther at each severity: glass_blur blurs more after the
# same copies, elastic_transform moves less and bends more, frost darkens as it whitens, and snow of large
# pictures has fewer and larger flakes from 2 to 3.
PUBLISHED_OTHERWISE = {"glass_blur", "elastic_transform", "frost"}


PICTURES = {
    "photographs": lambda: natural(60, 3, 32, 32),
    "digits": lambda: digits(60),
    "large photographs": lambda: natural(6, 3, 128, 128),
}


def keys(count: int, seed: int = 0) -> np.ndarray:
    return chance.keys(seed, np.arange(count))


def worst(distortion: Distortion, side: int) -> float:
    return distortion.levels(side)[-1]


def psnr(distorted: Tensor, pictures: Tensor) -> float:
    return -10 * float((distorted - pictures).square().mean().log10())


def test_the_curves_have_the_names_of_the_issue_and_the_corruptions_the_published_ones() -> None:
    curves = (
        "shift scale rotation shear occlusion brightness contrast colour_cast blur noise jpeg clutter elastic"
    )
    published = (
        "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow frost "
        "fog brightness contrast elastic_transform pixelate jpeg_compression"
    )
    assert set(CURVES) == {*curves.split(), "darkness"}
    assert list(CORRUPTIONS) == published.split()
    assert all(name == one.name for name, one in ALL.items())
    assert CURVES["contrast"] is CORRUPTIONS["contrast"]


@EVERY
def test_the_identity_changes_nothing(distortion: Distortion) -> None:
    pictures = natural(2, 3, 17, 20)
    assert torch.equal(distortion.apply(pictures, distortion.identity, keys(2)), pictures)
    first = 1 if distortion.published else distortion.identity
    assert distortion.levels(32)[0] == first


@EVERY
def test_every_other_level_changes_something(distortion: Distortion) -> None:
    pictures = natural(4, 3, 32, 32)
    for level in set(distortion.levels(32)) - {distortion.identity}:
        assert not torch.equal(distortion.apply(pictures, level, keys(4)), pictures), level


@EVERY
def test_a_picture_has_its_own_draws_whatever_the_batch(distortion: Distortion) -> None:
    pictures, pool, level = natural(5, 3, 24, 24), natural(3, 3, 24, 24), worst(distortion, 24)
    together = distortion.apply(pictures, level, keys(5), pool)
    for rows in ([3], [4, 1]):
        apart = distortion.apply(pictures[rows], level, keys(5)[rows], pool)
        assert torch.allclose(apart, together[rows], atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ALL) - WITHOUT_DRAWS))
def test_another_seed_gives_other_draws(name: str) -> None:
    pictures, level = natural(6, 3, 32, 32), worst(ALL[name], 32)
    results = [ALL[name].apply(pictures, level, keys(6, seed)) for seed in (0, 0, 1)]
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2], atol=1e-3)


@EVERY
@settings(max_examples=8, deadline=None)
@given(
    channels=st.sampled_from([1, 3, 5]), height=st.integers(8, 70), width=st.integers(8, 70), data=st.data()
)
def test_pictures_of_any_size_stay_pictures(
    distortion: Distortion, channels: int, height: int, width: int, data: st.DataObject
) -> None:
    level = data.draw(st.sampled_from(distortion.levels(min(height, width))))
    pictures = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    before = pictures.clone()
    distorted = distortion.apply(pictures, level, keys(2))
    assert distorted.shape == pictures.shape
    assert distorted.dtype == pictures.dtype
    assert distorted.isfinite().all()
    assert distorted.min() >= 0
    assert distorted.max() <= 1
    assert torch.equal(pictures, before)


@EVERY
@pytest.mark.parametrize("side", [224, 512])
def test_large_pictures_too(distortion: Distortion, side: int) -> None:
    pictures = natural(1, 1, side, side)
    distorted = distortion.apply(pictures, distortion.levels(side)[1], keys(1))
    assert distorted.shape == pictures.shape
    assert distorted.isfinite().all()


RISING = [
    pytest.param(one, kind, id=f"{one.name}-{kind}")
    for kind in PICTURES
    for one in (CORRUPTIONS if kind == "large photographs" else ALL).values()
    if one.name not in PUBLISHED_OTHERWISE
    and (one.name, kind) != ("snow", "large photographs")
    and not (kind == "digits" and one.refusal(1))
]


@pytest.mark.parametrize(("distortion", "kind"), RISING)
def test_a_higher_level_is_farther_from_the_picture(distortion: Distortion, kind: str) -> None:
    pictures = PICTURES[kind]()
    levels = distortion.levels(pictures.shape[2])
    near = [psnr(distortion.apply(pictures, one, keys(len(pictures)), pictures), pictures) for one in levels]
    slack = 0.01 if distortion.name == "motion_blur" else 0  # two of its severities differ in weights of 1e-8
    assert all(nearer > farther - slack for nearer, farther in pairwise(near)), near


def test_a_shift_has_a_level_for_every_pixel_up_to_a_quarter_of_the_side() -> None:
    levels = CURVES["shift"].levels
    assert levels(28) == (0, 1, 2, 3, 4, 5, 6, 7)
    assert levels(8) == (0, 1, 2)
    assert len(levels(64)) == len(levels(224)) == 17
    assert (levels(64)[-1], levels(224)[-1]) == (16, 56)


def test_no_pictures_are_no_error() -> None:
    for distortion in ALL.values():
        none = torch.empty(0, 3, 16, 16)
        assert distortion.apply(none, worst(distortion, 16), keys(0)).shape == none.shape


def test_keys_are_of_seed_and_picture() -> None:
    assert len({*keys(50).tolist(), *keys(50, 1).tolist()}) == 100
    assert np.array_equal(chance.keys(3, np.array([9, 4]))[::-1], chance.keys(3, np.array([4, 9])))


def test_uniform_numbers_are_below_1_and_uniform() -> None:
    numbers = chance.uniform("test", keys(1000), 100)
    assert numbers.max() < 1
    assert numbers.min() >= 0
    assert abs(float(numbers.mean()) - 0.5) < 3 * (1 / 12 / 1e5) ** 0.5
