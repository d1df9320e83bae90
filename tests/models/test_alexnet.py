"""What is odd in AlexNet: two towers, the normalisation, pooling windows that overlap, where biases are 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import striate
from striate.models.alexnet import alexnet, alexnet_2012, alexnet_one_tower, response_norm
from striate.ops import local_response


def test_the_norm_is_the_papers() -> None:
    torch.manual_seed(0)
    x = 30 * torch.randn(2, 7, 3, 3, dtype=torch.float64)
    right = local_response(x, n=5, k=2.0, alpha=1e-4, beta=0.75)
    assert torch.allclose(response_norm()(x), right, rtol=1e-12)
    assert (right / x).std() > 0.01  # large enough an input for alpha to matter


def test_maps_are_as_large_as_in_the_paper() -> None:
    rows = striate.inspect("alexnet_2012").layers
    sides = [r.output for r in rows if r.name.startswith(("conv", "pool"))]
    assert sides == [
        *((96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13)),
        *((384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)),
    ]


def seen(network: nn.Module, layer: str, channels: int) -> torch.Tensor:
    """Tell which input maps the first output map of a layer sees."""
    x = torch.randn(1, channels, 5, 5, requires_grad=True)
    network.get_submodule(layer)(x)[0, 0].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum((1, 2)) > 0


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the dense layers small: the paper's are 0.2 GB."""

    class Narrow(nn.Linear):
        def __init__(self, before: int, after: int) -> None:
            super().__init__({4096: 64}.get(before, before), {4096: 64}.get(after, after))

    monkeypatch.setattr(nn, "Linear", Narrow)


@pytest.fixture(params=[alexnet_2012, alexnet_one_tower])
def paper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    narrow(monkeypatch)
    torch.manual_seed(0)
    build: Callable[..., nn.Module] = request.param
    network = build(classes=5)
    network.towers = 2 if build is alexnet_2012 else 1  # type: ignore[assignment]
    return network


def test_towers_meet_in_the_third_convolution(paper: nn.Module) -> None:
    for layer, channels in (("conv2", 96), ("conv3", 256), ("conv4", 384), ("conv5", 384)):
        apart = paper.towers == 2 and layer != "conv3"
        half = channels // 2
        assert seen(paper, layer, channels).tolist() == [True] * half + [not apart] * half


def test_starts_as_section_5_says(paper: nn.Module) -> None:
    parameters = dict(paper.named_parameters())
    ones = {name for name, p in parameters.items() if name.endswith("bias") and (p == 1).all()}
    assert ones == {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    assert not any(parameters[f"{name}.bias"].any() for name in ("conv1", "conv3", "fc8"))
    assert all(abs(p.std() - 0.01) < 0.002 for name, p in parameters.items() if name.endswith("weight"))


@pytest.mark.parametrize(("build", "smallest"), [(alexnet_2012, 67), (alexnet, 63)])
def test_any_size_from_the_smallest(build: Callable[..., nn.Module], smallest: int) -> None:
    with torch.device("meta"):
        network = build()
        assert network(torch.empty(1, 3, smallest, smallest + 50)).shape == (1, 1000)
        with pytest.raises(RuntimeError, match="too small"):
            network(torch.empty(1, 3, smallest - 1, smallest + 50))


@pytest.mark.parametrize("build", [alexnet, alexnet_2012])
def test_every_parameter_learns(build: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)
    torch.manual_seed(0)
    network = build(classes=4, channels=1)
    nn.functional.cross_entropy(network(torch.randn(4, 1, 67, 67)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
