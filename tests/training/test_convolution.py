"""Every way of every pass gives the library's numbers; the plan is the fastest of what was measured."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.native.library import unavailable
from striate.training import convolution
from striate.training.convolution import PASSES, WAYS, Convolution, Plan

plans = st.builds(Plan, *[st.sampled_from(["torch", "product"]) for _ in PASSES])


def compare(one: nn.Conv2d, plan: Plan, x: Tensor, most: float) -> None:
    """Hold output and gradients to the library's: the norm of the difference over the norm."""
    other = copy.deepcopy(one)
    other.__class__ = Convolution
    other.plan = plan  # type: ignore[assignment]
    x1, x2 = x.clone().requires_grad_(), x.clone().requires_grad_()
    y1, y2 = one(x1), other(x2)
    g = torch.randn_like(y1)
    torch.autograd.backward([y1, y2], [g, g])
    pairs = [(y1, y2), (x1.grad, x2.grad)]
    pairs += [(p1.grad, p2.grad) for p1, p2 in zip(one.parameters(), other.parameters(), strict=True)]
    for expected, found in pairs:
        assert expected is not None
        assert found is not None
        assert expected.shape == found.shape
        assert (found - expected).norm() <= most * expected.norm() + most


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 3),
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 4),
    high=st.integers(1, 7),
    wide=st.integers(1, 7),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    last=st.booleans(),
    plan=plans,
)
def test_equals_the_library(
    n: int,
    inputs: int,
    outputs: int,
    high: int,
    wide: int,
    kernel: int,
    stride: int,
    padding: int,
    bias: bool,
    last: bool,
    plan: Plan,
) -> None:
    if min(high, wide) + 2 * padding < kernel:
        return
    torch.manual_seed(n * high + wide)
    one = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias).double()
    x = torch.randn(n, inputs, high, wide, dtype=torch.float64)
    compare(one, plan, x.contiguous(memory_format=torch.channels_last) if last else x, 1e-12)


@pytest.mark.skipif(bool(unavailable()), reason="no kernels of our own")
@pytest.mark.parametrize(("ins", "outs", "kernel"), [(16, 32, 3), (3, 16, 3), (6, 10, 5), (24, 64, 3)])
def test_winograd_in_a_layer_with_a_bias_and_any_channels(ins: int, outs: int, kernel: int) -> None:
    torch.manual_seed(0)
    plan = Plan("winograd", "winograd", "winograd")
    compare(nn.Conv2d(ins, outs, kernel, padding=1), plan, torch.randn(3, ins, 7, 9), 1e-5)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "winograd" or not unavailable()])
def test_a_relu_in_place_may_follow(way: str) -> None:
    layer = nn.Conv2d(16, 16, 3, padding=1)
    layer.__class__ = Convolution
    layer.plan = Plan(way, way, way)  # type: ignore[assignment]
    network = nn.Sequential(layer, nn.ReLU(inplace=True))
    network(torch.randn(2, 16, 4, 4)).sum().backward()
    assert layer.weight.grad is not None


def test_half_precision_stays_half() -> None:
    layer = nn.Conv2d(16, 16, 3, padding=1)
    x = torch.randn(2, 16, 4, 4)
    for way in convolution.ways(layer.weight, convolution.geometry(layer), 16):
        expected = layer(x)
        layer.__class__ = Convolution
        layer.plan = Plan(way, way, way)  # type: ignore[assignment]
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        layer.__class__ = nn.Conv2d
        assert y.dtype == torch.bfloat16
        assert (y.float() - expected).norm() < 0.02 * expected.norm()
        layer.weight.grad = None
        y.float().sum().backward()
        assert layer.weight.grad is not None
        assert layer.weight.grad.dtype == torch.float32


def test_evaluation_is_the_librarys() -> None:
    layer = nn.Conv2d(16, 16, 3, padding=1).eval()
    x = torch.randn(1, 16, 8, 8)
    expected = layer(x)
    layer.__class__ = Convolution
    layer.plan = Plan("product", "product", "product")  # type: ignore[assignment]
    assert torch.equal(layer(x), expected)


def test_the_fastest_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {("torch", "forward"), ("torch", "to_weight"), ("product", "to_input"), ("winograd", "to_weight")}
    clock = [0.0]

    def timed(way: str, name: str) -> object:
        def call(*_: object) -> Tensor:
            clock[0] += 3.0 if (way, name) in slow else 1.0
            return torch.empty(0)

        return call

    class Fake:
        def __init__(self, way: str) -> None:
            for name in PASSES:
                setattr(self, name, timed(way, name))

    monkeypatch.setattr(convolution, "WAYS", {way: Fake(way) for way in WAYS})
    monkeypatch.setattr(convolution, "_seconds", _cost(clock))
    monkeypatch.setattr(convolution, "ways", lambda *_: ["torch", "product"])
    layer = nn.Conv2d(16, 16, 3, padding=1)
    found = convolution.measured(layer, torch.Size((2, 16, 8, 8)), torch.float32, first=False)
    assert found == Plan("product", "torch", "product")
    found = convolution.measured(layer, torch.Size((2, 16, 8, 8)), torch.float32, first=True)
    assert found == Plan("product", "torch", "product")


def _cost(clock: list[float]) -> object:
    def seconds(call: object) -> float:
        before = clock[0]
        call()  # type: ignore[operator]
        return clock[0] - before

    return seconds


def test_only_plain_convolutions_have_a_choice() -> None:
    assert convolution.plannable(nn.Conv2d(3, 8, 3, padding=1))
    for other in (
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(3, 8, (3, 1)),
        nn.Conv2d(3, 8, 3, dilation=2),
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
        nn.Linear(3, 8),
    ):
        assert not convolution.plannable(other)


def test_plans_are_kept_as_plain_words() -> None:
    some = {"2x16x8x8-16k3s1p1-float32-2": Plan("winograd", "torch", "product")}
    kept = convolution.to_json(some)
    assert kept == {
        "2x16x8x8-16k3s1p1-float32-2": {"forward": "winograd", "to_input": "torch", "to_weight": "product"}
    }
    assert convolution.from_json(kept) == some
