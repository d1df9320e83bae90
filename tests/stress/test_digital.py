"""Stored pictures against Pillow, which the published ones were made with."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from striate.stress import chance, digital
from striate.stress.severity import constants
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(3))


def bytes_of(picture: torch.Tensor) -> np.ndarray:
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def stored(values: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [90, 30, 5])
def test_jpeg_is_that_of_pillow(quality: int) -> None:
    colour, grey = natural(3, 3, 20, 25), natural(3, 1, 20, 25)
    for picture, ours in zip(colour, digital.jpeg(colour, quality, KEYS), strict=True):
        assert np.array_equal(bytes_of(ours), stored(bytes_of(picture), quality))
    for picture, ours in zip(grey, digital.jpeg(grey, quality, KEYS), strict=True):
        assert np.array_equal(bytes_of(ours)[..., 0], stored(bytes_of(picture)[..., 0], quality))


def test_channels_that_are_no_colours_are_stored_one_by_one() -> None:
    five = natural(2, 5, 16, 16)
    alone = digital.jpeg(five[:, 3:4], 20, KEYS[:2])
    assert torch.equal(digital.jpeg(five, 20, KEYS[:2])[:, 3:4], alone)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (40, 31), (100, 90)])
def test_pixelated_is_resized_by_pillow_with_its_box_filter(height: int, width: int, severity: int) -> None:
    picture = natural(1, 1, height, width)
    kept = constants(picture, severity, *digital.KEPT)
    values = Image.fromarray(picture[0, 0].numpy())
    small = values.resize((int(width * kept), int(height * kept)), Image.Resampling.BOX)
    expected = np.asarray(small.resize((width, height), Image.Resampling.BOX))
    ours = digital.pixelate(picture, severity, KEYS[:1])[0, 0].numpy()
    assert np.allclose(ours, expected, atol=1e-6)


def test_a_severity_is_a_quality() -> None:
    pictures = natural(2, 3, 32, 32)
    assert torch.equal(digital.jpeg_compression(pictures, 3, KEYS[:2]), digital.jpeg(pictures, 58, KEYS[:2]))
