"""The operator is torch's, in value and gradient; its matrix, its flip and its unshared form are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.errors import DoesNotFit, ModelError
from striate.ops import (
    convolve,
    cross_correlate,
    full_convolve,
    locally_connected,
    toeplitz,
    total_padding,
    unshare,
)

TORCHS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


@dataclass
class Case:
    """A convolution drawn by hypothesis: shapes and settings."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def space(self) -> int:
        return len(self.x) - 2


def numbers(space: int, least: int, most: int) -> st.SearchStrategy[Any]:
    """One number for all axes, or a tuple of one for each."""
    one = st.integers(least, most)
    return one | st.tuples(*[one] * space)


@st.composite
def cases(draw: st.DrawFn, *, plain: bool = False) -> Case:
    """Draw a convolution; a plain one has no dilation and no groups. Many do not fit, some not even once."""
    space = draw(st.sampled_from([1, 2]))
    groups = 1 if plain else draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes = draw(st.tuples(*[st.integers(1, 9)] * space))
    taps = draw(st.tuples(*[st.integers(1, 4)] * space))
    chosen: dict[str, Any] = {
        "stride": draw(numbers(space, 1, 4)),
        "padding": draw(numbers(space, 0, 3) | st.just("valid")),
    }
    if not plain:
        chosen |= {"dilation": draw(numbers(space, 1, 3)), "groups": groups}
    return Case(
        x=(draw(st.integers(1, 2)), channels * groups, *sizes),
        weight=(filters * groups, channels, *taps),
        settings=chosen,
        seed=draw(st.integers(0, 2**16)),
    )


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def values(case: Case, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(case.seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]


# Against torch


@settings(max_examples=150)
@given(case=cases(), bias=st.booleans())
def test_cross_correlation_is_torchs(agree: Callable[..., bool], case: Case, bias: bool) -> None:
    shapes = [case.x, case.weight, (case.weight[0],)] if bias else [case.x, case.weight]
    agree(
        lambda *inputs: cross_correlate(*inputs, **case.settings),
        lambda *inputs: TORCHS[case.space](*inputs, **case.settings),
        *shapes,
        seed=case.seed,
    )


@settings(max_examples=100)
@given(case=cases())
def test_convolution_is_torchs_with_the_kernel_turned(agree: Callable[..., bool], case: Case) -> None:
    agree(
        lambda x, weight: convolve(x, weight, **case.settings),
        lambda x, weight: TORCHS[case.space](x, weight.flip(*range(2, weight.dim())), **case.settings),
        case.x,
        case.weight,
        seed=case.seed,
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch on even kernels
@settings(max_examples=100)
@given(case=cases())
def test_same_padding_is_torchs_for_odd_and_even_kernels(agree: Callable[..., bool], case: Case) -> None:
    chosen = case.settings | {"stride": 1, "padding": "same"}
    compared = agree(
        lambda x, weight: cross_correlate(x, weight, **chosen),
        lambda x, weight: TORCHS[case.space](x, weight, **chosen),
        case.x,
        case.weight,
        seed=case.seed,
    )
    assert compared  # it always fits


@settings(max_examples=100)
@given(case=cases(), sides=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_padding_before_and_after_may_differ(
    agree: Callable[..., bool], case: Case, sides: list[int]
) -> None:
    before, after, left, right = sides
    pairs = ((before, after),) if case.space == 1 else ((before, after), (left, right))
    around = (
        (before, after) if case.space == 1 else (left, right, before, after)
    )  # torch's order: last axis first
    agree(
        lambda x, weight: cross_correlate(x, weight, **case.settings | {"padding": pairs}),
        lambda x, weight: TORCHS[case.space](F.pad(x, around), weight, **case.settings | {"padding": 0}),
        case.x,
        case.weight,
        seed=case.seed,
    )


def test_other_floating_types_keep_theirs() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x, weight, bias = (torch.ones(shape, dtype=dtype) for shape in ((1, 2, 5, 5), (3, 2, 3, 3), (3,)))
        y = cross_correlate(x, weight, bias)
        assert y.dtype == dtype
        assert torch.equal(y, torch.full((1, 3, 3, 3), 19.0, dtype=dtype))


# Padding counted per side, and as a total


def test_a_total_is_half_of_it_on_each_side_and_never_read_as_per_side() -> None:
    x, weight = torch.randn(1, 1, 6, 6), torch.randn(1, 1, 3, 3)
    assert torch.equal(
        cross_correlate(x, weight, padding=total_padding(2)), cross_correlate(x, weight, padding=1)
    )
    assert cross_correlate(x, weight, padding=total_padding(2)).shape == (1, 1, 6, 6)  # n - k + p + 1
    assert cross_correlate(x, weight, padding=2).shape == (1, 1, 8, 8)
    assert total_padding(3) == ((1, 2),)
    assert cross_correlate(x, weight, padding=total_padding(3)).shape == (1, 1, 7, 7)
    assert cross_correlate(x, weight, padding=total_padding(0, 4)).shape == (1, 1, 4, 8)
    signal = torch.randn(1, 1, 6)
    assert cross_correlate(signal, weight[:, :, 0], padding=total_padding(2)).shape == (1, 1, 6)


@given(n=st.integers(1, 20), k=st.integers(1, 7), p=st.integers(0, 9))
def test_a_total_gives_the_size_of_its_formula(n: int, k: int, p: int) -> None:
    if n - k + p + 1 >= 1:
        y = cross_correlate(torch.zeros(1, 1, n), torch.zeros(1, 1, k), padding=total_padding(p))
        assert y.shape[2] == n - k + p + 1


# True convolution


def test_true_convolution_flips_and_cross_correlation_does_not() -> None:
    one = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    one[0, 0, 2, 2] = 1
    weight = torch.arange(1.0, 10, dtype=torch.float64).view(1, 1, 3, 3)
    # The picture of a single bright pixel is the kernel itself, or the kernel upside down.
    assert torch.equal(convolve(one, weight), weight)
    assert torch.equal(cross_correlate(one, weight), weight.flip(2, 3))


signals = st.lists(st.integers(-9, 9), min_size=1, max_size=12).map(
    lambda one: torch.tensor(one, dtype=torch.float64)
)


@given(x=signals, y=signals, z=signals)
def test_full_convolution_commutes_associates_and_is_the_product_of_the_spectra(
    x: Tensor, y: Tensor, z: Tensor
) -> None:
    both = full_convolve(x, y)
    assert both.shape == (len(x) + len(y) - 1,)
    assert torch.equal(both, full_convolve(y, x))
    assert torch.equal(full_convolve(both, z), full_convolve(x, full_convolve(y, z)))
    by_spectrum = torch.fft.irfft(torch.fft.rfft(x, len(both)) * torch.fft.rfft(y, len(both)), len(both))
    torch.testing.assert_close(both, by_spectrum, rtol=0, atol=1e-10)


@given(x=signals, y=signals)
def test_full_convolution_is_numpys_and_its_formula(x: Tensor, y: Tensor) -> None:
    import numpy as np

    both = full_convolve(x, y)
    np.testing.assert_array_equal(both.numpy(), np.convolve(x.numpy(), y.numpy()))
    for t in range(len(both)):
        assert both[t] == sum(y[a] * x[t - a] for a in range(len(y)) if 0 <= t - a < len(x))


# The matrix


@settings(max_examples=100)
@given(case=cases())
def test_the_matrix_is_the_operator_and_its_transpose_the_input_gradient(case: Case) -> None:
    x, weight = values(case, (1, *case.x[1:]), case.weight)
    size = case.x[2:]
    try:
        y = TORCHS[case.space](x.requires_grad_(), weight, **case.settings)
    except RuntimeError:
        with pytest.raises(DoesNotFit):
            toeplitz(weight, size, **case.settings)
        return
    T = toeplitz(weight, size, **case.settings)
    assert T.shape == (y.numel(), x.numel())
    close(T @ x.flatten(), y.flatten())
    g = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, x, g)
    close(T.T @ g.flatten(), gradient.flatten())


def test_the_matrix_of_a_2x2_kernel_on_3x3_pixels() -> None:
    T = toeplitz(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (3, 3))
    assert T.int().tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]


def test_the_matrix_passes_gradients_to_the_weights() -> None:
    weight = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 1, 7, dtype=torch.float64)
    (by_matrix,) = torch.autograd.grad((toeplitz(weight, 7) @ x.flatten()).square().sum(), weight)
    (by_torch,) = torch.autograd.grad(F.conv1d(x, weight).square().sum(), weight)
    close(by_matrix, by_torch)


# Unshared weights


@settings(max_examples=100)
@given(case=cases(plain=True))
def test_a_locally_connected_layer_with_one_weight_everywhere_is_the_convolution(case: Case) -> None:
    x, weight = values(case, case.x, case.weight)
    try:
        expected = TORCHS[case.space](x, weight, **case.settings)
    except RuntimeError:
        with pytest.raises(DoesNotFit):
            unshare(weight, case.x[2:], **case.settings)
        return
    own = unshare(weight, case.x[2:], **case.settings)
    assert own.shape == (*case.weight[:2], *expected.shape[2:], *case.weight[2:])
    close(locally_connected(x, own, **case.settings), expected)


@settings(max_examples=25)
@given(case=cases(plain=True))
def test_locally_connected_is_at_every_place_the_convolution_with_the_weights_of_that_place(
    agree: Callable[..., bool], case: Case
) -> None:
    try:
        places = TORCHS[case.space](torch.zeros(case.x), torch.zeros(case.weight), **case.settings).shape[2:]
    except RuntimeError:
        return
    if math.prod(places) > 30:  # a convolution each
        return
    own, bias = (*case.weight[:2], *places, *case.weight[2:]), (case.weight[0], *places)

    def place_by_place(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Convolve everywhere with the weights of one place, and keep that place."""
        shared = weight.flatten(2, 1 + case.space)  # (O, C, places, kh, kw)
        there = [
            TORCHS[case.space](x, shared[:, :, place], **case.settings).flatten(2)[:, :, place]
            for place in range(math.prod(places))
        ]
        return torch.stack(there, dim=2).view(len(x), *bias.shape) + bias

    assert agree(
        lambda x, weight, bias: locally_connected(x, weight, bias, **case.settings),
        place_by_place,
        case.x,
        own,
        bias,
        seed=case.seed,
    )


def test_unshared_copies_are_apart() -> None:
    own = unshare(torch.ones(1, 1, 2), 4)
    own[0, 0, 0] = 5
    assert own[0, 0].tolist() == [[5, 5], [1, 1], [1, 1]]


# What it refuses


@pytest.mark.parametrize(
    ("x", "weight", "chosen", "message", "hint"),
    [
        ((5, 5), (1, 1, 3, 3), {}, r"Received: x \(5, 5\)", r"x\[None, None\]"),
        ((1, 1, 5, 5), (3, 3), {}, r"weight is not .* Received: weight \(3, 3\)", r"weight\[None, None\]"),
        ((1, 1, 5, 5), (1, 1, 3), {}, r"number of axes. Received: x \(1, 1, 5, 5\), weight", "signals"),
        ((1, 3, 5, 5), (1, 2, 3, 3), {}, "x has 3 channels and weight reads 2. Received", "second number"),
        (
            (1, 3, 5, 5),
            (2, 2, 3, 3),
            {"groups": 2},
            "x has 3 channels and weight reads 2 x 2",
            "second number",
        ),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}, "3 filters are not cut into 2 equal groups", "divides"),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 0}, "0 equal groups", "divides"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"stride": 0}, "stride is .* >= 1.* Received: stride=0", "2 axes"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"stride": (1, 2, 3)}, r"stride=\(1, 2, 3\)", "a tuple of 2"),
        ((1, 1, 5), (1, 1, 3), {"stride": (1, 2)}, r"stride=\(1, 2\)", "one number"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"dilation": True}, "dilation=True", "2 axes"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"padding": -1}, "2 axes. Received: padding=-1", "zeros per side"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"padding": "full"}, "padding='full'", "'valid', 'same'"),
        ((1, 1, 5), (1, 1, 3), {"padding": (1, 2)}, r"1 axis. Received: padding=\(1, 2\)", "before, after"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"padding": ((1, 2, 3),)}, r"padding=\(\(1, 2, 3\),\)", "before, after"),
        ((1, 1, 5, 5), (1, 1, 3, 3), {"padding": "same", "stride": 2}, "'same' keeps .* stride=2", "zeros"),
    ],
)
def test_refuses_what_does_not_belong_together(
    x: tuple[int, ...], weight: tuple[int, ...], chosen: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ModelError, match=message) as refused:
        cross_correlate(torch.zeros(x), torch.zeros(weight), **chosen)
    assert refused.match(hint)
    assert "\n" not in refused.value.message


def test_refuses_what_is_no_floating_tensor() -> None:
    import numpy as np

    x, weight = torch.zeros(1, 1, 5), torch.zeros(1, 1, 3)
    with pytest.raises(ModelError, match=r"x is not a tensor\. Received: list"):
        cross_correlate([[[1.0]]], weight)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"weight is not a tensor\. Received: ndarray"):
        convolve(x, np.zeros((1, 1, 3)))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"x holds no floating numbers\. Received: torch\.int64"):
        cross_correlate(x.long(), weight)
    with pytest.raises(ModelError, match=r"Received: x torch\.float32, weight torch\.float64") as refused:
        cross_correlate(x, weight.double())
    assert "dtype=" in refused.value.hint


def test_refuses_a_bias_of_another_shape() -> None:
    with pytest.raises(ModelError, match=r"Received: bias \(2,\)") as refused:
        cross_correlate(torch.zeros(1, 1, 5), torch.zeros(3, 1, 2), torch.zeros(2))
    assert "(3,)" in refused.value.hint
    with pytest.raises(ModelError, match=r"each of the 8 .* Received: bias \(2,\)") as refused:
        locally_connected(torch.zeros(1, 1, 5), torch.zeros(2, 1, 4, 2), torch.zeros(2))
    assert "(2, 4)" in refused.value.hint


def test_refuses_a_kernel_that_fits_nowhere() -> None:
    with pytest.raises(DoesNotFit, match="2x2 input, 3x3 kernel") as refused:
        cross_correlate(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3, 3))
    assert refused.match("not even one window fits; padding 1 gives 2x2")


def test_locally_connected_says_which_shape_its_weight_would_have() -> None:
    with pytest.raises(
        ModelError, match=r"\(O, C, H, W, kh, kw\). Received: weight \(1, 1, 3, 3\)"
    ) as refused:
        locally_connected(torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 3, 3))
    assert "unshare" in refused.value.hint
    with pytest.raises(ModelError, match="1 channels and 3x3 places") as refused:
        locally_connected(torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 2, 2, 3, 3))
    assert "(1, 1, 3, 3, 3, 3)" in refused.value.hint


def test_full_convolution_takes_plain_signals_only() -> None:
    with pytest.raises(ModelError, match=r"y is not one signal \(L\). Received: \(1, 3\)"):
        full_convolve(torch.zeros(3), torch.zeros(1, 3))
    with pytest.raises(ModelError, match=r"Received: \(0,\)"):
        full_convolve(torch.zeros(0), torch.zeros(3))


def test_a_total_is_a_count() -> None:
    with pytest.raises(ModelError, match=r"total is a whole number >= 0.* Received: total=\(-1,\)"):
        total_padding(-1)
    with pytest.raises(ModelError, match=r"total=\(\)"):
        total_padding()
