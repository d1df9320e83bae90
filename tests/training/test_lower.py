"""A lowered network learns what the network learns, and leaves it as it was."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models import registry
from striate.models.resnet import resnet18
from striate.native.library import unavailable
from striate.training import convolution
from striate.training.convolution import Convolution, Plan
from striate.training.lower import Normalised, lowered
from striate.training.transfer import freeze

needs_kernels = pytest.mark.skipif(bool(unavailable()), reason="no kernels of our own")


def prepared(name: str, size: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = registry.build(name, classes=10, channels=3, size=size)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.BatchNorm2d):  # no branch closed at the start
            nn.init.uniform_(module.weight, 0.5, 1.5)
    x = torch.randn(8, 3, size, size).contiguous(memory_format=torch.channels_last)
    return model.to(memory_format=torch.channels_last).train(), x, torch.arange(8)  # type: ignore[call-overload]


def gradient(runs: nn.Module, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    F.cross_entropy(runs(x), y).backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@needs_kernels
@pytest.mark.parametrize(
    ("name", "size", "norms"),
    [("resnet20", 32, 19), ("googlenet", 64, 57), ("resnet18", 64, 20), ("alexnet", 64, 0)],
)
def test_gradients_and_statistics_are_the_networks(name: str, size: int, norms: int) -> None:
    model, x, y = prepared(name, size)
    exact = copy.deepcopy(model).double()
    eager = copy.deepcopy(model)
    expected = gradient(exact, exact, x.double(), y)
    usual = float((gradient(eager, eager, x, y).double() - expected).norm() / expected.norm())
    with lowered(model, x) as runs:
        assert sum(isinstance(module, Normalised) for module in runs.modules()) in {norms, norms - 2}
        found = gradient(runs, model, x, y)
    # A ReLU near zero falls either way by rounding, in float32's own kernels, too.
    assert float((found.double() - expected).norm() / expected.norm()) < max(5 * usual, 5e-3)
    for (key, buffer), other in zip(model.named_buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(buffer.double(), other.double(), rtol=1e-3, atol=1e-5, msg=key)


def test_the_network_is_what_it_was_after_it() -> None:
    model, x, _ = prepared("resnet18", 64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    with lowered(model, x, {}) as runs:
        assert {id(p) for p in runs.parameters()} == {id(p) for p in model.parameters()}
        assert model.training
    assert kinds == [type(module) for module in model.modules()]
    assert not any(hasattr(module, "plan") for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_known_plans_are_used_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = prepared("resnet18", 64)
    plans: dict[str, Plan] = {}
    with lowered(model, x, plans):
        pass
    monkeypatch.setattr("striate.training.lower.measured", None)
    kept = dict.fromkeys(plans, Plan(to_weight="product"))
    with lowered(model, x, kept):
        found = [module for module in model.modules() if isinstance(module, Convolution)]
        assert len(found) == 20
        assert all(module.plan == Plan(to_weight="product") for module in found)


def test_what_was_measured_is_kept_on_disk_until_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = prepared("resnet18", 64)
    convolution.forget()
    first: dict[str, Plan] = {}
    with lowered(model, x, first):
        pass
    convolution.known.cache_clear()  # as another process would begin
    monkeypatch.setattr("striate.training.lower.measured", None)
    again: dict[str, Plan] = {}
    with lowered(model, x, again):
        assert again == first
    convolution.known().path.write_text("{ broken")
    convolution.known.cache_clear()
    assert convolution.known().plans == {}
    convolution.forget()
    assert not convolution.known().path.exists()


class Lottery(nn.Module):
    """Decides by lot, as stochastic depth does: one trace must not decide for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(16), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(x)) if torch.rand(()) < 0.5 else x


class Elsewhere(Lottery):
    """Draws from another generator than torch's."""

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(x)) if random.random() < 0.5 else x


class Branching(nn.Module):
    """Looks at its numbers: torch.fx cannot follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        return y if x.sum() > 0 else x


class Asking(nn.Module):
    """Asks for a type, which is another while torch.fx looks."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        return y * 2 if isinstance(y, Tensor) else y


class Aliased(nn.Module):
    """Reads under another name what it added to in place."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        total = x * 1
        same = total
        total += self.norm(x)
        return F.relu(total) + same


@pytest.mark.parametrize("kind", [Lottery, Elsewhere, Branching, Asking, Aliased])
def test_what_cannot_be_followed_stays_as_it_is(kind: type[nn.Module]) -> None:
    model, state = kind(), torch.get_rng_state()
    with lowered(model, torch.ones(2, 16, 4, 4)) as runs:
        assert runs is model
    if kind is Branching:
        assert torch.equal(torch.get_rng_state(), state)


class Shared(nn.Module):
    """Uses what a norm gives twice, and adds what broadcasts: nothing may be put together there."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.other = nn.BatchNorm2d(16), nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        z = F.relu(self.other(x) + x.mean((2, 3), keepdim=True))
        total: Tensor = F.relu(y) + y + z
        return total


def test_a_frozen_norm_stays_frozen() -> None:
    model, x, y = prepared("resnet18", 64)
    head = {name for name, _ in model.named_parameters() if name.startswith("fc.")}
    freeze(model, "body", head, x[:1])
    before = {key: value.clone() for key, value in model.named_buffers()}
    with lowered(model, x) as runs:
        F.cross_entropy(runs(x), y).backward()  # type: ignore[no-untyped-call]
    for key, value in model.named_buffers():
        assert torch.equal(value, before[key]), key
    assert {name for name, p in model.named_parameters() if p.grad is not None} == head


@needs_kernels
def test_what_is_used_twice_or_broadcast_is_right() -> None:
    torch.manual_seed(0)
    model = Shared()
    x = torch.randn(4, 16, 5, 5)
    expected = copy.deepcopy(model)(x)
    with lowered(model, x) as runs:
        torch.testing.assert_close(runs(x), expected, rtol=1e-4, atol=1e-5)


class Reused(nn.Module):
    """One pooling and one norm, each called twice: behind a ReLU and not."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.pool = nn.BatchNorm2d(16), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(F.relu(self.norm(x) * 2))
        z: Tensor = self.pool(F.relu(self.norm(y)) - 0.5)
        return z


class Rectified(nn.Module):
    """Reads again what an in-place ReLU before the pooling has changed."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.pool = nn.BatchNorm2d(16), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        z = self.pool(F.relu(y, inplace=True))
        result: Tensor = self.pool(y + self.norm(x)) + z
        return result


@needs_kernels
@pytest.mark.parametrize("kind", [Reused, Rectified])
def test_what_is_called_twice_or_changed_in_place_is_right(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = kind(), torch.randn(4, 16, 8, 8)
    expected = copy.deepcopy(model)(x)
    with lowered(model, x) as runs:
        assert runs is not model
        torch.testing.assert_close(runs(x), expected, rtol=1e-4, atol=1e-5)


class Scaled(nn.Module):
    """Uses a parameter and a buffer outside of any layer."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.scale = nn.BatchNorm2d(16), nn.Parameter(torch.full((16, 1, 1), 2.0))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        y: Tensor = self.norm(x) * self.scale.square()
        return y


def test_tensors_outside_of_layers_are_used_as_they_are_now() -> None:
    torch.manual_seed(0)
    model, x = Scaled(), torch.randn(4, 16, 5, 5)
    expected = copy.deepcopy(model)(x)
    with lowered(model, x) as runs:
        model.calls.zero_()
        for _ in range(2):  # a value computed while tracing could go backward once only
            y = runs(x)
            y.sum().backward()
        assert model.calls == 2
        torch.testing.assert_close(y, expected)


@needs_kernels
def test_hooks_on_norms_are_heard() -> None:
    model, x, heard = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU()), torch.randn(2, 16, 4, 4), list[int]()
    model[0].register_forward_hook(lambda *_: heard.append(0))
    model[1].register_forward_hook(lambda *_: heard.append(1))
    with lowered(model, x) as runs:
        heard.clear()
        runs(x)
    assert heard == [0, 1]


def test_one_value_has_no_variance() -> None:
    model = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU())
    with (
        lowered(model, torch.ones(1, 16, 1, 1)) as runs,
        pytest.raises(ValueError, match="more than 1"),
    ):
        runs(torch.ones(1, 16, 1, 1))


def test_pictures_that_do_not_fit_are_the_steps_to_tell() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    with lowered(model, torch.zeros(2, 1, 8, 8)) as runs, pytest.raises(RuntimeError, match="shapes"):
        runs(torch.zeros(2, 1, 8, 8))


def test_a_plan_from_a_machine_with_a_compiler_is_followed_as_far_as_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, x, _ = prepared("resnet18", 64)
    plans: dict[str, Plan] = {}
    with lowered(model, x, plans):
        pass
    monkeypatch.setattr("striate.training.convolution.library.unavailable", lambda: "no compiler")
    kept = dict.fromkeys(plans, Plan("winograd", to_weight="product"))
    with lowered(model, x, kept):
        found = [module.plan for module in model.modules() if isinstance(module, Convolution)]
    assert set(found) == {Plan(to_weight="product")}
    assert set(kept.values()) == {Plan("winograd", to_weight="product")}  # as the run goes on elsewhere


def test_a_cache_that_cannot_be_written_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "native").touch()  # where the folder should be: nobody, not even root, can write into it
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    known = convolution.Known()
    known.add({"any": Plan()})
    assert known.plans == {"any": Plan()}
    assert not known.path.exists()


def test_without_kernels_the_network_is_only_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("striate.training.lower", "striate.training.convolution"):
        monkeypatch.setattr(f"{place}.library.unavailable", lambda: "no compiler")
    convolution.forget()
    model, x = resnet18(10), torch.randn(2, 3, 64, 64)
    plans: dict[str, Plan] = {}
    with lowered(model, x, plans) as runs:
        assert runs is model
        runs(x).sum().backward()
    assert not any("winograd" in (p.forward, p.to_input, p.to_weight) for p in plans.values())
