"""Every window of a picture seen once, at its place, however the picture is cut up for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.data.preprocess import Preprocess
from striate.errors import ModelError
from striate.scan import dense, fully_convolutional, positions, pyramid, windows
from striate.scan.way import EXACT, off_by, slid, way


class Corner(nn.Module):
    """Answers with the first and the last pixel of its window."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1]], 1)


def small(padding: int = 0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=padding),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def test_windows_come_in_reading_order() -> None:
    picture = torch.arange(7.0 * 10).view(1, 7, 10)
    seen: list[tuple[int, int]] = []
    found = windows(Corner(), picture, (3, 4), (2, 3), batch=4, done=lambda n, of: seen.append((n, of)))
    assert found.tolist() == [
        [[20.0 * y + 3 * x for x in range(3)] for y in range(3)],
        [[20.0 * y + 3 * x + 23 for x in range(3)] for y in range(3)],
    ]
    assert seen == [(4, 9), (8, 9), (9, 9)]


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 9))
def test_positions_are_those_that_lie_inside(size: int, window: int, stride: int) -> None:
    assert positions(size, window, stride) == sum(
        start + window <= size for start in range(0, size + 1, stride)
    )


@pytest.mark.parametrize("tile", [1, 16, 30])
def test_tiles_do_not_show(tile: int) -> None:
    """A tile holds two windows at least, so that of 1 pixel is 24 wide."""
    form = fully_convolutional(small(), torch.zeros(1, 1, 12, 12))
    picture = torch.rand(1, 61, 47, generator=torch.Generator().manual_seed(1))
    whole = dense(form, picture, (12, 12), (2, 2))
    assert whole.shape == (3, 25, 18)
    assert torch.allclose(dense(form, picture, (12, 12), (2, 2), tile=tile), whole, atol=1e-6)


@given(st.integers(8, 300), st.integers(8, 300), st.integers(4, 64))
def test_a_pyramid_goes_from_the_picture_to_the_window(height: int, width: int, window: int) -> None:
    scales = pyramid(height, width, window)
    least = min(height, width)
    assert scales[-1] * least == pytest.approx(window)
    assert scales[0] == pytest.approx(max(1, window / least))
    steps = np.divide(scales[:-1], scales[1:])
    assert np.allclose(steps, steps[:1])
    assert (steps <= 2**0.5 + 1e-6).all()


def test_an_unpadded_network_is_slid_whole_and_a_padded_one_by_windows() -> None:
    exact, padded = way(small(), (1, 12, 12)), way(small(1), (1, 12, 12))
    assert (exact.mode, exact.stride) == ("exact", (2, 2))
    assert exact.difference is not None
    assert exact.difference < EXACT
    assert (padded.mode, padded.stride) == ("windows", (1, 1))
    assert "pads inside" in padded.reason
    approximate = way(small(1), (1, 12, 12), approximate=True)
    assert (approximate.mode, approximate.stride) == ("approximate", (2, 2))
    assert way(small(), (1, 12, 12), approximate=True).mode == "exact"


def test_a_stride_that_is_not_the_networks_own_takes_windows() -> None:
    assert way(small(), (1, 12, 12), stride=2).mode == "exact"
    asked = way(small(), (1, 12, 12), stride=3)
    assert (asked.mode, asked.stride) == ("windows", (3, 3))
    assert "--stride 3" in asked.reason
    assert way(small(1), (1, 12, 12), stride=5).stride == (5, 5)


def test_what_cannot_be_followed_takes_windows_and_is_never_approximate() -> None:
    model = nn.Sequential(Corner(), nn.Linear(2, 3))
    found = way(model, (1, 8, 8))
    assert (found.mode, found.stride, found.difference) == ("windows", (1, 1), None)
    assert "pads" not in found.reason
    with pytest.raises(ModelError):
        way(model, (1, 8, 8), approximate=True)


def test_a_reason_is_told_whole() -> None:
    class Largest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.max(3)[0].max(2)[0]

    found = way(nn.Sequential(nn.Conv2d(1, 4, 3), Largest(), nn.Linear(4, 3)).eval(), (1, 8, 8))
    assert found.reason.startswith(("its steps do not fit", "its parts do not grow"))


def test_an_approximation_says_how_far_it_is_off() -> None:
    picture = torch.rand(1, 30, 41, generator=torch.Generator().manual_seed(3))
    for padding, low, high in ((0, 0.0, 1e-5), (1, 1e-4, 1.0)):
        model = small(padding)
        chosen = way(model, (1, 12, 12), approximate=True)
        level = slid(chosen, picture, (1.0, 1.0))
        wanted = windows(model, picture, (12, 12), (2, 2)).softmax(0)
        assert torch.allclose(level.scores.sum(0), torch.ones(10, 15))
        off = off_by(level, model, picture, (12, 12))
        assert low <= off <= high
        assert off <= float((level.scores - wanted).abs().max()) + 1e-6


def test_a_resized_picture_is_antialiased_and_keeps_its_shape() -> None:
    lines = np.tile(np.array([0, 255], np.uint8), (8, 32))[:, :, None]  # one pixel black, one white
    preprocess = Preprocess(channels=1, size=8)
    half = preprocess.resized(lines, 4, 16)
    assert half.shape == (4, 16, 1)
    assert np.abs(half[:, 2:-2].astype(int) - 127).max() < 40
    assert preprocess.resized(lines, 8, 64) is lines
