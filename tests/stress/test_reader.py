"""Pictures in 0..1 and back: a network is given exactly what evaluation gives it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from striate.data.preprocess import Preprocess
from striate.runs.forward import outputs
from striate.stress.reader import Reader

ROWS = np.array([4, 0, 7, 3])


def net(channels: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).eval()


def raw(dtype: str, channels: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    if dtype == "float32":
        return draw.normal(0, 300, (8, 8, 8, channels)).astype(np.float32)
    return draw.integers(0, np.iinfo(dtype).max + 1, (8, 8, 8, channels)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("tta", ["off", "flip"])
def test_undistorted_pictures_give_the_same_bits_as_evaluation(
    dtype: Literal["uint8", "uint16"], channels: int, tta: str
) -> None:
    pixels = raw(dtype, channels)
    high = {"uint8": 255.0, "uint16": 40_000.0}[dtype]  # brighter pixels occur, and must not be cut off
    preprocess = Preprocess(
        channels=channels, size=8, dtype=dtype, low=(0.0,) * channels, high=(high,) * channels,
        mean=(0.4,) * channels, std=(0.3,) * channels,
    )  # fmt: skip
    model = net(channels)
    wanted = outputs(model, pixels, ROWS, preprocess, precision="float32", device="cpu", tta=tta).softmax(1)
    reader = Reader.of(preprocess, pixels, ROWS, "cpu")
    assert len(reader) == 4
    assert reader[:].shape == (4, channels, 8, 8)
    assert 0 <= reader[:].min() <= reader[:].max() <= 1
    assert torch.equal(reader.answers(model, "float32", tta)(reader[0:4]), wanted)


def test_numbers_without_depth_keep_theirs_within_rounding() -> None:
    pixels = raw("float32", 1)
    preprocess = Preprocess(channels=1, size=8, dtype="float32", low=(-600.0,), high=(600.0,))
    reader = Reader.of(preprocess, pixels, ROWS, "cpu")
    assert 0 <= reader[:].min() <= reader[:].max() <= 1
    model = net(1)
    wanted = outputs(model, pixels, ROWS, preprocess, precision="float32", device="cpu").softmax(1)
    assert torch.allclose(reader.answers(model, "float32", "off")(reader[:]), wanted, atol=1e-4)


def test_large_pictures_come_in_small_batches() -> None:
    sizes = {8: 128, 64: 128, 224: 23, 600: 8}
    for size, batch in sizes.items():
        preprocess = Preprocess(channels=1, size=size)
        assert Reader.of(preprocess, np.zeros((1, 1, 1, 1), np.uint8), np.array([0]), "cpu").batch == batch
