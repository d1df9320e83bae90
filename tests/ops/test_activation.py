"""Activations are torch's in value and gradient, and stay exact where exp would overflow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.ops import relu, sigmoid, softmax, tanh

PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu": (relu, torch.relu),
    "sigmoid": (sigmoid, torch.sigmoid),
    "tanh": (tanh, torch.tanh),
    "softmax": (partial(softmax, dim=0), partial(torch.softmax, dim=0)),
}
VALUES = st.floats(-800, 800) | st.floats(-1, 1) | st.sampled_from([0.0, -0.0, 1e-300, -1e-20, 1e5, -1e5])


def value_and_slope(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = function(x)
    # A weighted sum, because the shares of a softmax sum to 1 whatever the scores are.
    return y.detach(), torch.autograd.grad(y @ torch.arange(1.0, len(x) + 1, dtype=x.dtype), x)[0]


@pytest.mark.parametrize("name", PAIRS)
@given(values=st.lists(VALUES, min_size=1, max_size=8))
def test_values_and_gradients_are_torchs(name: str, values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    ours, its = (value_and_slope(function, x) for function in PAIRS[name])
    # Relative, so that the small end counts too: sigmoid(-600) is 1e-261 and not 0.
    torch.testing.assert_close(ours[0], its[0], rtol=1e-12, atol=1e-300)
    torch.testing.assert_close(ours[1], its[1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_numbers_overflow_in_no_type(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor([-3e4, -100.0, 0.0, 100.0, 3e4], dtype=dtype)
    value, slope = value_and_slope(PAIRS[name][0], x)
    assert value.dtype == dtype
    assert value.isfinite().all()
    assert slope.isfinite().all()


def test_infinities_and_nan() -> None:
    x = torch.tensor([-torch.inf, torch.inf, torch.nan], dtype=torch.float64)
    for name in ("relu", "sigmoid", "tanh"):
        ours, its = (function(x) for function in PAIRS[name])
        torch.testing.assert_close(ours, its, rtol=0, atol=0, equal_nan=True)


def test_a_relu_that_is_never_on_learns_nothing() -> None:
    x = torch.tensor([-3.0, -1.0, 0.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(relu(x).sum(), x)
    assert gradient.tolist() == [0, 0, 0]


def test_softmax_sums_to_one_along_its_axis_whatever_is_added_to_the_scores() -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    for dim in (0, 1, -1):
        y = softmax(x, dim)
        torch.testing.assert_close(y.sum(dim), torch.ones_like(y.sum(dim)))
        torch.testing.assert_close(softmax(x + 1e3, dim), y, rtol=1e-9, atol=0)
