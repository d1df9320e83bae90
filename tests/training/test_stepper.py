"""Each setting computes the same gradients up to its rounding; nothing of it is left behind."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.data.batches import Batch
from striate.runs.recipe import Recipe
from striate.training import heap
from striate.training import stepper as stepping
from striate.training import task as tasks
from striate.training.step import drawing, key, training_step
from striate.training.stepper import built, stepper
from striate.training.tune import BOUNDS

TASK = tasks.untrained("classification", ("a", "b", "c"))
RECIPE = Recipe(
    device="cpu", optimizer="nesterov", lr=0.1, weight_decay=0.01, label_smoothing=0.0, threads=1,
    precision="float32", kernels="library", heap="system",
)  # fmt: skip


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def batch(seed: int = 1) -> Batch:
    torch.manual_seed(seed)
    return Batch(torch.randn(16, 3, 8, 8), torch.arange(16) % 3, None, None, np.arange(16))


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])


def exact(model: nn.Module, pictures: Batch) -> Tensor:
    """The gradient in float64."""
    precise = copy.deepcopy(model).double()
    F.cross_entropy(precise(pictures.inputs.double()), pictures.targets).backward()  # type: ignore[no-untyped-call]
    return flat(precise)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layout": "contiguous"},
        {"fused": False},
        {"kernels": "striate"},
        {"kernels": "striate", "layout": "contiguous"},
        {"precision": "bfloat16"},
        {"precision": "bfloat16-master"},
        {"precision": "bfloat16-master", "kernels": "striate"},
        {"heap": "kept"},
        {"heap": "huge"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "plain",
)
def test_gradients_are_float64s_within_the_bound(settings: dict[str, Any]) -> None:
    recipe = RECIPE.replace(**settings)
    model, pictures = network(), batch()
    expected = exact(model, pictures)
    with stepper(model, TASK, recipe, pictures.inputs) as step:
        step.gradients(pictures)
        found = flat(model)
    most, _ = BOUNDS[recipe.precision or "float32"]
    assert (found - expected).norm() < most * expected.norm()
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_the_plain_settings_are_the_plain_step(clip: float) -> None:
    one, other = network(), network()
    recipe, pictures = RECIPE.replace(clip=clip, layout="contiguous"), batch()
    groups: list[dict[str, Any]] = [
        {"params": [p for p in one.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in one.parameters() if p.ndim == 1]},
    ]
    rule = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    with stepper(other, TASK, recipe, pictures.inputs) as step:
        for seed in range(3):
            told = step(batch(seed))
            expected = training_step(one, TASK, batch(seed), rule, precision="float32", clip=clip)
            torch.testing.assert_close(told, expected)
    torch.testing.assert_close(other.state_dict(), one.state_dict(), rtol=1e-5, atol=1e-6)


def test_masters_take_the_gradient_of_their_rounded_copies() -> None:
    """One dense layer, computed by hand in bfloat16; the weights that are updated have 32 bits."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3, bias=False)
    weight, x, y = model.weight.detach().clone(), torch.randn(2, 4), torch.tensor([0, 2])
    low = weight.bfloat16().requires_grad_()
    loss = F.cross_entropy(F.linear(x.bfloat16(), low).float(), y)
    (gradient,) = torch.autograd.grad(loss, low)
    recipe = RECIPE.replace(precision="bfloat16-master", optimizer="sgd", weight_decay=0.0, lr=0.001)
    pictures = Batch(x[:, :, None, None], y, None, None, np.arange(2))
    with built(nn.Sequential(nn.Flatten(), model), TASK, recipe, pictures.inputs) as step:
        told, _ = step(pictures)
    assert told == 2 * loss.detach()
    assert torch.equal(model.weight, weight - 0.001 * gradient.float())
    assert not torch.equal(model.weight, model.weight.bfloat16().float())


def test_masters_share_norms_and_running_statistics() -> None:
    model, pictures = network(), batch()
    with stepper(model, TASK, RECIPE.replace(precision="bfloat16-master"), pictures.inputs) as step:
        step(pictures)
        assert step.runs.get_parameter("0.weight").dtype == torch.bfloat16
        assert step.runs.get_parameter("1.weight") is model.get_parameter("1.weight")
    statistics = model.get_submodule("1").running_mean
    assert isinstance(statistics, Tensor)
    assert statistics.dtype == torch.float32
    assert statistics.any()


def test_frozen_weights_stay_frozen_in_short_numbers() -> None:
    model, pictures = network(), batch()
    first = model.get_parameter("0.weight").requires_grad_(False)
    before = first.clone()
    with stepper(model, TASK, RECIPE.replace(precision="bfloat16-master"), pictures.inputs) as step:
        step(pictures)
    assert torch.equal(first, before)
    assert first.grad is None


def test_a_compiled_network_computes_with_the_librarys_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []

    def compiling(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compiling)
    monkeypatch.setattr(stepping, "lowered", None)
    model, pictures = network(), batch()
    with stepper(model, TASK, RECIPE.replace(compile=True, kernels="striate"), pictures.inputs) as step:
        step(pictures)
    assert compiled == [model]


def test_threads_are_the_process_own_again() -> None:
    before = torch.get_num_threads()
    with stepper(network(), TASK, RECIPE.replace(threads=before + 1), batch().inputs):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_heap_is_the_systems_again(monkeypatch: pytest.MonkeyPatch) -> None:
    if "kept" not in heap.kinds():
        pytest.skip("no glibc")
    told: list[dict[int, int]] = []
    monkeypatch.setattr(heap, "_set", lambda _, values: told.append(values))
    with heap.held("kept"):
        assert told == [heap.KEPT]
    assert told == [heap.KEPT, heap.SYSTEM]
    with heap.held("system"):
        pass
    assert len(told) == 2


def test_draws_follow_from_seed_and_step_and_are_torchs_own() -> None:
    def drawn(seed: int, step: int) -> Tensor:
        with drawing(seed, step):
            return torch.rand(3)

    torch.manual_seed(5)
    outside = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn(1, 2), drawn(1, 2))
    assert not torch.equal(drawn(1, 2), drawn(1, 3))
    assert torch.equal(torch.rand(1), outside)
    with torch.random.fork_rng():
        torch.manual_seed(1_000_003 + 2)
        expected = torch.rand(3)
        key(1, 2)
        assert torch.equal(torch.rand(3), expected)
