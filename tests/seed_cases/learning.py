"""Gradients, update rules, first weights, dropout, augmentation and the loop."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.data import transform
from striate.data.augment import Augment
from striate.data.batches import Batches, plain
from striate.data.preprocess import Preprocess
from striate.models.mlp import mlp
from striate.models.registry import build
from striate.ops import cross_correlate, relu, sigmoid, tanh
from striate.training.optim import RULES, drop_inputs_of_head, initialise
from striate.training.step import training_step
from striate.training.task import Classification
from tests.seed_cases.facts import Case, deck_is_wrong, numbers, random, shows, worked_out


def small_pictures(augment: Augment | None = None) -> Batches:
    """Make batches of 8 of 40 pictures that are bright on the left or on the right."""
    targets = np.arange(40) % 2
    pixels = np.random.default_rng(0).integers(0, 100, (40, 8, 8, 1), np.uint8)
    for pixel, target in zip(pixels, targets, strict=True):
        pixel[:, 4 * target : 4 * target + 4] += 100
    return Batches(
        pixels,
        targets,
        np.arange(40),
        Preprocess(channels=1, size=8),
        batch=8,
        seed=0,
        augment=augment or Augment(),
    )


@shows("001-backprop-equations")
def back_propagation_by_hand(case: Case) -> None:
    n, m, k = (int(number) for number in re.findall(r"(\d)-(\d)-(\d)", case.recomputed)[0])
    x, target = random(n, 1), random(k, 1)
    w1, w2 = (random(*shape).requires_grad_() for shape in ((m, n), (k, m)))
    z = w1 @ x
    h = tanh(z)
    y = w2 @ h
    loss = (y - target).square().sum() / 2
    by_torch = torch.autograd.grad(loss, (loss, y, h, z, w1, w2))
    d_loss, d_y = torch.ones(()).double(), y - target  # equations 1 and 2, the latter without its e_i
    d_h = w2.T @ d_y
    d_z = d_h * (1 - h**2)
    by_hand = (d_loss, d_y, d_h, d_z, d_z @ x.T, d_y @ h.T)
    assert len(case.parameters["equations"]) == len(by_hand) - 1  # the deck leaves dJ/dW2 out
    torch.testing.assert_close(by_torch, by_hand)


@shows("001-vanishing-gradient")
def sigmoids_shrink_a_gradient(case: Case) -> None:
    (steepest,) = case.parameters.values()
    z = torch.linspace(-6, 6, 241, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(sigmoid(z).sum(), z)
    assert slope.max().item() == pytest.approx(steepest)
    _, _, depth, bound = numbers(case.recomputed)
    y = z
    for _ in range(int(depth)):
        y = sigmoid(y)
    (product,) = torch.autograd.grad(y.sum(), z)
    assert steepest**depth == pytest.approx(bound, rel=0.01)
    assert 0 < product.max() <= steepest**depth


@shows("003-skip-connections")
def a_highway_for_the_gradient(case: Case) -> None:
    (setting, right) = next((k, v) for k, v in case.recomputed.items() if isinstance(v, dict))
    depth, width = map(int, numbers(setting))
    weights = 0.1 * random(depth, width, width)
    x = random(width).requires_grad_()
    for name, skip in (("with skip", 1.0), ("without skip", 0.0)):
        y = x
        for weight in weights:
            y = tanh(weight @ y) + skip * y
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert math.log10(gradient.norm().item()) == pytest.approx(math.log10(right[name]), abs=1.5)

    def layer(v: Tensor) -> Tensor:
        return tanh(weights[0] @ v)

    branch, block = torch.func.jacrev(layer)(x), torch.func.jacrev(lambda v: layer(v) + v)(x)
    torch.testing.assert_close(block, torch.eye(width) + branch)  # dy/dx = I + dF/dx


@shows("001-residual-identity")
def a_silent_branch_is_the_identity(case: Case) -> None:
    block = build("resnet20").get_submodule("layer1.0").eval()
    nn.init.zeros_(block.get_submodule("bn2").get_parameter("weight"))
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block(relu(x)), relu(x))
    assert torch.equal(block(x.clone()), relu(x))  # the 2015 block has its ReLU after the sum


@shows("003-sgd-rule")
def the_plain_rule_is_a_step_of_sgd(case: Case) -> None:
    x, y, alpha = random(4), 1.0, 0.1
    rule, settings = RULES["sgd"]
    for logistic in (False, True):
        theta = nn.Parameter(random(4))
        h = sigmoid(theta @ x) if logistic else theta @ x
        loss = -(y * h.log() + (1 - y) * (1 - h).log()) if logistic else (y - h) ** 2 / 2
        by_hand = theta.detach() + alpha * (y - h.detach()) * x
        loss.backward()  # type: ignore[no-untyped-call]
        rule([theta], lr=alpha, **settings).step()
        torch.testing.assert_close(theta.detach(), by_hand)


@shows("003-optimisers")
def three_golden_steps(case: Case) -> None:
    ((described, right),) = case.recomputed.items()
    rate, rho, eps = map(float, re.findall(r"adadelta lr (\S+) rho (\S+) eps ([^\s)]+)", described)[0])
    for name, thetas in right.items():
        rule, settings = RULES[name.removesuffix("_convnetjs")]
        own = {"lr": case.inputs["lr"]}
        if name == "adadelta_convnetjs":
            own = {"lr": rate, "rho": rho, "eps": eps}
        theta = nn.Parameter(torch.tensor(case.inputs["theta0"], dtype=torch.float64))
        optimiser, found = rule([theta], **(settings | own)), []
        for gradient in case.inputs["gradients"]:
            theta.grad = torch.tensor(gradient, dtype=torch.float64)
            optimiser.step()
            found.append(theta.item())
        assert found == pytest.approx(thetas, abs=1e-12), name


@shows("003-minibatch")
def mini_batches_average_to_the_whole(case: Case) -> None:
    batches, network, task = small_pictures(), mlp(2, 1, 8).double(), Classification(("left", "right"))
    parts = [batches.at(0, step) for step in range(batches.steps)]

    def gradient(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = task.losses(network(inputs.double().contiguous()), targets).mean()
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))])

    whole = gradient(torch.cat([b.inputs for b in parts]), torch.cat([b.targets for b in parts]))
    mean = torch.stack([gradient(b.inputs, b.targets) for b in parts]).mean(0)
    torch.testing.assert_close(mean, whole, rtol=0, atol=1e-14)


@shows("004-training-loop")
def five_steps_lower_the_loss(case: Case) -> None:
    assert len(case.parameters["steps"]) == 5
    batches, network, losses = small_pictures(), mlp(2, 1, 8), []
    rule, settings = RULES["sgd"]
    optimiser = rule(network.parameters(), lr=0.1, **settings)
    for epoch in range(8):
        for step in range(batches.steps):
            batch = batches.at(epoch, step)
            loss, _ = training_step(
                network, Classification(("left", "right")), batch, optimiser, precision="float32", clip=0
            )
            losses.append(loss.item())
    assert not np.array_equal(batches.at(0, 0).index, batches.at(1, 0).index)  # selected at random
    assert sum(losses[-5:]) < sum(losses[:5]) / 2


@shows("003-init-variance")
def it_is_the_deviation_that_is_one_over_root_n(case: Case) -> None:
    n = int(numbers(next(iter(case.recomputed)))[-1])
    x, found = torch.randn(4000, n), []
    for std in (1 / math.sqrt(n), math.sqrt(1 / math.sqrt(n))):  # what is meant, and what is printed
        layer = nn.Linear(n, n)
        initialise(layer, f"normal:{std}", seed=1)
        found.append(layer(x).var().item())
    assert found == pytest.approx(list(case.recomputed.values()), rel=0.1)
    assert case.parameters["printed"] == "Variance: 1/sqrt(n)"
    keeps_its_size = [variance == pytest.approx(1, rel=0.1) for variance in found]
    deck_is_wrong(case, [False, True], keeps_its_size)
    assert keeps_its_size == [True, False]


@shows("003-init-rules")
def rules_for_first_weights(case: Case) -> None:
    fans = {"fan_in": 400, "fan_out": 300}
    for name, rule in case.parameters.items():
        layer = nn.Linear(fans["fan_in"], fans["fan_out"])
        initialise(layer, name, seed=1)
        if name.endswith("uniform"):
            bound = worked_out(rule.split("a = ")[1], sqrt=math.sqrt, **fans)
            assert bound * 0.999 < layer.weight.abs().max().item() <= bound
            variance = bound**2 / 3
        else:
            variance = float(worked_out(rule.removeprefix("N(0, ").removesuffix(")"), **fans))
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.03 * math.sqrt(variance))
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.02)


@shows("003-init-zero-symmetry")
def equal_filters_stay_equal(case: Case) -> None:
    network = build("lenet5").double()
    filters, readers = network.get_parameter("c1.weight"), network.get_parameter("c3.weight")
    with torch.no_grad():
        filters[:] = filters[:1].clone()
        network.get_parameter("c1.bias").zero_()
        readers[:] = readers[:, :1].clone()  # every later unit weighs the equal maps equally
    rule, settings = RULES["sgd"]
    optimiser, before = rule(network.parameters(), lr=0.1, **settings), filters.detach().clone()
    x, targets = torch.rand(8, 1, 28, 28, dtype=torch.float64), torch.arange(8)
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert (filters - before).abs().max() > 1e-4  # they learn
    torch.testing.assert_close(filters, filters[:1].expand_as(filters))  # and all the same
    initialise(network, "zeros", seed=0)
    assert not any(parameter.any() for parameter in network.parameters())


@shows("003-dead-relu")
def a_dead_unit_has_no_gradient(case: Case) -> None:
    x, weight = torch.rand(8, 3, 6, 6), torch.randn(2, 3, 3, 3, requires_grad=True)
    y = relu(cross_correlate(x, weight, torch.tensor([0.0, -1e6])))
    (gradient,) = torch.autograd.grad(y.sum(), weight)
    assert gradient[0].any()
    assert not gradient[1].any()


@shows("003-dropout", "004-dropout")
def dropout_keeps_the_mean(case: Case) -> None:
    head, share = nn.Linear(1000, 1000, bias=False), 0.5
    nn.init.eye_(head.weight)  # shows what arrives
    drop_inputs_of_head(head, share)
    x = torch.ones(20, 1000)
    assert torch.equal(head.eval()(x), x)
    dropped = head.train()(x)
    assert dropped.unique().tolist() == [0, 1 / (1 - share)]  # units, not single connections
    assert dropped.mean().item() == pytest.approx(1, rel=0.03)
    assert not torch.equal(head(x), dropped)


@shows("003-data-augmentation")
def changed_pictures_keep_their_labels(case: Case) -> None:
    batches = small_pictures()
    assert isinstance(batches.preprocess, Preprocess)
    x = torch.from_numpy(batches.pixels)
    draws = transform.named(np.zeros((40, len(transform.COLUMNS))))  # a draw of 0 flips
    once = transform.augmented(x, draws, Augment(flip=True), batches.preprocess)
    assert torch.equal(once, x.permute(0, 3, 1, 2).flip(3))
    twice = transform.augmented(once.permute(0, 2, 3, 1), draws, Augment(flip=True), batches.preprocess)
    assert torch.equal(twice, x.permute(0, 3, 1, 2))
    before = batches.at(0, 0)
    for augment in (Augment(flip=True), Augment(shift=0.25), Augment(crop=0.5), Augment(colour=0.5)):
        changed = small_pictures(augment)
        after = changed.at(0, 0)
        assert torch.equal(after.targets, before.targets)
        assert after.inputs.shape == before.inputs.shape
        assert not torch.equal(after.inputs, before.inputs)
        (tested,) = plain(changed.pixels, changed.rows, changed.preprocess, 40)
        assert torch.equal(tested, changed.preprocess.tensor(x.permute(0, 3, 1, 2)))
