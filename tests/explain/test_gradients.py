"""Gradients, their means over noise and along a path: against finite differences, captum, theorems."""

from __future__ import annotations

import copy

import pytest
import torch
from captum import attr
from torch import Tensor, nn

from striate import explain
from striate.errors import ModelError
from striate.explain.gradients import classes, scores
from tests.explain.nets import SPELLINGS, pictures, sound, spelled

TARGETS = torch.tensor([1, 4, 0])
METHODS = ["saliency", "smoothgrad", "integrated_gradients"]
EVERY = [*METHODS, "deconvnet", "guided_backpropagation", "grad_cam", "occlusion"]


def test_the_gradient_is_that_of_finite_differences() -> None:
    model, x, step = spelled().double(), pictures(1).double(), 1e-6
    found = explain.saliency(model, x, 2)
    assert found.dtype == torch.float64
    for place in [(0, 0, 0, 0), (0, 1, 5, 7), (0, 2, 6, 3)]:
        more, less = x.clone(), x.clone()
        more[place] += step
        less[place] -= step
        with torch.no_grad():
            expected = (model(more) - model(less))[0, 2] / (2 * step)
        torch.testing.assert_close(found[place], expected, rtol=1e-5, atol=1e-8)


def test_saliency_and_integrated_gradients_are_captums() -> None:
    model, x = spelled(), pictures()
    theirs = attr.Saliency(model).attribute(x.clone().requires_grad_(), TARGETS, abs=False)
    torch.testing.assert_close(explain.saliency(model, x, TARGETS), theirs, rtol=0, atol=1e-5)
    away = torch.full_like(x, 0.3)
    path = attr.IntegratedGradients(model)
    theirs = path.attribute(x, away, target=TARGETS, n_steps=512, method="riemann_middle")
    ours = explain.integrated_gradients(model, x, TARGETS, baseline=0.3, steps=512)
    torch.testing.assert_close(ours, theirs.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spelling", SPELLINGS[1:])
@pytest.mark.parametrize("method", EVERY)
def test_a_map_does_not_depend_on_how_the_network_is_written(method: str, spelling: str) -> None:
    make = getattr(explain, method)
    expected = make(spelled(), pictures(), TARGETS)
    torch.testing.assert_close(make(spelled(spelling), pictures(), TARGETS), expected, rtol=0, atol=1e-6)


def test_shares_add_up_to_the_difference_of_the_scores() -> None:
    model, x = spelled(), pictures(6)
    index = classes(model, x, None)
    found = (
        explain.integrated_gradients(model, x, steps=4).flatten(1).sum(1)
    )  # four are too few: it takes more
    wanted = scores(model, x, index) - scores(model, torch.zeros_like(x), index)
    assert ((found - wanted).abs() <= 0.01 * wanted.abs()).all()


def test_noise_of_zero_is_the_gradient_and_a_seed_is_the_same_noise() -> None:
    model, x = spelled(), pictures()
    torch.testing.assert_close(explain.smoothgrad(model, x, noise=0.0), explain.saliency(model, x))
    one, again, other = (explain.smoothgrad(model, x, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("method", EVERY)
def test_a_batch_is_its_pictures_one_by_one(method: str) -> None:
    make, model, x = getattr(explain, method), spelled(), pictures(10)
    alone = torch.cat([make(model, x[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(make(model, x), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", EVERY)
def test_series_of_one_dimension_have_maps(method: str) -> None:
    x = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0))
    found = getattr(explain, method)(sound(), x, 1)
    expected = {"grad_cam": (2, 1, 12), "occlusion": (2, 1, 32)}.get(method, (2, 2, 32))
    assert found.shape == expected
    assert found.abs().max() > 0


@pytest.mark.parametrize("method", EVERY)
def test_nothing_of_the_network_or_the_input_is_changed(method: str) -> None:
    model, x = spelled("relu_").train(), pictures()
    model.norm.eval()
    model.conv1.requires_grad_(False)
    model.dense.weight.grad = torch.ones_like(model.dense.weight)
    before, kept = copy.deepcopy(model.state_dict()), x.clone()
    found = getattr(explain, method)(model, x)
    assert not found.requires_grad
    assert torch.equal(x, kept)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [name for name, module in model.named_modules() if not module.training] == ["norm"]
    grads = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert grads == {"dense.weight"}
    assert torch.equal(model.dense.weight.grad, torch.ones_like(model.dense.weight))
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.conv1.parameters())


@pytest.mark.parametrize("method", EVERY)
def test_it_works_frozen_and_where_gradients_are_off(method: str) -> None:
    make, model, x = getattr(explain, method), spelled(), pictures()
    expected = make(model, x)
    model.requires_grad_(False)
    torch.testing.assert_close(make(model, x), expected)
    with torch.no_grad():
        torch.testing.assert_close(make(model, x), expected)
    with torch.inference_mode():
        inside = x * 1
        torch.testing.assert_close(make(model, inside), expected)
    torch.testing.assert_close(make(model, inside), expected)


@pytest.mark.parametrize("method", EVERY)
def test_weights_of_16_bits_give_maps_of_32(method: str) -> None:
    make, x = getattr(explain, method), pictures()
    found = make(spelled().bfloat16(), x, TARGETS)
    assert found.dtype == torch.float32
    expected = make(spelled(), x, TARGETS)
    assert torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), 0) > 0.9


class Ungraded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return x.mean((2, 3))


def test_what_cannot_be_explained_says_so() -> None:
    model, x = spelled(), pictures()
    with pytest.raises(ModelError, match="type uint8"):
        explain.saliency(model, x.byte())
    with pytest.raises(ModelError, match="2 classes are given for 3 pictures"):
        explain.saliency(model, x, [1, 2])
    with pytest.raises(ModelError, match="no output 7"):
        explain.saliency(model, x, 7)
    with pytest.raises(ModelError, match="no gradient"):
        explain.saliency(Ungraded(), x)
    assert explain.occlusion(Ungraded(), x).shape == (3, 1, 12, 12)
