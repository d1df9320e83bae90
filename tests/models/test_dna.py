"""The network of motif detectors: a planted motif is found, and its smallest input is named."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from striate.errors import ModelError
from striate.models.dna import dna
from striate.models.registry import build


def test_learns_a_planted_motif_wherever_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(4, (400, 40), generator=generator)
    motif = torch.tensor([3, 0, 3, 0, 0, 3])  # TATAAT
    for row in range(200):
        place = int(torch.randint(8, 30, (), generator=generator))
        letters[row, place : place + 6] = motif
    x, y = F.one_hot(letters, 4).transpose(1, 2).float(), (torch.arange(400) < 200).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = dna(length=40)
        optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
        learn = torch.arange(400) % 4 > 0
        for _ in range(80):
            optimiser.zero_grad()
            F.cross_entropy(network(x[learn]), y[learn]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        right = (network.eval()(x[~learn]).argmax(1) == y[~learn]).float().mean()
    assert right.item() >= 0.9


def test_the_smallest_input_is_named() -> None:
    assert build("dna", classes=3, channels=20, length=26)(torch.zeros(2, 20, 26)).shape == (2, 3)
    with pytest.raises(ModelError, match=r"dna needs 26 steps. Received: 25"):
        build("dna", channels=4, length=25)
