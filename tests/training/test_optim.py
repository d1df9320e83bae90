"""Update rules against hand-computed steps; what is decayed; first weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from striate.errors import ModelError
from striate.runs.recipe import Recipe
from striate.training.optim import RULES, drop_inputs_of_head, initialise, optimizer

GRADIENTS = (0.5, -0.2, 0.3)
# facts/seed_cases.json, 003-optimisers: theta after each step from 1.0 at rate 0.1.
THETAS = {
    "sgd": [0.95, 0.97, 0.94],
    "momentum": [0.95, 0.925, 0.8725],
    "nesterov": [0.905, 0.9025, 0.82525],
    "adagrad": [0.90000000002, 0.937139067649, 0.888472641317],
    "rmsprop": [2e-07, 0.373002053731, -0.117140947585],
    "adam": [0.900000002, 0.865439418117, 0.810995383681],
}


def _recipe(**settings: object) -> Recipe:
    return Recipe().replace(**({"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.0} | settings))


def _walk(name: str, **settings: object) -> list[float]:
    model = nn.Module()
    model.theta = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    rule = optimizer(model, _recipe(optimizer=name, **settings), torch.device("cpu"))
    seen = []
    for gradient in GRADIENTS:
        model.theta.grad = torch.full_like(model.theta, gradient)
        rule.step()
        seen.append(model.theta.item())
    return seen


@pytest.mark.parametrize("name", THETAS)
def test_three_golden_steps(name: str) -> None:
    assert _walk(name) == pytest.approx(THETAS[name], abs=1e-11)


def test_adadelta_follows_its_paper_with_the_epsilon_of_convnetjs() -> None:
    theta, squares, steps, expected = 1.0, 0.0, 0.0, []
    for gradient in GRADIENTS:
        squares = 0.95 * squares + 0.05 * gradient**2
        step = math.sqrt(steps + 1e-8) / math.sqrt(squares + 1e-8) * gradient
        steps = 0.95 * steps + 0.05 * step**2
        theta -= step
        expected.append(theta)
    assert _walk("adadelta", lr=1.0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_decay_spares_biases_and_norms(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    groups = optimizer(model, _recipe(optimizer=name, weight_decay=0.5), torch.device("cpu")).param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names == {"0.weight", "3.weight"}
    assert sum(len(g["params"]) for g in groups) == 6


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ModelError, match="no parameter"):
        optimizer(nn.Flatten(), _recipe(), torch.device("cpu"))


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("xavier_uniform", math.sqrt(2 / (400 + 300))),
        ("xavier_normal", math.sqrt(2 / (400 + 300))),
        ("he_uniform", math.sqrt(2 / 400)),
        ("he_normal", math.sqrt(2 / 400)),
        ("normal:0.3", 0.3),
        ("zeros", 0.0),
    ],
)
def test_variance_of_first_weights(init: str, std: float) -> None:
    model = nn.Linear(400, 300)
    initialise(model, init, seed=1)
    assert model.weight.std().item() == pytest.approx(std, rel=0.02)
    assert model.bias.abs().sum() == 0
    again = nn.Linear(400, 300)
    initialise(again, init, seed=1)
    assert torch.equal(model.weight, again.weight)


def test_first_weights_reach_through_weight_norm() -> None:
    plain = nn.Conv1d(40, 30, 5)
    normed: Any = weight_norm(nn.Conv1d(40, 30, 5))
    for layer in (normed, plain):
        initialise(layer, "normal:0.3", seed=1)
    torch.testing.assert_close(normed.weight, plain.weight)


def test_default_init_leaves_the_model_alone() -> None:
    model = nn.Linear(3, 3)
    before = model.weight.clone()
    initialise(model, "default", seed=0)
    assert torch.equal(model.weight, before)


def test_dropout_before_the_head_only_in_training() -> None:
    body, head = nn.Linear(50, 400), nn.Linear(400, 1, bias=False)
    model = nn.Sequential(body, head)
    head.weight.data.fill_(1)
    names = set(model.state_dict())
    drop_inputs_of_head(model, 0.5)
    x = torch.ones(200, 50)
    body.weight.data.zero_()
    body.bias.data.fill_(1)
    assert model.eval()(x).unique().tolist() == [400]
    dropped = model.train()(x)
    assert dropped.std() > 1
    assert dropped.mean().item() == pytest.approx(400, rel=0.02)  # inverted dropout keeps the mean
    assert set(model.state_dict()) == names
    with pytest.raises(ModelError, match="no dense layer"):
        drop_inputs_of_head(nn.Conv2d(1, 1, 1), 0.5)


def test_dropout_where_a_network_waits_for_it() -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.2), nn.Linear(400, 1, bias=False))
    drop_inputs_of_head(model, 0.0)
    assert [model[i].p for i in range(2)] == [0.0, 0.2]
    drop_inputs_of_head(model, 0.5)
    assert [model[i].p for i in range(2)] == [0.5, 0.2]
    head = model.train()[2]
    x = torch.ones(1, 400)
    assert torch.equal(head(x), head(x))  # the head drops nothing of its own
