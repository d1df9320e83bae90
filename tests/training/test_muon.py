"""Muon: what the iteration makes of singular values, and what a step does to a filter bank."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from striate.runs.recipe import Recipe
from striate.training.muon import ITERATIONS, A, B, C, Muon, orthogonal
from striate.training.optim import BESIDE_MUON, optimizer


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_singular_values_become_about_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, before, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = orthogonal(matrix, iterations=5)
    after = (u.T @ turned @ v.T).diagonal()
    assert (before / before.max()).min() < 0.6
    assert after.min() > 0.5
    assert after.max() < 1.5
    assert torch.allclose(u @ after.diag() @ v, turned, atol=1e-10)


def test_it_is_the_published_iteration_in_float32_too() -> None:
    for shape in ((64, 576), (576, 64)):
        matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) @ torch.diag(
            torch.logspace(0, -3, shape[1])  # directions of very different lengths
        )
        x = matrix.double() / matrix.double().norm()
        for _ in range(ITERATIONS):
            x = A * x + B * x @ x.T @ x + C * x @ x.T @ x @ x.T @ x
        assert (orthogonal(matrix) - x).norm() < 1e-3 * x.norm()


def _filters() -> nn.Parameter:
    return nn.Parameter(torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1)))


def test_a_filter_bank_turns_by_the_rate_and_keeps_its_length() -> None:
    p = _filters()
    before = p.detach().clone()
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(2))
    p.grad -= before * (p.grad * before).sum() / before.square().sum()  # straight to the side
    Muon([p], lr=0.1).step()
    assert p.norm().item() == pytest.approx(before.norm().item(), rel=1e-5)
    turned = orthogonal(p.grad.flatten(1)).view(p.shape)
    expected = before - turned * 0.1 * before.norm() / turned.norm()
    assert torch.allclose(p, expected * before.norm() / expected.norm(), atol=1e-6)


def test_the_length_of_the_gradient_says_nothing() -> None:
    ends = []
    for factor in (1.0, 1000.0):
        p = _filters()
        rule = Muon([p], lr=0.1)
        for step in range(3):
            p.grad = factor * torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            rule.step()
        ends.append(p.detach())
    assert torch.allclose(ends[0], ends[1], atol=1e-5)


def test_all_else_is_adams() -> None:
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    rules = (
        Muon([ours], lr=0.1, weight_decay=0.2),
        torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.95), weight_decay=0.2),
    )
    for step in range(5):
        for p, rule in zip((ours, theirs), rules, strict=True):
            p.grad = torch.tensor([math.sin(step), 3.0])
            rule.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_recipe_gives_all_else_a_share_of_the_rate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 2))
    recipe = Recipe().replace(optimizer="muon", lr=0.2, weight_decay=0.0)
    groups = optimizer(model, recipe, torch.device("cpu")).param_groups
    shares = {id(p): group["share"] for group in groups for p in group["params"]}
    assert {name: shares[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 1.0,
        "0.bias": BESIDE_MUON,
        "2.weight": BESIDE_MUON,
        "2.bias": BESIDE_MUON,
    }


def test_a_gradient_of_zeros_leaves_a_filter_as_it_is() -> None:
    filters = torch.randn(4, 3, 3, 3).requires_grad_()
    before, filters.grad = filters.detach().clone(), torch.zeros_like(filters)
    Muon([filters]).step()
    torch.testing.assert_close(filters.detach(), before)
