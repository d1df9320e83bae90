"""Layers are found by name, whatever the network does with their outputs, and it is left as it was."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain import layers


class Reused(nn.Module):
    """A network that uses one module twice, changes outputs in place and calls functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, padding=1)
        self.norm, self.drop, self.head = nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x.relu_()
        x = self.norm(self.same(self.same(x)))
        y: Tensor = self.head(self.drop(F.relu(x).mean((2, 3))))
        return y


@pytest.fixture
def model() -> Reused:
    torch.manual_seed(0)
    return Reused()


def test_layers_come_in_the_order_of_their_calls(model: Reused) -> None:
    found = layers.layers(model, torch.zeros(2, 1, 6, 6))
    assert [layer.name for layer in found] == ["conv", "same", "same#2", "norm", "drop", "head"]
    assert found[0].output == (2, 4, 4)
    assert found[-1].output == (3,)


def test_an_output_is_what_the_layer_gave_before_it_was_changed_in_place(model: Reused) -> None:
    x = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(layers.output_of(model, x, "conv"), model.conv(x).detach())
    assert (layers.output_of(model, x, "conv") < 0).any()


def test_nothing_of_the_network_is_changed(model: Reused) -> None:
    model.train()
    model.drop.eval()
    model.head.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers.output_of(model, torch.randn(2, 1, 6, 6), "same#2")
    assert [module.training for module in model.modules()] == [True, True, True, True, False, True]
    assert not model.head.weight.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_an_unknown_layer_is_answered_with_the_layers(model: Reused) -> None:
    with pytest.raises(ModelError) as error:
        layers.output_of(model, torch.zeros(1, 1, 6, 6), "cnov")
    assert error.value.message == "The network has no layer 'cnov'."
    assert error.value.hint == "Did you mean conv? Layers: conv, same, same#2, norm, drop, head."


def test_an_unknown_unit_and_an_unknown_class_are_answered_with_the_range(model: Reused) -> None:
    with pytest.raises(ModelError, match="Its units are 0 to 1"):
        layers.unit_of(layers.named(model, torch.zeros(1, 1, 6, 6), "conv"), 2)
    with pytest.raises(ModelError, match="Its outputs are 0 to 2"):
        layers.chosen(torch.zeros(2, 3), 3)
