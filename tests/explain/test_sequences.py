"""Networks for sequences: gradients beside captum's, padding that stays padding, layers under weight norm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum import attr
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from striate import explain
from striate.errors import ModelError
from striate.explain.layers import layers
from striate.explain.randomise import randomised, weighted
from striate.ops.sequence import last_step, lengths, masked, mean_over_time

TARGETS = torch.tensor([1, 2, 0])


class Read(nn.Module):
    """A recurrent layer, and a dense one on its last true step."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell, self.head = kind(2, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        states = self.cell(x.transpose(1, 2))[0].transpose(1, 2)
        scores: Tensor = self.head(last_step(states, lengths(x)))
        return scores


class Convolved(nn.Module):
    """Two convolutions under weight norm, their mean over the true steps, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv1d(2, 6, 3, padding=1))
        self.second, self.head = weight_norm(nn.Conv1d(6, 6, 3, padding=1)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        n = lengths(x)
        maps = torch.relu(self.second(masked(torch.relu(self.first(x)), n)))
        scores: Tensor = self.head(mean_over_time(maps, n))
        return scores


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return (Convolved() if kind == "conv" else Read(getattr(nn, kind))).eval()


def sequences(ends: tuple[int, ...] = (20, 20, 20)) -> Tensor:
    x = torch.randn(len(ends), 2, 20, generator=torch.Generator().manual_seed(1))
    for one, end in zip(x, ends, strict=True):
        one[:, end:] = 0
    return x


@pytest.mark.parametrize("kind", ["conv", "LSTM", "GRU", "RNN"])
def test_gradients_paths_and_windows_are_captums(kind: str) -> None:
    model, x = network(kind), sequences()
    theirs = attr.Saliency(model).attribute(x.clone().requires_grad_(), TARGETS, abs=False)
    torch.testing.assert_close(explain.saliency(model, x, TARGETS), theirs, rtol=0, atol=1e-6)
    theirs = attr.IntegratedGradients(model).attribute(
        x, torch.full_like(x, 0.3), target=TARGETS, n_steps=64, method="riemann_middle"
    )
    ours = explain.integrated_gradients(model, x, TARGETS, baseline=0.3, steps=64, most=64)
    torch.testing.assert_close(ours, theirs.float(), rtol=0, atol=1e-5)
    theirs = attr.Occlusion(model).attribute(
        x, sliding_window_shapes=(2, 4), strides=(1, 2), baselines=0.25, target=TARGETS
    )
    ours = explain.occlusion(model, x, TARGETS, window=4, stride=2, fill=0.25)
    torch.testing.assert_close(ours, theirs[:, :1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["conv", "GRU"])
@pytest.mark.parametrize("method", ["saliency", "smoothgrad", "integrated_gradients"])
def test_padding_takes_no_share_and_changes_none(kind: str, method: str) -> None:
    model, x = network(kind), sequences((14, 9, 20))
    make = getattr(explain, method)
    found = make(model, x, TARGETS)
    assert found[0, :, :14].abs().max() > 0
    if method != "smoothgrad":  # whose noise is drawn for all of a length at once
        longer = make(model, torch.cat([x, torch.zeros(3, 2, 7)], 2), TARGETS)
        torch.testing.assert_close(longer[..., :20], found, rtol=1e-4, atol=1e-6)
    if kind == "GRU":  # a convolution would see what stood there, beside the last steps
        assert not found[0, :, 14:].any()


@pytest.mark.parametrize("kind", ["conv", "GRU"])
def test_hiding_leaves_the_padding_as_it_is(kind: str) -> None:
    model, x = network(kind), sequences((14, 9, 20))
    ends: list[list[int]] = []
    model.register_forward_pre_hook(lambda _, given: ends.append(lengths(given[0]).tolist()))
    found = explain.occlusion(model, x, TARGETS, window=5, stride=5)
    assert {end for some in ends for end in some} == {14, 9, 20}
    alone = explain.occlusion(model, x[:1, :, :14], TARGETS[:1], window=5, stride=5)
    torch.testing.assert_close(found[:1, :, :10], alone[:, :, :10], rtol=1e-4, atol=1e-6)


def test_noise_stays_within_the_sequence() -> None:
    model, x = network("GRU"), sequences((14, 9, 20))
    ends: list[list[int]] = []
    model.register_forward_pre_hook(lambda _, given: ends.append(lengths(given[0]).tolist()))
    explain.smoothgrad(model, x, TARGETS, samples=2)
    assert {end for some in ends for end in some} == {14, 9, 20}


def test_a_layer_under_weight_norm_is_a_layer_and_what_makes_its_weight_is_none() -> None:
    found = layers(network("conv"), sequences())
    assert [(one.name, one.kind, one.output) for one in found] == [
        ("first", "Conv1d", (6, 20)),
        ("second", "Conv1d", (6, 20)),
        ("head", "Linear", (3,)),
    ]


@pytest.mark.parametrize(
    ("kind", "names"), [("conv", ["first", "second", "head"]), ("LSTM", ["cell", "head"])]
)
def test_recurrent_and_weight_normed_layers_are_drawn_anew(kind: str, names: list[str]) -> None:
    model, x = network(kind), sequences()
    assert weighted(model, x) == names
    drawn = randomised(model, names[:1], seed=0)
    before, after = model.state_dict(), drawn.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {names[0]}
    many = [name for name, tensor in before.items() if name.startswith(names[0]) and tensor.dim() > 1]
    assert many
    assert not any(torch.equal(before[name], after[name]) for name in many)


def test_what_does_not_apply_to_a_recurrent_network_says_so() -> None:
    model, x = network("RNN"), sequences()
    with pytest.raises(ModelError, match="no convolution"):
        explain.grad_cam(model, x)
    for method in (explain.deconvnet, explain.guided_backpropagation):
        with pytest.raises(ModelError, match="No ReLU was found"):
            method(model, x)
    assert explain.look(model, x).layers[0].units == 8


def test_the_padding_has_no_part_in_how_alike_maps_are() -> None:
    model, x = network("conv"), sequences((5, 5, 5))
    found = explain.sanity(model, x, lambda net, given: explain.saliency(net, given, TARGETS))
    longer = torch.cat([x, torch.zeros(3, 2, 200)], 2)
    again = explain.sanity(model, longer, lambda net, given: explain.saliency(net, given, TARGETS))
    assert again.correlation == pytest.approx(found.correlation, abs=0.02)
