"""A network to train is nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from striate.data.preprocess import Preprocess
from striate.training import task as tasks
from striate.training.step import fitting_model

if TYPE_CHECKING:
    from pathlib import Path

GREY = Preprocess(channels=1, size=8)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module that holds a network, and give the network's name."""
    (tmp_path / "held_network.py").write_text(
        "from torch import nn\n\nnetwork = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "held_network:network"


def test_a_network_found_by_its_name_is_trained_as_a_copy(named: str) -> None:
    task = tasks.untrained("classification", ("a", "b"))
    model = fitting_model(named, task, GREY, seed=0)
    import held_network  # type: ignore[import-not-found]

    assert model is not held_network.network
    model(torch.ones(2, 1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert held_network.network[2].weight.any()
    assert int(held_network.network[0].num_batches_tracked) == 0


def test_a_network_that_is_given_is_trained_as_a_copy() -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    assert fitting_model(own, tasks.untrained("classification", ("a", "b")), GREY, seed=0) is not own
