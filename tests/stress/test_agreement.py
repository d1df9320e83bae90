"""Shift consistency: certain where the network is built for it, lost where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from striate.stress import chance
from striate.stress.agreement import consistency, moved, offsets

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.stress.measure import Answers

N, SIDE = 100, 32
KEYS = chance.keys(3, np.arange(N))


def spots() -> torch.Tensor:
    """Noise in the middle of black pictures, so that what leaves one edge is what enters at the other."""
    pictures = torch.zeros(N, 1, SIDE, SIDE)
    pictures[:, :, 12:20, 12:20] = torch.rand(N, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return pictures


def circular(stride: int) -> Answers:
    """A padded network of total stride ``stride`` squared, pooled over all places, with 200 close classes."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride, 1, padding_mode="circular"), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride, 1, padding_mode="circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ).double()  # fmt: skip
    head = torch.randn(16, 200, dtype=torch.float64)
    return of(lambda x: (body(x) - body(spots().double()).mean(0)) @ head)


def of(scores: Callable[[torch.Tensor], torch.Tensor]) -> Answers:
    def answer(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return scores(x.double()).softmax(1)

    return answer


def test_a_circular_network_agrees_at_multiples_of_its_stride_and_not_in_between() -> None:
    moves = offsets(KEYS, SIDE)
    of_four = moves // 2 * 4
    assert of_four.abs().max() <= 12
    whole = consistency(circular(2), spots(), of_four)
    between = consistency(circular(2), spots(), moves)
    assert whole.accuracy == 1
    assert between.accuracy < 1


def test_without_strides_every_shift_agrees() -> None:
    assert consistency(circular(1), spots(), offsets(KEYS, SIDE)).accuracy == 1


def test_a_network_that_sees_places_falls() -> None:
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10)).double()
    assert consistency(of(flat), spots(), offsets(KEYS, SIDE)).accuracy < 0.6


def test_each_picture_has_draws_of_its_own_over_the_whole_range() -> None:
    moves = offsets(chance.keys(0, np.arange(2000)), 16)
    assert sorted(set(moves.flatten().tolist())) == [-2, -1, 0, 1, 2]
    counts = torch.bincount(moves.flatten() + 2)
    assert counts.min() > 0.9 * counts.max()
    assert torch.equal(offsets(chance.keys(0, np.array([7])), 16)[0], moves[7])


def test_moved_pictures_are_rolled_and_filled_with_the_border() -> None:
    picture = torch.rand(2, 3, 6, 6)
    picture[:, :, [0, -1], :] = 0.25
    picture[:, :, :, [0, -1]] = 0.25
    kept = picture.clone()
    down, right = 2, -1
    found = moved(picture, torch.tensor([[down, right], [0, 0]]))
    rolled = picture[0].roll((down, right), (1, 2))
    assert torch.equal(found[0, :, down:, :right], rolled[:, down:, :right])
    assert torch.equal(found[0, :, :down], torch.full((3, down, 6), 0.25))
    assert torch.equal(found[1], picture[1])
    assert torch.equal(picture, kept)
