"""Network in Network: the blocks, the sizes, and that there is no dense layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import striate
from striate.models.nin import mlpconv, nin, nin_textbook


def test_a_block_is_a_perceptron_that_slides() -> None:
    torch.manual_seed(0)
    block = mlpconv(3, (8, 6, 4), 5, padding=2).double()
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    state = block.state_dict()
    y = nn.functional.pad(x, (2, 2, 2, 2))[0, :, 3:8, 4:9].flatten()  # what is under the window at (3, 4)
    for name in ("conv", "cccp1", "cccp2"):
        y = (state[f"{name}.weight"].flatten(1) @ y + state[f"{name}.bias"]).relu()
    assert y.any()
    assert torch.allclose(block(x)[0, :, 3, 4], y)


@pytest.mark.parametrize(
    ("name", "sides"), [("nin", [32, 16, 16, 8, 8, 1]), ("nin_imagenet", [54, 27, 27, 13, 13, 6, 6, 1])]
)
def test_sizes_and_no_dense_layer(name: str, sides: list[int]) -> None:
    rows = striate.inspect(name).layers
    found = [r.output[-1] for r in rows if r.name.endswith("cccp2") or r.kind.endswith("Pool2d")]
    assert found == sides
    assert not [r for r in rows if r.kind == "Linear"]


def test_the_textbook_form_takes_no_window_that_hangs_over() -> None:
    with torch.device("meta"):
        network = nin_textbook(classes=10)
    rows = striate.inspect(network, (3, 224, 224)).layers
    assert [r.output[-1] for r in rows if r.kind == "MaxPool2d"] == [26, 12, 5]


def test_scores_are_the_averages_of_the_last_maps() -> None:
    torch.manual_seed(0)
    network = nin(classes=3).eval()
    maps = []
    network.get_submodule("mlpconv3").register_forward_hook(lambda _, __, y: maps.append(y))
    scores = network(torch.randn(2, 3, 16, 16))
    assert maps[0].shape == (2, 3, 4, 4)
    assert torch.allclose(scores, maps[0].mean((2, 3)))
