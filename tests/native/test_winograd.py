"""Winograd's convolution against the definition in float64: every form, every pass, any size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.grad import conv2d_weight

from striate.native import winograd

BOUND = 1e-5  # of the norm; products of 24 bits, grown by the transforms


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 5),
    ins=st.sampled_from([16, 32, 48, 96]),
    outs=st.sampled_from([16, 32, 48, 80]),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    form=st.sampled_from([(3, 4), (3, 2), (5, 2)]),
    padding=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_every_pass_is_the_definition(
    n: int, ins: int, outs: int, height: int, width: int, form: tuple[int, int], padding: int, seed: int
) -> None:
    kernel, tile = form
    padding = min(padding, kernel - 1)
    if min(height, width) + 2 * padding < kernel:
        return
    torch.manual_seed(seed)
    x, weight = numbers(n, ins, height, width), numbers(outs, ins, kernel, kernel)
    exact_x, exact_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    exact = F.conv2d(exact_x, exact_weight, padding=padding)
    gradient = numbers(*exact.shape)
    exact.backward(gradient.double())  # type: ignore[no-untyped-call]
    assert exact_x.grad is not None
    assert exact_weight.grad is not None
    poison()
    assert error(winograd.forward(x, weight, padding, tile), exact.detach()) < BOUND
    poison()
    assert error(winograd.to_input(gradient, weight, padding, tile), exact_x.grad) < BOUND
    poison()
    assert error(winograd.to_weight(x, gradient, kernel, padding, tile), exact_weight.grad) < BOUND


def poison() -> None:
    """Leave no right answer behind in memory that a kernel might forget to write."""
    for floats in (256, 4096, 65536):
        torch.full((floats,), float("nan"))


def test_a_known_answer() -> None:
    # A picture of ones under a kernel of ones counts the pixels that the window covers.
    x, weight = torch.ones(1, 16, 5, 5), torch.ones(16, 16, 3, 3)
    expected = torch.full((5, 5), 9.0)
    expected[[0, -1]] = 6
    expected[:, [0, -1]] = 6
    expected[[0, 0, -1, -1], [0, -1, 0, -1]] = 4
    for tile in (2, 4):
        found = winograd.forward(x, weight, 1, tile)
        torch.testing.assert_close(found, (16 * expected).expand(1, 16, 5, 5), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_numbers_every_time(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x, gradient = numbers(9, 32, 12, 12), numbers(9, 48, 12, 12)
        first = winograd.to_weight(x, gradient, 3, 1)
        assert all(torch.equal(first, winograd.to_weight(x, gradient, 3, 1)) for _ in range(5))
    finally:
        torch.set_num_threads(before)


def test_no_number_stays_no_number() -> None:
    x = numbers(1, 16, 8, 8)
    x[0, 3, 2, 2] = float("nan")
    assert winograd.forward(x, numbers(16, 16, 3, 3), 1).isnan().any()


def test_what_there_is_no_form_for_is_refused() -> None:
    assert winograd.fits(torch.empty(32, 16, 3, 3), 1, 1)
    for shape, stride, padding in (
        ((32, 16, 3, 3), 2, 1),
        ((32, 16, 7, 7), 1, 3),
        ((32, 16, 3, 5), 1, 1),
        ((32, 3, 3, 3), 1, 1),
        ((10, 16, 3, 3), 1, 1),
        ((32, 16, 3, 3), 1, 3),
    ):
        assert not winograd.fits(torch.empty(shape), stride, padding)
    with pytest.raises(ValueError, match="no Winograd form"):
        winograd.forward(numbers(1, 16, 8, 8), numbers(16, 16, 3, 3), 1, tile=3)
    with pytest.raises(TypeError, match="float32"):
        winograd.forward(numbers(1, 16, 8, 8).double(), numbers(16, 16, 3, 3), 1)


def test_no_pictures_give_none() -> None:
    found = winograd.forward(torch.zeros(0, 16, 8, 8), torch.zeros(32, 16, 3, 3), padding=1)
    assert found.shape == (0, 32, 8, 8)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_share_a_block_miss_nothing(threads: int) -> None:
    """Weights of this size are read once for all; neither tiles nor positions divide by the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x, weight, g = numbers(3, 208, 9, 6), numbers(176, 208, 3, 3), numbers(3, 176, 7, 4)
        found = winograd.forward(x, weight, 0), winograd.to_weight(x, g, 3, 0)
    finally:
        torch.set_num_threads(before)
    exact = F.conv2d(x.double(), weight.double())
    assert float((found[0].double() - exact).norm() / exact.norm()) < 2e-5
    exact = conv2d_weight(x.double(), list(weight.shape), g.double())  # type: ignore[no-untyped-call]
    assert float((found[1].double() - exact).norm() / exact.norm()) < 2e-5
