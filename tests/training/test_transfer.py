"""The fitted head is the best linear model; what is frozen stays as it was, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from striate.data.preprocess import Preprocess
from striate.errors import ModelError
from striate.models.registry import build
from striate.runs import recipe as recipes
from striate.runs.start import head_of
from striate.training import optim, transfer
from striate.training.task import Classification, Regression
from striate.training.transfer import fit_head, freeze

CPU = torch.device("cpu")
PREPROCESS = Preprocess(
    channels=3, size=16, mean=(0.5,) * 3, std=(0.25,) * 3, low=(0.0,) * 3, high=(255.0,) * 3
)


def pictures(count: int) -> tuple[Any, Any]:
    """Make pictures of three classes that differ in colour, with noise."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, count)
    pixels = random.integers(0, 160, (count, 16, 16, 3))
    pixels[np.arange(count), :, :, targets] += 25
    return pixels.astype(np.uint8), targets


def fitted(model: nn.Module, task: Any, pixels: Any, targets: Any, head: set[str], train: int) -> Any:
    rows = np.arange(len(pixels))
    return fit_head(
        model, head, task, pixels, targets, rows[:train], rows[train:], PREPROCESS,
        precision="float32", device=CPU,
    )  # fmt: skip


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(32, outputs),
    )  # fmt: skip


def test_the_head_is_as_good_as_a_linear_model_on_the_features() -> None:
    model, (pixels, targets) = network(), pictures(400)
    before = {key: value.clone() for key, value in model[:6].state_dict().items()}
    result = fitted(model, Classification(("r", "g", "b")), pixels, targets, {"6.weight", "6.bias"}, 300)
    assert all(torch.equal(value, before[key]) for key, value in model[:6].state_dict().items())
    assert model.training
    model.eval()
    with torch.no_grad():
        x = PREPROCESS.tensor(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        features, outputs = model[:6](x).numpy(), model(x)
    right = (outputs.argmax(1).numpy() == targets)[300:].mean()
    linear = LogisticRegression(C=100, max_iter=2000).fit(features[:300], targets[:300])
    assert right >= linear.score(features[300:], targets[300:]) - 0.03
    assert right > 0.6
    losses = nn.functional.cross_entropy(outputs[:300], torch.from_numpy(targets[:300]), reduction="sum")
    assert result.seen == 300
    assert result.loss == pytest.approx(losses.item(), rel=1e-3)


def test_the_solution_has_no_slope_left() -> None:
    torch.manual_seed(0)
    features, targets = torch.randn(60, 5), torch.randint(0, 3, (60,))
    layer, task = nn.Linear(5, 3), Classification(("a", "b", "c"))
    transfer._solve(layer, task, features, targets, 0.01)
    layer.zero_grad()
    loss = task.losses(layer(features), targets).mean() + 0.005 * layer.weight.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().max() < 1e-4


def test_numbers_are_fitted_too() -> None:
    pixels, _ = pictures(200)
    numbers = pixels[..., 0].mean((1, 2)).astype(np.float32)
    model, task = network(1), Regression(float(numbers.mean()), float(numbers.std()))
    result = fitted(model, task, pixels, numbers, {"6.weight", "6.bias"}, 150)
    assert result.loss / result.seen < 0.3  # of a variance of 1


def test_a_head_that_is_not_the_last_layer_is_left_to_the_loop() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pixels, targets = pictures(20)
    task = Classification(("r", "g", "b"))
    assert fitted(model, task, pixels, targets, {"0.weight", "0.bias"}, 15) is None


def test_the_head_follows_the_number_of_classes() -> None:
    for name, head in (
        ("resnet18", {"fc.weight", "fc.bias"}),
        ("vgg11", {"classifier.6.weight", "classifier.6.bias"}),
        ("lenet5", {"output.weight", "output.bias"}),
        (
            "googlenet_heads",
            {f"{layer}.{part}" for layer in ("fc", "aux1.fc2", "aux2.fc2") for part in ("weight", "bias")},
        ),
    ):
        assert head_of(name, build("mlp"), 10) == head
    model = network(4)
    assert head_of(model, model, 4) == {"6.weight", "6.bias"}


def step(model: nn.Module, **settings: Any) -> None:
    asked = {"optimizer": "nesterov", "lr": 0.1, "weight_decay": 0.1} | settings
    rule = optim.optimizer(model, recipes.check(asked), CPU)
    model.train()
    for _ in range(2):
        loss = model(torch.randn(4, 3, 16, 16)).square().mean()
        loss.backward()
        rule.step()


def test_a_frozen_body_stays_bit_equal_its_statistics_too() -> None:
    model = build("resnet20", classes=3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    freeze(model, "body", {"fc.weight", "fc.bias"}, torch.zeros(2, 3, 16, 16))
    step(model)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"fc.weight", "fc.bias"}


def test_up_to_a_layer_means_all_that_is_called_before_it_returns() -> None:
    model = build("resnet20", classes=3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    freeze(model, "layer2", {"fc.weight", "fc.bias"}, torch.zeros(2, 3, 16, 16))
    step(model)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in changed} == {"layer3", "fc"}
    assert {"layer3.0.conv1.weight", "layer3.0.bn1.running_mean", "fc.bias"} <= changed


def test_a_layer_that_is_not_there_is_named_with_its_neighbours() -> None:
    model = build("resnet20", classes=3)
    with pytest.raises(ModelError, match="no layer 'layer9'") as error:
        freeze(model, "layer9", set(), torch.zeros(2, 3, 16, 16))
    assert "layer" in error.value.hint
    with pytest.raises(ModelError, match="leaves nothing to train"):
        freeze(model, "fc", set(), torch.zeros(2, 3, 16, 16))


def test_lower_layers_take_smaller_steps() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(588, 2))
    rule = optim.optimizer(
        model, recipes.check({"optimizer": "sgd", "lr": 1.0, "weight_decay": 0.0, "lr_bottom": 0.1}), CPU
    )
    shares = {id(p): group["share"] for group in rule.param_groups for p in group["params"]}
    assert [shares[id(p)] for p in model.parameters()] == [0.1, 0.1, 1.0, 1.0]
