"""The sanity checks of Adebayo et al. 2018, on a small network that has learned the digits."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from striate import explain
from striate.errors import ModelError
from striate.explain.randomise import alike, randomised
from tests.explain.nets import pictures, spelled, trained

BOUND = 0.4


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["saliency", "smoothgrad", "integrated_gradients", "grad_cam", "occlusion"])
def test_what_claims_to_depend_on_the_weights_does(name: str, seed: int) -> None:
    model, x, y = trained()
    method = getattr(explain, name)
    found = explain.sanity(model, x, lambda net, given: method(net, given, y), seed=seed)
    assert abs(found.correlation) < BOUND
    assert all(abs(each) < BOUND for _, each in found.by_depth)
    assert found.badge.startswith("moves when")


@pytest.mark.parametrize("seed", [0, 1])
def test_guided_backpropagation_hardly_does(seed: int) -> None:
    model, x, y = trained()
    found = explain.sanity(
        model, x, lambda net, given: explain.guided_backpropagation(net, given, y), seed=seed
    )
    (upper, half), (first, whole) = found.by_depth
    assert (upper, first) == ("6", "0")
    assert half > 0.7
    assert whole > BOUND
    assert found.badge.startswith("HARDLY MOVES when 6 to the end are randomised")


def test_a_method_that_shows_only_the_picture_is_found_out() -> None:
    found = explain.sanity(spelled(), pictures(), lambda _, x: x)
    assert found.correlation == pytest.approx(1)
    assert not found.moves


def test_the_rank_correlation_is_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, 1, 6, 6, generator=generator).mul(2).round() for _ in range(2))
    assert alike(one, other) == pytest.approx(spearmanr(one.flatten(), other.flatten()).statistic)
    flat = torch.zeros(1, 4)
    assert (alike(flat, flat + 1), alike(flat, torch.arange(4.0)[None])) == (1, 0)


def test_random_weights_are_seeded_have_their_size_and_are_a_copys() -> None:
    model = spelled()
    before = copy.deepcopy(model.state_dict())
    one, again, other = (randomised(model, None, seed).state_dict() for seed in (0, 0, 1))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(one[name], again[name])
        if tensor.dim() > 1:
            assert not torch.equal(one[name], other[name])
            assert 0.7 < (one[name].norm() / tensor.norm()).item() < 1.4
        else:
            assert torch.equal(one[name].sort().values, tensor.sort().values) if tensor.dim() else True
    upper = randomised(model, ["dense"], 0).state_dict()
    changed = {name.split(".")[0] for name, tensor in upper.items() if not torch.equal(tensor, before[name])}
    assert changed == {"dense"}


def test_it_works_where_gradients_are_off() -> None:
    model, x = spelled(), pictures()
    expected = explain.sanity(model, x, one)
    with torch.inference_mode():
        assert explain.sanity(model, x, one) == expected


def one(model: nn.Module, x: Tensor) -> Tensor:
    return explain.saliency(model, x, 1)


class Bare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def test_without_weights_there_is_nothing_to_randomise() -> None:
    with pytest.raises(ModelError, match="no layer with weights"):
        explain.sanity(Bare(), pictures(), explain.saliency)
