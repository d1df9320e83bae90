"""The methods of striate.explain run on networks that are not ours and give what captum gives."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import timm
import torch
import torchvision
from captum import attr
from torch import nn

from striate import explain

METHODS = [
    "saliency",
    "smoothgrad",
    "integrated_gradients",
    "deconvnet",
    "guided_backpropagation",
    "grad_cam",
]


@cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "timm":
        return timm.create_model("resnet18", num_classes=10).eval()  # type: ignore[no-any-return]
    return torchvision.models.resnet18(num_classes=10).eval()  # type: ignore[no-any-return]


def pictures() -> torch.Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", [*METHODS, "occlusion"])
@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_every_method_runs_and_leaves_the_network_as_it_was(name: str, method: str) -> None:
    model, x = network(name), pictures()
    before = copy.deepcopy(model.state_dict())
    found = getattr(explain, method)(model, x, 3)
    assert len(found) == 2
    assert found.isfinite().all()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_saliency_and_grad_cam_are_captums(name: str) -> None:
    model, x = network(name), pictures()
    theirs = attr.Saliency(model).attribute(x.clone().requires_grad_(), 3, abs=False)
    torch.testing.assert_close(explain.saliency(model, x, 3), theirs, rtol=0, atol=1e-5)
    theirs = attr.LayerGradCam(model, model.layer4).attribute(x, 3, relu_attributions=True)
    torch.testing.assert_close(explain.grad_cam(model, x, 3), theirs, rtol=0, atol=1e-5)
