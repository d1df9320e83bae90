"""Grad-CAM: against captum, against what it is on a network that ends in a mean, and which layer it takes."""

from __future__ import annotations

import pytest
import torch
from captum import attr
from torch import nn

from striate import explain
from striate.errors import ModelError
from striate.explain.cam import last_maps
from striate.models.densenet import densenet121
from striate.models.lenet import lenet5
from striate.models.resnet import resnet18
from tests.explain.nets import pictures, spelled

TARGETS = torch.tensor([1, 4, 0])


@pytest.mark.parametrize("layer", ["conv1", "norm", "conv2"])
@pytest.mark.parametrize("spelling", ["module", "in place", "relu_"])
def test_a_named_layers_map_is_captums(layer: str, spelling: str) -> None:
    twin, x = spelled(), pictures()
    theirs = attr.LayerGradCam(twin, getattr(twin, layer)).attribute(x, TARGETS, relu_attributions=True)
    found = explain.grad_cam(spelled(spelling), x, TARGETS, layer=layer)
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-5)


def test_on_a_mean_and_a_dense_layer_it_is_the_class_activation_map() -> None:
    """There a_k = w_kc/Z (Selvaraju et al. 2017, section 3.1)."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    x = pictures()
    with torch.no_grad():
        expected = torch.einsum("k,nkhw->nhw", model[4].weight[1] / 100, model[:2](x)).relu()  # type: ignore[index]
    torch.testing.assert_close(explain.grad_cam(model, x, 1, layer="1")[:, 0], expected)
    assert last_maps(model, x) == "0"


def test_blocks_can_be_named_and_the_default_holds_the_shortcut() -> None:
    torch.manual_seed(0)
    model, x = resnet18(classes=5).eval(), torch.randn(1, 3, 64, 64)
    assert last_maps(model, x) == "layer4"
    theirs = attr.LayerGradCam(model, model.layer4).attribute(x, 2, relu_attributions=True)
    torch.testing.assert_close(explain.grad_cam(model, x, 2), theirs, rtol=0, atol=1e-5)


def test_the_default_is_before_the_last_pooling() -> None:
    assert last_maps(lenet5(), torch.zeros(1, 1, 28, 28)) == "c3"
    assert last_maps(densenet121(classes=3), torch.zeros(1, 3, 64, 64)) == "features"


def test_a_network_without_places_says_what_else_there_is() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))
    with pytest.raises(ModelError, match="Take saliency, integrated_gradients or occlusion"):
        explain.grad_cam(model, pictures())
    with pytest.raises(ModelError, match="single numbers"):
        explain.grad_cam(spelled(), pictures(), layer="dense")
