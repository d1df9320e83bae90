"""One object turns a picture into the network's input, the same in training and in every later command."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.data.preprocess import Preprocess, from_json
from striate.errors import RunError

RNG = np.random.default_rng(2)


@settings(deadline=None)
@given(
    st.sampled_from(["crop", "pad", "squash"]),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.sampled_from([1, 3, 5]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(4, 30),
)
def test_any_picture_becomes_square_at_its_depth_and_within_its_values(
    fit: Any, dtype: Any, channels: int, shape: tuple[int, int], size: int
) -> None:
    picture = np.full((*shape, channels), 200, dtype)
    fitted = Preprocess(channels=channels, size=size, fit=fit, dtype=dtype).pixels(picture)
    assert fitted.shape == (size, size, channels)
    assert fitted.dtype == dtype
    assert fitted == pytest.approx(200, rel=1e-5)


def test_uint8_is_resized_as_pillow_does() -> None:
    picture = RNG.integers(0, 256, (50, 80, 3), np.uint8)
    squashed = Preprocess(channels=3, size=20, fit="squash").pixels(picture)
    assert (squashed == np.asarray(Image.fromarray(picture).resize((20, 20), Image.Resampling.BICUBIC))).all()


def test_deeper_pixels_are_resized_as_uint8_are() -> None:
    picture = RNG.integers(0, 256, (50, 80, 3), np.uint8)
    for fit in ("crop", "pad", "squash"):
        small = Preprocess(channels=3, size=20, fit=fit).pixels(picture).astype(int)
        deep = Preprocess(channels=3, size=20, fit=fit, dtype="uint16").pixels(
            picture.astype(np.uint16) * 257
        )
        assert np.abs(deep / 257 - small).max() < 2


def test_overshoot_is_clipped_not_wrapped() -> None:
    picture = np.zeros((40, 40, 1), np.uint16)
    picture[:, 20:] = 65535
    fitted = Preprocess(channels=1, size=31, dtype="uint16").pixels(picture)
    assert (np.diff(fitted[15, :, 0].astype(int)) >= -6600).all()  # wrapped, it would fall by 60,000


def test_crop_takes_the_middle_and_pad_keeps_all() -> None:
    picture = np.zeros((10, 30, 1), np.uint8)
    picture[:, 10:20] = 255
    assert (Preprocess(channels=1, size=10).pixels(picture) == 255).all()
    padded = Preprocess(channels=1, size=30, fit="pad").pixels(picture)
    assert (padded[10:20] == picture).all()
    assert (padded[:10] == 85).all()  # the picture's mean


def test_resizing_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[:, :, None]
    assert np.abs(Preprocess(channels=1, size=8).pixels(stripes).astype(int) - 127).max() < 16


def test_a_tensor_is_scaled_and_normalised() -> None:
    import torch

    scale = Preprocess(channels=2, size=4, low=(10, 0), high=(20, 100), mean=(0.5, 0.1), std=(0.25, 2.0))
    batch = torch.tensor([15.0, 60.0]).view(1, 2, 1, 1).expand(3, 2, 4, 4)
    found = scale.tensor(batch.to(torch.uint8))
    assert found.dtype == torch.float32
    assert found[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.25])


def test_json_is_read_back_and_unknown_keys_are_refused() -> None:
    scale = Preprocess(channels=3, size=32, fit="pad", mean=(0.1, 0.2, 0.3))
    assert from_json(scale.json()) == scale
    import json

    assert from_json(json.loads(json.dumps(scale.json()))) == scale
    with pytest.raises(RunError, match="unknown preprocessing"):
        from_json(scale.json() | {"gamma": 2})
