"""Scale, mean and deviation are those of the training pictures, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from striate.data import pictures
from striate.data.pictures import measured
from striate.data.preprocess import Preprocess

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_figures_are_numpys(dtype: str) -> None:
    x = (RNG.random((200, 8, 8, 3)) ** 2 * {"uint8": 255, "uint16": 60000, "float32": 3}[dtype]).astype(dtype)
    rows = np.arange(3, 190)
    found = measured(Preprocess(channels=3, size=8, dtype=dtype), x, rows)  # type: ignore[arg-type]
    if dtype == "uint8":
        assert found.low == (0,) * 3
        assert found.high == (255,) * 3
    else:
        np.testing.assert_allclose(found.low, np.percentile(x[rows], 0.1, axis=(0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(found.high, np.percentile(x[rows], 99.9, axis=(0, 1, 2)), rtol=1e-6)
    scaled = (x[rows] - np.array(found.low)) / (np.array(found.high) - found.low)
    np.testing.assert_allclose(found.mean, scaled.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.std, scaled.std((0, 1, 2)), rtol=1e-9)


def test_a_channel_without_variation_is_left_as_it_is() -> None:
    found = measured(Preprocess(channels=1, size=4), np.full((9, 4, 4, 1), 77, np.uint8), np.arange(9))
    assert found.std == (1,)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_memory_does_not_grow_with_the_pictures(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_VALUES", 2**18)
    x = np.ones((2000, 32, 32, 1), dtype)
    tracemalloc.start()
    measured(Preprocess(channels=1, size=32, dtype=dtype), x, np.arange(2000))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # the whole as float64 takes 16 MB
