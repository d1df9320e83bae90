"""The ConvNetJS networks: layer by layer, how they start, and the smallest picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from striate.errors import ModelError
from striate.models.convnetjs import convnetjs, convnetjs_mnist
from striate.models.unshared import unshared


def test_each_layer_has_the_pages_parameters(architectures: dict[str, Any]) -> None:
    facts = architectures["convnetjs-cifar10-demo"]["params"][0]
    found = [sum(p.numel() for p in layer.parameters()) for layer in convnetjs().children()]
    assert [count for count in found if count] == facts["per_layer"]


@pytest.mark.parametrize("build", [convnetjs, convnetjs_mnist, unshared])
def test_starts_as_the_page_does(build: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    for name, parameter in build().named_parameters():
        if name.endswith("weight"):
            fan_in = parameter.shape[1] if name.startswith("local") else parameter[0].numel()
            assert parameter.std().item() == pytest.approx(fan_in**-0.5, rel=0.1)
        else:
            assert (parameter == (0.0 if name == "fc.bias" else 0.1)).all()


@pytest.mark.parametrize(("build", "smallest"), [(convnetjs, 8), (convnetjs_mnist, 6), (unshared, 8)])
def test_the_smallest_picture_is_named(build: Callable[..., nn.Module], smallest: int) -> None:
    network = build(classes=4, channels=2, size=smallest)
    assert network(torch.zeros(3, 2, smallest, smallest)).shape == (3, 4)
    with pytest.raises(ModelError, match=f"{build.__name__} needs .* {smallest} pixels"):
        build(size=smallest - 1)
