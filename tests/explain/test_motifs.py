"""Motifs are read from the windows that excite a kernel: planted ones come back, letter by letter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain.motifs import information, motifs
from striate.models.dna import dna
from striate.models.mlp import mlp


def one_hot(text: str) -> Tensor:
    return F.one_hot(torch.tensor(["ACGT".index(letter) for letter in text]), 4).T.float()


def planted(motif: str, *, background: int = 30, count: int = 200) -> tuple[Tensor, list[int]]:
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(4, (count, background), generator=generator)
    places = torch.randint(background - len(motif), (count,), generator=generator).tolist()
    for row, place in enumerate(places):
        letters[row, place : place + len(motif)] = one_hot(motif).argmax(0)
    return F.one_hot(letters, 4).transpose(1, 2).float(), places


def looking_for(*patterns: str) -> nn.Module:
    """Make kernels of ones where the pattern's letters are, with a threshold just below a perfect match."""
    layer = nn.Conv1d(4, len(patterns), len(patterns[0]))
    with torch.no_grad():
        layer.weight.copy_(torch.stack([one_hot(pattern) for pattern in patterns]))
        assert layer.bias is not None
        layer.bias.fill_(0.5 - len(patterns[0]))
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def test_a_planted_motif_comes_back_with_its_places() -> None:
    x, places = planted("TATAAT")
    found, *_ = motifs(looking_for("CCCCCC", "TATAAT"), x)
    assert found.unit == 1
    assert found.consensus("ACGT") == "TATAAT"
    by_hand = [
        (row, at)
        for row in range(len(x))
        for at in range(25)
        if x[row, :, at : at + 6].equal(one_hot("TATAAT"))
    ]
    assert list(zip(found.sequences.tolist(), found.positions.tolist(), strict=True)) == by_hand
    assert set(enumerate(places)) <= set(by_hand)
    assert found.counts.sum(0).tolist() == [len(by_hand)] * 6
    assert found.shares.max(0).tolist() == [1.0] * 6


def test_windows_of_less_than_half_the_maximum_are_left_out() -> None:
    layer = nn.Conv1d(4, 1, 1, bias=False)
    layer.weight.data.copy_(torch.tensor([4.0, 2.0, 2.1, -1.0])[None, :, None])
    (found,) = motifs(nn.Sequential(layer), one_hot("ACGTA")[None])
    assert found.positions.tolist() == [0, 2, 4]


def test_a_kernel_that_nothing_excites_has_no_motif() -> None:
    assert motifs(looking_for("TATAAT"), one_hot("CCCCCCCCCC")[None]) == []


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any))
def test_information_is_schneiders(column: list[int]) -> None:
    total = sum(column)
    entropy = -sum(n / total * math.log2(n / total) for n in column if n)
    right = max(0.0, 2 - entropy - 3 / (2 * math.log(2) * total))
    found = information(torch.tensor(column, dtype=torch.float64)[:, None])
    assert found.item() == pytest.approx(right, abs=1e-9)


def test_letters_of_no_information_are_dots() -> None:
    x = torch.stack([one_hot(f"T{letter}A") for letter in "ACGT" * 20])
    (found,) = motifs(_ends("T", "A"), x)
    assert found.consensus("ACGT") == "T.A"
    assert found.bits == pytest.approx(np.array([2, 0, 2]), abs=0.05)


def _ends(first: str, last: str) -> nn.Module:
    layer = nn.Conv1d(4, 1, 3, bias=False)
    nn.init.zeros_(layer.weight)
    layer.weight.data[0, :, 0] = one_hot(first)[:, 0]
    layer.weight.data[0, :, 2] = one_hot(last)[:, 0]
    return nn.Sequential(layer)


def test_the_network_is_left_as_it_was() -> None:
    network = dna().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    motifs(network, planted("TATAAT", background=81, count=20)[0])
    assert network.training
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())


def test_what_has_no_motifs_is_told() -> None:
    x = one_hot("ACGTACGT")[None]
    for network, words in (
        (mlp(channels=4, size=8), "does not begin with a convolution over letters"),
        (nn.Sequential(nn.Conv1d(4, 2, 3, padding=1)), "padded"),
        (nn.Sequential(nn.Conv1d(4, 2, 3, dilation=2)), "dilated"),
    ):
        with pytest.raises(ModelError, match=words):
            motifs(network, x)
