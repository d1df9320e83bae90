"""A training step on sequences computes, in each setting, float64's gradients up to its rounding."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.data.batches import Batch
from striate.models.registry import build
from striate.ops import sequence
from striate.runs.recipe import Recipe
from striate.training import task as tasks
from striate.training.optim import initialise
from striate.training.stepper import stepper
from striate.training.tune import BOUNDS

TASK = tasks.untrained("classification", ("a", "b", "c"))
RECIPE = Recipe(
    device="cpu", optimizer="adamw", lr=1e-3, weight_decay=0.01, label_smoothing=0.0, threads=1,
    precision="float32", kernels="striate", heap="system",
)  # fmt: skip
SETTINGS: list[dict[str, Any]] = [
    {},
    {"layout": "contiguous"},
    {"precision": "bfloat16"},
    {"precision": "bfloat16-master"},
]


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda given: "-".join(map(str, given.values())) or "plain"
)
@pytest.mark.parametrize("name", ["rnn-12", "lstm-12", "gru-12-8", "bilstm-12", "bigru-9", "tcn-3-2-12"])
def test_gradients_are_float64s_within_the_bound(name: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build(name, classes=3, channels=4)
    if name.startswith("tcn"):
        initialise(model, "he_normal", seed=0)  # at first nearly all comes through the shortcuts
    x = sequence.masked(torch.randn(16, 4, 20), torch.arange(5, 21))
    batch = Batch(x, torch.arange(16) % 3, None, None, np.arange(16))
    precise = copy.deepcopy(model).double()
    F.cross_entropy(precise(x.double()), batch.targets).backward()  # type: ignore[no-untyped-call]
    right, recipe = flat(precise), RECIPE.replace(**settings)
    before = copy.deepcopy(model.state_dict())
    with stepper(model, TASK, recipe, x) as step:
        step.gradients(batch)
        assert (flat(model) - right).norm() <= BOUNDS[recipe.precision or ""][0] * right.norm()
        step(batch)
    assert all(not torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
