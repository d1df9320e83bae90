"""Pools are torch's in value and gradient, where they round down, round up and hang over the edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import DoesNotFit, ModelError
from striate.ops import Axis, average_pool, global_average_pool, global_max_pool, l2_pool, max_pool

MAX = {1: F.max_pool1d, 2: F.max_pool2d}
AVERAGE: dict[int, Callable[..., torch.Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d}
L2: dict[int, Callable[..., torch.Tensor]] = {1: F.lp_pool1d, 2: F.lp_pool2d}
GLOBAL = {
    1: (F.adaptive_avg_pool1d, F.adaptive_max_pool1d),
    2: (F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
}


@st.composite
def pools(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any], int]:
    """Draw a shape, the settings of a pool with one number for each axis, and a seed."""
    space = draw(st.sampled_from([1, 2]))
    kernel = draw(st.tuples(*[st.integers(1, 4)] * space))
    chosen = {
        "kernel": kernel,
        "stride": draw(st.none() | st.tuples(*[st.integers(1, 4)] * space)),
        "padding": tuple(draw(st.integers(0, taps // 2)) for taps in kernel),
        "ceil": draw(st.booleans()),
    }
    sizes = draw(st.tuples(*[st.integers(1, 9)] * space))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes), chosen, draw(st.integers(0, 2**16))


def as_torch(chosen: dict[str, Any]) -> dict[str, Any]:
    names = {"kernel": "kernel_size", "ceil": "ceil_mode"}
    return {names.get(name, name): value for name, value in chosen.items()}


def lies_in_the_padding(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> bool:
    """Whether some window has all its taps outside of the n pixels, which dilation makes possible."""
    places = Axis(n, kernel, stride, (padding, padding), dilation, ceil).positions
    firsts = [place * stride - padding for place in range(places)]
    return any(not any(0 <= first + dilation * tap < n for tap in range(kernel)) for first in firsts)


@settings(max_examples=120)
@given(pool=pools(), data=st.data())
def test_max_pool_is_torchs(agree: Callable[..., bool], pool: Any, data: st.DataObject) -> None:
    shape, chosen, seed = pool
    space = len(shape) - 2
    dilation = data.draw(st.tuples(*[st.integers(1, 3)] * space))
    stride = chosen["stride"] or chosen["kernel"]
    axes = zip(shape[2:], chosen["kernel"], stride, chosen["padding"], dilation, strict=True)
    if any(lies_in_the_padding(*axis, chosen["ceil"]) for axis in axes):
        return  # torch 2.13's own gradient writes outside of its memory there
    agree(
        lambda x: max_pool(x, **chosen, dilation=dilation),
        lambda x: MAX[space](x, **as_torch(chosen), dilation=dilation),
        shape,
        seed=seed,
    )


def test_the_maximum_of_a_window_that_sees_nothing_is_minus_infinity() -> None:
    assert max_pool(torch.ones(1, 1, 2), 2, stride=1, padding=1, dilation=3).tolist() == [[[-torch.inf]]]


@given(
    values=st.lists(st.integers(-1, 1), min_size=12, max_size=12),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
)
def test_of_equal_values_the_first_gets_the_gradient(values: list[int], stride: int, padding: int) -> None:
    x = torch.tensor(values, dtype=torch.float64).view(1, 1, 3, 4)
    x.requires_grad_()
    (ours,) = torch.autograd.grad(max_pool(x, 2, stride=stride, padding=padding).sum(), x)
    (its,) = torch.autograd.grad(F.max_pool2d(x, 2, stride, padding).sum(), x)
    assert torch.equal(ours, its)


def test_a_window_with_a_nan_reports_it() -> None:
    x = torch.tensor([[[1.0, torch.nan, 2.0, 3.0]]])
    assert max_pool(x, 2).isnan().tolist() == [[[True, False]]]


@settings(max_examples=120)
@given(pool=pools(), count_include_pad=st.booleans())
def test_average_pool_is_torchs(agree: Callable[..., bool], pool: Any, count_include_pad: bool) -> None:
    shape, chosen, seed = pool
    chosen |= {"count_include_pad": count_include_pad}
    agree(
        lambda x: average_pool(x, **chosen),
        lambda x: AVERAGE[len(shape) - 2](x, **as_torch(chosen)),
        shape,
        seed=seed,
    )


@settings(max_examples=60)
@given(pool=pools())
def test_l2_pool_is_torchs(agree: Callable[..., bool], pool: Any) -> None:
    shape, chosen, seed = pool
    kernel = (
        chosen["kernel"] if len(shape) == 4 else chosen["kernel"][0]
    )  # torch's takes no tuple for signals
    agree(
        lambda x: l2_pool(x, kernel, stride=chosen["stride"]),
        lambda x: L2[len(shape) - 2](x, 2.0, kernel, chosen["stride"]),
        shape,
        seed=seed,
    )


def test_the_l2_pool_of_zeros_has_gradient_zero_and_not_nan() -> None:
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(l2_pool(x, 2).sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))


@settings(max_examples=30)
@given(pool=pools())
def test_global_pools_are_torchs_without_the_empty_axes(agree: Callable[..., bool], pool: Any) -> None:
    shape, _, seed = pool
    average, maximum = GLOBAL[len(shape) - 2]
    assert agree(global_average_pool, lambda x: average(x, 1).flatten(1), shape, seed=seed)
    assert agree(global_max_pool, lambda x: maximum(x, 1).flatten(1), shape, seed=seed)


def test_one_number_is_for_both_axes_and_the_stride_is_the_kernel() -> None:
    x = torch.randn(1, 2, 7, 6)
    for pool in (max_pool, average_pool, l2_pool):
        assert torch.equal(pool(x, 2), pool(x, (2, 2), stride=(2, 2)))
    assert torch.equal(max_pool(x, 3, stride=2, padding=1), F.max_pool2d(x, 3, 2, 1))


def test_padding_before_and_after_may_differ() -> None:
    x = torch.tensor([[[-3.0, -1.0, -2.0]]])
    assert max_pool(x, 2, padding=((1, 0),)).tolist() == [[[-3.0, -1.0]]]  # and never a zero of the padding
    assert average_pool(x, 2, padding=((0, 1),)).tolist() == [[[-2.0, -1.0]]]
    assert average_pool(x, 2, padding=((0, 1),), count_include_pad=False).tolist() == [[[-2.0, -2.0]]]


def test_each_map_is_pooled_by_itself() -> None:
    x = torch.randn(2, 3, 6, 6)
    for pool in (max_pool, average_pool, l2_pool):
        together = pool(x, 3, stride=2)
        for c in range(3):
            assert torch.equal(together[:, c : c + 1], pool(x[:, c : c + 1], 3, stride=2))


def test_refuses_what_cannot_be_pooled() -> None:
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ModelError, match=r"Received: padding=2, kernel=3") as refused:
        max_pool(x, 3, padding=2)
    assert "padding alone" in refused.value.hint
    with pytest.raises(ModelError, match=r"kernel is a whole number >= 1.* Received: kernel=\(2, 2, 2\)"):
        average_pool(x, (2, 2, 2))
    with pytest.raises(ModelError, match=r"Received: x \(4, 4\)"):
        l2_pool(x[0, 0], 2)
    with pytest.raises(ModelError, match=r"Received: x \(4, 4\)"):
        global_max_pool(x[0, 0])
    with pytest.raises(ModelError, match="x is not a tensor"):
        global_average_pool([1.0])  # type: ignore[arg-type]
    with pytest.raises(DoesNotFit, match="4x4 input, 5x5 kernel"):
        max_pool(x, 5)
