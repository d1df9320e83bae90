"""The networks shared with torchvision compute what its own do: values, gradients, running statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from striate.models.registry import build

CLASSES = 10
SIZES = {  # pixels: small, to be quick, but for the heads of Inception, which need all
    "alexnet": 64,
    **{f"vgg{depth}{norm}": 32 for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet": 64,
    "googlenet_heads": 64,
    "inception_v3": 96,
    "inception_v3_heads": 299,
    **{f"resnet{depth}": 32 for depth in (18, 34, 50, 101, 152)},
    "densenet121": 64,
}

Pair = tuple[nn.Module, nn.Module, Tensor]


@pytest.fixture(scope="module", params=SIZES)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Give torchvision's network with random weights, ours with the same, and a batch for both."""
    torch.manual_seed(0)
    name, size = request.param, SIZES[request.param]
    plain = name.removesuffix("_heads")
    more: dict[str, Any] = {}
    if plain in {"googlenet", "inception_v3"}:
        more = {"aux_logits": plain != name, "transform_input": False, "init_weights": False}
    with torch.device("meta"):  # no first weights are drawn: they are replaced
        theirs = torchvision.models.get_model(plain, weights=None, num_classes=CLASSES, **more)
        ours = build(name, classes=CLASSES)
    x = torch.randn(4, 3, size, size)
    fill(theirs.to_empty(device="cpu"), x)
    ours.to_empty(device="cpu").load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours, x


def fill(network: nn.Module, x: Tensor) -> None:
    """Draw every parameter, and let the norms' statistics be those of a batch, as after training."""
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
        elif name.endswith("weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=0.1)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        network.train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def step(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Give all outputs, and the gradient of every parameter that they reach, by name."""
    network.zero_grad()
    outputs = network(x)
    named: dict[str, Tensor] = {"logits": outputs} if isinstance(outputs, Tensor) else outputs._asdict()
    for output in named.values():  # anything that is no plain sum
        weights = torch.linspace(-1, 1, output.numel()).view_as(output)
        output.backward(weights, retain_graph=True)  # type: ignore[no-untyped-call]
    gradients = {f"grad of {n}": p.grad for n, p in network.named_parameters() if p.grad is not None}
    return {name: output.detach() for name, output in named.items()} | gradients


def same(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
    """Hold each tensor to 1e-5 of its largest value; a gradient, whose parts add up in any order, to 1e-4."""
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        assert torch.isfinite(expected).all(), name
        apart = (ours[name] - expected).abs().max()
        assert apart <= (1e-4 if name.startswith("grad") else 1e-5) * expected.abs().max(), name


def dropouts(network: nn.Module) -> list[nn.Dropout]:
    return [module for module in network.modules() if isinstance(module, nn.Dropout)]


def test_in_evaluation(pair: Pair) -> None:
    theirs, ours, x = pair
    x = x[:, :, :96, :96]  # only the heads need more
    same(step(theirs.eval(), x), step(ours.eval(), x))


def test_in_training(pair: Pair) -> None:
    theirs, ours, x = pair
    rates = [[dropout.p for dropout in dropouts(network)] for network in (theirs, ours)]
    assert sorted(rates[0]) == sorted(rates[1])
    for dropout in (*dropouts(theirs), *dropouts(ours)):
        dropout.p = 0.0  # with heads, which units are dropped depends on what is computed first
    expected = step(theirs.train(), x)
    assert len(expected) > len(list(theirs.parameters()))  # every one is reached
    same(expected, step(ours.train(), x))
    same(theirs.state_dict(), ours.state_dict())  # running statistics have moved alike
