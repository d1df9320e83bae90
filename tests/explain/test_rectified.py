"""Deconvnet and guided backpropagation: by hand on known switches, and against captum."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from torch import Tensor, nn

from striate import explain
from striate.errors import ModelError
from tests.explain.nets import Spelled, pictures, spelled

TARGETS = torch.tensor([1, 4, 0])


def test_by_hand_on_four_numbers() -> None:
    """Pooling keeps 3 and 5; ReLUs let through (3, 0) after the second layer; the score takes both."""
    model = nn.Sequential(
        nn.Conv1d(1, 1, 1, bias=False),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(2, 2),
        nn.ReLU(),
        nn.Linear(2, 1),
    )
    x = torch.tensor([[[1.0, 3.0, 5.0, -2.0]]])
    with torch.no_grad():
        model[0].weight.fill_(1.0)  # type: ignore[operator]
        model[4].weight.copy_(torch.tensor([[1.0, 0.0], [1.0, -1.0]]))  # type: ignore[operator]
        model[4].bias.zero_()  # type: ignore[operator]
        model[6].weight.copy_(torch.tensor([[2.0, 3.0]]))  # type: ignore[operator]
    # Hidden: (3, 3 - 5) -> ReLU (3, 0). Signal (2, 3) from the score.
    # Gradient: (2, 0) -> (2, 0): 2 where the 3 was.
    assert explain.saliency(model, x, 0).tolist() == [[[0.0, 2.0, 0.0, 0.0]]]
    # Deconvnet: (2, 3) stays -> (2 + 3, -3), unpooled, then rectified: 5 where the 3 was.
    assert explain.deconvnet(model, x, 0).tolist() == [[[0.0, 5.0, 0.0, 0.0]]]
    # Guided: (2, 0) -> (2, 0).
    assert explain.guided_backpropagation(model, x, 0).tolist() == [[[0.0, 2.0, 0.0, 0.0]]]
    with torch.no_grad():
        model[6].weight.copy_(torch.tensor([[-2.0, 3.0]]))  # type: ignore[operator]
    assert explain.saliency(model, x, 0).tolist() == [[[0.0, -2.0, 0.0, 0.0]]]
    assert explain.deconvnet(model, x, 0).tolist() == [[[0.0, 3.0, 0.0, 0.0]]]
    assert explain.guided_backpropagation(model, x, 0).tolist() == [[[0.0, 0.0, 0.0, 0.0]]]


def unpooled(model: Spelled, x: Tensor, target: int, *, guided: bool) -> Tensor:
    """Zeiler and Fergus's deconvnet step by step: unpooling by switches, ReLU, transposed filters."""
    with torch.no_grad():
        first = model.norm(model.conv1(x))
        pooled, switches = F.max_pool2d(first.relu(), 2, return_indices=True)
        second = model.conv2(pooled)
        signal = model.dense.weight[target].view(1, *second.shape[1:]).relu()
        signal = signal * (second > 0) if guided else signal
        signal = F.conv_transpose2d(signal, model.conv2.weight)
        signal = nn.MaxUnpool2d(2)(signal, switches).relu()
        signal = signal * (first > 0) if guided else signal
        assert model.norm.running_var is not None
        scale = model.norm.weight * torch.rsqrt(model.norm.running_var + model.norm.eps)
        return F.conv_transpose2d(signal * scale.view(1, -1, 1, 1), model.conv1.weight, padding=1)


@pytest.mark.parametrize("spelling", ["module", "function", "relu_"])
def test_it_is_the_network_run_backwards_by_hand(spelling: str) -> None:
    model, x = spelled(spelling), pictures(1)
    found = explain.deconvnet(model, x, 3)
    torch.testing.assert_close(found, unpooled(model, x, 3, guided=False), rtol=0, atol=1e-5)
    found = explain.guided_backpropagation(model, x, 3)
    torch.testing.assert_close(found, unpooled(model, x, 3, guided=True), rtol=0, atol=1e-5)
    assert (found - explain.saliency(model, x, 3)).abs().max() > 0.01


def test_both_are_captums_on_modules() -> None:
    model, x = spelled(), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum tells of its hooks
        deconvolution = attr.Deconvolution(model).attribute(x, TARGETS)
        guided = attr.GuidedBackprop(model).attribute(x, TARGETS)
    torch.testing.assert_close(explain.deconvnet(model, x, TARGETS), deconvolution, rtol=0, atol=1e-5)
    torch.testing.assert_close(explain.guided_backpropagation(model, x, TARGETS), guided, rtol=0, atol=1e-5)


def test_one_unit_is_followed_from_where_it_answers_most() -> None:
    model, x = spelled("relu_"), pictures(1)
    with torch.no_grad():
        maps = model.conv2(model.pool(model.norm(model.conv1(x)).relu()))
    place = divmod(int(maps[0, 2].argmax()), 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = spelled()
        theirs = attr.NeuronDeconvolution(twin, twin.conv2).attribute(x, (2, *place))
    ours = explain.deconvnet(model, x, layer="conv2", unit=2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (ours[0].abs().sum(0) > 0).sum() <= 8 * 8  # its receptive field: conv 3 on pooling 2 on conv 3
    best = int(maps[0].flatten(1).amax(1).argmax())
    expected = explain.deconvnet(model, x, layer="conv2", unit=best)
    assert torch.equal(explain.deconvnet(model, x, layer="conv2"), expected)


def test_a_unit_of_the_first_layer_shows_its_filter() -> None:
    model, x = spelled(), pictures(1)
    found = explain.deconvnet(model, x, layer="conv1", unit=0)
    rows, columns = (found[0].abs().sum(0) > 0).nonzero().T.tolist()
    box = found[0, :, min(rows) : max(rows) + 1, min(columns) : max(columns) + 1]
    torch.testing.assert_close(box, model.conv1.weight[0].detach()[:, : box.shape[1], : box.shape[2]])


class Relu6(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x.flatten(1))


def test_relu6_is_a_relu_whose_top_stops_the_guided_signal() -> None:
    x = torch.tensor([[[-1.0, 3.0, 7.0]]])
    model = nn.Sequential(Relu6(), nn.Linear(3, 1, bias=False))
    nn.init.ones_(model[1].weight)  # type: ignore[arg-type]
    assert explain.deconvnet(model, x, 0).tolist() == [[[1.0, 1.0, 1.0]]]
    assert explain.guided_backpropagation(model, x, 0).tolist() == [[[0.0, 1.0, 0.0]]]


@pytest.mark.parametrize("bend", [nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.1)])
def test_without_a_relu_it_refuses(bend: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), bend, nn.Flatten(), nn.Linear(200, 2))
    for named in ({}, {"layer": "1", "unit": 0}):
        with pytest.raises(ModelError, match="No ReLU was found"):
            explain.deconvnet(model, pictures(), **named)  # type: ignore[arg-type]


def test_unknown_layers_and_units_are_answered_with_what_there_is() -> None:
    with pytest.raises(ModelError, match="Did you mean conv2"):
        explain.deconvnet(spelled(), pictures(), layer="cnov2")
    with pytest.raises(ModelError, match="Its units are 0 to 7"):
        explain.guided_backpropagation(spelled(), pictures(), layer="conv2", unit=8)
