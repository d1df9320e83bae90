"""The smallest input that works, against trying every size for real."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.summary.meta import without_numbers
from striate.summary.smallest import smallest, works

from .does import Does

SIDES = range(1, 41)


def really_works(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Run a network on zeros."""
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, int]:
    """Draw convolutions and poolings of one or two axes, perhaps before a dense layer for one size."""
    axes, channels = draw(st.integers(1, 2)), 2
    conv: Any = nn.Conv2d if axes == 2 else nn.Conv1d
    pool: Any = nn.MaxPool2d if axes == 2 else nn.MaxPool1d
    mean: Any = nn.AvgPool2d if axes == 2 else nn.AvgPool1d
    layers: list[nn.Module] = [conv(channels, channels, draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 3))):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        if draw(st.booleans()):
            layers.append(
                conv(channels, channels, kernel, stride, draw(st.integers(0, 2)), draw(st.integers(1, 2)))
            )
        else:
            layers.append(
                draw(st.sampled_from([pool, mean]))(kernel, stride, draw(st.integers(0, kernel // 2)))
            )
    if draw(st.booleans()):
        side = draw(st.integers(1, 3))
        layers += [nn.Flatten(), nn.Linear(channels * side**axes, 2)]
    return nn.Sequential(*layers), axes


@settings(max_examples=60)
@given(networks())
def test_the_smallest_input_is_the_first_that_really_works(drawn: tuple[nn.Module, int]) -> None:
    network, axes = drawn
    first = next((n for n in SIDES if really_works(network, (2, *[n] * axes))), None)
    found, is_smallest = smallest(without_numbers(network).eval(), (2, *[64] * axes), torch.float32)
    if first is not None:
        assert (found, is_smallest) == ((2, *[first] * axes), True)
    else:
        assert found is None or min(found[1:]) > SIDES[-1]


def last(features: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(features, 2))


@pytest.mark.parametrize(
    ("network", "given", "expected"),
    [
        (last(4 * 15 * 15), (3, 28, 28), (3, 32, 32)),
        (last(4 * 15 * 15), (1, 32, 32), (3, 32, 32)),  # other channels
        (last(4 * 15 * 15), (3, 32), (3, 32, 32)),  # another rank
        (nn.Sequential(nn.Linear(7, 9), nn.Linear(9, 2)), (8,), (7,)),
        (nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 9)), (8,), (9,)),  # not the smallest number in it
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 49, 2)), (3, 8, 9), (3, 7, 7)),
        (nn.LSTM(16, 4, batch_first=True), (10, 15), (1, 16)),
        (nn.MaxPool1d(9), (3, 8), (3, 9)),
        (Does(lambda _, x: x.view(-1, 5)), (3, 4, 4), (3, 5, 5)),
        (Does(lambda net, x: net.conv(x.mean(1, True)), conv=nn.Conv2d(1, 2, 3)), (4, 2, 2), (4, 3, 3)),
    ],
)
def test_known_answers(network: nn.Module, given: Any, expected: Any) -> None:
    assert not really_works(network, given)
    assert really_works(network, expected)
    assert smallest(without_numbers(network).eval(), given, torch.float32) == (expected, True)


def test_words_have_a_length() -> None:
    network = Does(
        lambda net, x: net.conv(net.words(x).transpose(1, 2)),
        words=nn.Embedding(9, 4),
        conv=nn.Conv1d(4, 4, 6),
    )
    assert smallest(without_numbers(network), (5,), torch.int64) == ((6,), True)


def test_no_square_may_work_and_another_shape_does() -> None:
    found, is_smallest = smallest(without_numbers(last(4 * 5 * 7)).eval(), (3, 12, 17), torch.float32)
    assert found is not None
    assert really_works(last(4 * 5 * 7), found)
    assert not is_smallest
    assert math.prod(found) <= 3 * 12 * 20


def test_nothing_may_work() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))
    assert smallest(without_numbers(network), (3, 8, 8), torch.float32) == (None, False)


def test_numbers_that_the_network_makes_are_no_hindrance() -> None:
    network = Does(lambda net, x: net.conv(x) * torch.linspace(0, 1, 4), conv=nn.Conv2d(1, 1, 3))
    assert works(without_numbers(network), (1, 6, 6), torch.float32)
    assert smallest(without_numbers(network), (1, 5, 5), torch.float32) == ((1, 3, 3), True)


def test_out_of_time_it_still_comes_down_from_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.summary.smallest.SECONDS", -1.0)
    model = nn.Sequential(nn.Conv2d(3, 2, 7), nn.MaxPool2d(9, 2), nn.AdaptiveAvgPool2d(1)).to("meta")
    assert smallest(model, (3, 4, 4), torch.float32) == ((3, 15, 15), False)


def test_what_is_trained_needs_two_values_for_a_batch_norm() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 5), nn.BatchNorm2d(2)).to("meta").train()
    assert smallest(model, (3, 4, 4), torch.float32) == ((3, 5, 5), True)
