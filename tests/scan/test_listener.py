"""What is kept and drawn while a recording is heard, whatever its length."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.scan.listener import Listener
from striate.scan.outline import Outline
from striate.scan.stream import Hearing

RATE, WINDOW, HOP = 1000, 100, 10


class Loudness(nn.Module):
    """Say "loud" where a window's mean square is large: its log-odds are ten times that, less five."""

    def forward(self, x: Tensor) -> Tensor:
        power = nn.functional.avg_pool1d(x.square(), WINDOW, 1)[..., ::HOP]
        return torch.cat([torch.zeros_like(power), 10 * power - 5], 1)


def listener(least: float = 0.0) -> Listener:
    return Listener(Hearing("exact", "", HOP, WINDOW, Loudness(), 0.0), RATE, [1], [least], draw=True)


def kept(thing: Any, seen: set[int] | None = None) -> int:
    """Count the numbers of all tensors that an object holds, in storage."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        return thing.untyped_storage().nbytes() // 4
    if isinstance(thing, (list, tuple)):
        return sum(kept(one, seen) for one in thing)
    return sum(kept(one, seen) for one in vars(thing).values()) if hasattr(thing, "__dict__") else 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=5), st.sampled_from([4, 16]))
def test_an_outline_s_columns_cover_all_steps_and_keep_what_they_merge(
    steps: int, cuts: list[int], most: int
) -> None:
    x = torch.randn(2, steps, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)
    highest, mean = Outline(torch.amax, most), Outline(torch.mean, most)
    places = [0, *sorted(min(cut, steps) for cut in cuts), steps]
    for start, end in pairwise(places):
        highest.add(x[:, start:end])
        mean.add(x[:, start:end])
    columns = highest.columns()
    assert columns.shape[1] == math.ceil(steps / highest.each) <= most
    for i in range(columns.shape[1]):
        part = x[:, i * highest.each : (i + 1) * highest.each]
        assert torch.equal(columns[:, i], part.amax(1))
        assert torch.allclose(mean.columns()[:, i], part.mean(1))


def test_a_loud_place_is_one_detection_with_its_time() -> None:
    ear, found = listener(), []
    x = 0.1 * torch.randn(1, 3000, generator=torch.Generator().manual_seed(0))
    x[:, 1200:1300] = 1.0
    x[:, 2000:2100] = 0.9
    x[:, 2100:2140] = 0.85  # nearly as loud: later windows are good for longer than earlier ones
    for start in range(0, 3000, 170):
        found += ear.hear(x[:, start : start + 170], x[:, start : start + 170])
    found += ear.end()
    assert [unit for unit, _ in found] == [0, 0]
    assert [one.start for _, one in found] == pytest.approx([1.2, 2.005])
    assert [one.end for _, one in found] == pytest.approx([1.3, 2.105])
    assert found[0][1].odds == pytest.approx(5.0, abs=1e-3)
    assert found[0][1].score == pytest.approx(1 / (1 + math.exp(-5)), abs=1e-4)
    assert ear.count == [2]
    assert [one for _, one in found] == ear.detections[0]
    wave, spectrum, scores = ear.drawn()
    assert wave.values[0].max() == 1.0
    assert wave.values[1].min() == x.min()
    assert scores.values.shape == (1, (3000 - WINDOW) // HOP + 1)
    assert scores.start + 120.5 * scores.column == pytest.approx(1.25)  # the middle of the window from 1.2
    assert spectrum.values.isfinite().all()


def test_what_is_kept_does_not_grow_with_the_recording() -> None:
    ear = listener(least=math.inf)
    random, sizes = torch.Generator().manual_seed(0), []
    for piece in range(30):
        x = torch.randn(1, 10 * RATE, generator=random)
        ear.hear(x, x)
        if piece in {4, 29}:  # after 50 s, and after 300
            sizes.append(kept(ear))
    assert ear.samples == 300 * RATE
    assert sizes[1] < 2 * sizes[0]  # the outlines hold between half and all of their columns
    assert all(strip.values.shape[1] <= 4096 for strip in ear.drawn())
