"""Each named kernel does what its name says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.errors import ModelError
from striate.ops import convolve, cross_correlate, full_convolve, kernels


def picture(height: int = 7, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, height, width, dtype=torch.float64, generator=generator)


def look(x: Tensor, kernel: Tensor, padding: int | str = 0) -> Tensor:
    return cross_correlate(x, kernel[None, None], padding=padding)


def plane(a: float, b: float, c: float) -> Tensor:
    """Brightness a i + b j + c at row i and column j."""
    i, j = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    return (a * i + b * j + c).double()[None, None]


slopes = st.integers(-9, 9)


def test_identity_changes_nothing() -> None:
    x = picture()
    for size in (1, 3, 5):
        assert torch.equal(look(x, kernels.identity(size), "same"), x)


@given(dy=st.integers(-2, 2), dx=st.integers(-2, 2))
def test_shift_moves_the_picture_down_and_right(dy: int, dx: int) -> None:
    x = picture()
    moved = look(x, kernels.shift(dy, dx, 5), "same")
    expected = torch.zeros_like(x)
    for i in range(7):
        for j in range(8):
            if 0 <= i - dy < 7 and 0 <= j - dx < 8:
                expected[0, 0, i, j] = x[0, 0, i - dy, j - dx]
    assert torch.equal(moved, expected)
    # A true convolution with the same kernel moves it the other way.
    other_way = convolve(x, kernels.shift(dy, dx, 5)[None, None], padding="same")
    assert torch.equal(other_way, look(x, kernels.shift(-dy, -dx, 5), "same"))


def test_to_move_right_by_one_the_one_stands_left_of_the_middle() -> None:
    assert kernels.shift(0, 1).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "blur", [kernels.box(), kernels.box(5), kernels.gaussian_5x5(), kernels.gaussian(0.8)]
)
def test_a_blur_keeps_a_flat_picture_but_for_the_border(blur: Tensor) -> None:
    torch.testing.assert_close(blur.sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-14, atol=0)
    ones = torch.ones(1, 1, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(look(ones, blur), torch.ones_like(look(ones, blur)), rtol=1e-14, atol=0)
    assert look(ones, blur, "same")[0, 0, 0, 0] < 0.9
    for alike in (blur.T, blur.flip(0), blur.flip(1)):  # so that convolution and cross-correlation are one
        assert torch.equal(blur, alike)


def test_with_zero_padding_a_box_blur_darkens_edges_and_corners() -> None:
    blurred = look(torch.ones(1, 1, 5, 5, dtype=torch.float64), kernels.box(), 1)[0, 0]
    torch.testing.assert_close(blurred[0, 0].item(), 4 / 9)
    torch.testing.assert_close(blurred[0, 2].item(), 6 / 9)
    torch.testing.assert_close(blurred[2, 2].item(), 1.0)


def test_the_integers_of_the_gaussian_sum_to_273() -> None:
    integers = 273 * kernels.gaussian_5x5()
    torch.testing.assert_close(integers, integers.round(), rtol=1e-14, atol=0)
    assert integers.round().sum() == 273
    assert integers.round()[4].tolist() == integers.round()[0].tolist() == [1, 4, 7, 4, 1]


def test_a_gaussian_has_the_width_that_was_asked_for() -> None:
    for sigma in (0.7, 1.0, 2.5):
        kernel = kernels.gaussian(sigma)
        r = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
        assert math.isclose(float((kernel.sum(0) * r**2).sum()) ** 0.5, sigma, rel_tol=0.04)
        middle = len(kernel) // 2
        neighbour = kernel[middle, middle + 1] / kernel[middle, middle]
        assert math.isclose(float(neighbour), math.exp(-1 / (2 * sigma**2)), rel_tol=1e-12)
    assert kernels.gaussian(1.0, 3).shape == (3, 3)


def test_sharpening_is_twice_the_picture_minus_its_blur() -> None:
    x = picture()
    for size in (3, 5):
        twice = 2 * look(x, kernels.identity(size)) - look(x, kernels.box(size))
        torch.testing.assert_close(look(x, kernels.sharpen(size)), twice, rtol=0, atol=1e-14)
    flat = torch.full((1, 1, 5, 5), 7.0, dtype=torch.float64)
    torch.testing.assert_close(look(flat, kernels.sharpen()), flat[..., 1:-1, 1:-1], rtol=1e-14, atol=0)


@given(a=slopes, b=slopes, c=slopes)
def test_the_laplacian_of_a_plane_is_zero(a: int, b: int, c: int) -> None:
    assert not look(plane(a, b, c), kernels.laplacian()).any()


def test_the_laplacian_of_a_paraboloid_is_the_sum_of_its_second_derivatives() -> None:
    bent = plane(1, 0, 0) ** 2 + 3 * plane(0, 1, 0) ** 2
    assert (look(bent, kernels.laplacian()) == 2 + 6).all()


@given(a=slopes, b=slopes, c=slopes)
def test_sobel_gives_eight_times_the_slopes_of_a_plane(a: int, b: int, c: int) -> None:
    right, down = kernels.sobel()
    x = plane(a, b, c)
    assert (look(x, right) == 8 * b).all()
    assert (look(x, down) == 8 * a).all()
    steep = kernels.sobel_magnitude(x)
    torch.testing.assert_close(steep, torch.full_like(steep, 8 * math.hypot(a, b)), rtol=1e-14, atol=0)


def test_sobel_only_changes_sign_under_true_convolution() -> None:
    x = picture()
    for kernel in kernels.sobel()[:, None, None]:
        assert torch.equal(convolve(x, kernel), -cross_correlate(x, kernel))


def test_the_sobel_magnitude_has_a_gradient_everywhere() -> None:
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(kernels.sobel_magnitude(x).sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))
    x = picture().requires_grad_()
    assert torch.autograd.gradcheck(kernels.sobel_magnitude, x)
    with pytest.raises(ModelError, match="x has 3 channels"):
        kernels.sobel_magnitude(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ModelError, match="x is not a tensor"):
        kernels.sobel_magnitude([[1.0]])  # type: ignore[arg-type]


def test_edge_kernels_see_their_own_edges_only() -> None:
    upright = torch.tensor([[10.0, 10, 10, 0, 0, 0]] * 6, dtype=torch.float64)[None, None]
    assert look(upright, kernels.vertical_edge())[0, 0].tolist() == [[0, 30, 30, 0]] * 4
    assert not look(upright, kernels.horizontal_edge()).any()
    lying = upright.transpose(2, 3)
    assert torch.equal(
        look(lying, kernels.horizontal_edge()),
        look(upright, kernels.vertical_edge()).transpose(2, 3),
    )


# Signals


def test_the_low_pass_keeps_the_ramp_and_the_high_pass_the_wave() -> None:
    n = torch.arange(120, dtype=torch.float64)
    signal = 0.02 * n + torch.sin(2 * math.pi * n / 40)
    low, high = (
        full_convolve(signal, kernel)[39:120]  # where the 40 taps lie inside the signal
        for kernel in (kernels.low_pass(40), kernels.high_pass(40))
    )
    late = n[39:120]
    torch.testing.assert_close(low, 0.02 * (late - 19.5), rtol=0, atol=1e-12)
    torch.testing.assert_close(high, torch.sin(2 * math.pi * (late - 20) / 40) - 0.01, rtol=0, atol=1e-12)


@given(taps=st.integers(1, 50))
def test_low_pass_and_high_pass_are_the_whole_signal_late(taps: int) -> None:
    both = kernels.low_pass(taps) + kernels.high_pass(taps)
    torch.testing.assert_close(both, kernels.dirac(taps // 2, taps), rtol=0, atol=1e-15)
    torch.testing.assert_close(
        kernels.high_pass(taps, 0) + kernels.low_pass(taps), kernels.dirac(0, taps), rtol=0, atol=1e-15
    )


@given(
    signal=st.lists(st.integers(-9, 9), min_size=1, max_size=9),
    at=st.integers(0, 5),
    more=st.integers(1, 3),
)
def test_a_dirac_impulse_delays_by_its_place(signal: list[int], at: int, more: int) -> None:
    late = full_convolve(torch.tensor(signal).double(), kernels.dirac(at, at + more))
    assert late.tolist() == [0] * at + signal + [0] * (more - 1)


@given(
    signal=st.lists(st.integers(-9, 9), min_size=1, max_size=5),
    period=st.integers(1, 6),
    impulses=st.integers(1, 4),
)
def test_a_dirac_train_repeats_with_its_period(signal: list[int], period: int, impulses: int) -> None:
    train = kernels.dirac_train(period, impulses)
    assert train.sum() == impulses
    again = full_convolve(torch.tensor(signal).double(), train)
    assert len(again) == len(signal) + (impulses - 1) * period
    for t, value in enumerate(again.tolist()):
        assert value == sum(
            signal[t - k * period] for k in range(impulses) if 0 <= t - k * period < len(signal)
        )


# All of them


def test_the_list_holds_every_kernel_that_needs_no_argument() -> None:
    assert set(kernels.NAMED) == {
        "identity",
        "box",
        "gaussian_5x5",
        "sharpen",
        "laplacian",
        "sobel",
        "vertical_edge",
        "horizontal_edge",
    }
    for name, make in kernels.NAMED.items():
        assert make().dtype == torch.float64
        assert make().is_contiguous()
        assert getattr(kernels, name) is make


def test_every_kernel_takes_a_type() -> None:
    made = [
        *(getattr(kernels, name)(dtype=torch.float32) for name in kernels.NAMED),
        kernels.shift(0, 0, dtype=torch.float32),
        kernels.gaussian(1.0, dtype=torch.float32),
        kernels.low_pass(3, dtype=torch.float32),
        kernels.high_pass(3, dtype=torch.float32),
        kernels.dirac(0, 3, dtype=torch.float32),
        kernels.dirac_train(2, 3, dtype=torch.float32),
    ]
    assert {kernel.dtype for kernel in made} == {torch.float32}


def test_refuses_kernels_that_cannot_be() -> None:
    for make in (kernels.identity, kernels.box, kernels.sharpen):
        with pytest.raises(ModelError, match=r"odd number of taps a side. Received: size=4") as refused:
            make(4)
        assert refused.value.hint == "size=5 has one"
    with pytest.raises(ModelError, match=r"size=-2") as refused:
        kernels.box(-2)
    assert refused.value.hint == "size=1 has one"
    with pytest.raises(ModelError, match=r"dy=0, dx=-2, size=3") as refused:
        kernels.shift(0, -2)
    assert refused.value.hint == "size=5 does"
    with pytest.raises(ModelError, match=r"sigma=0"):
        kernels.gaussian(0)
    with pytest.raises(ModelError, match=r"taps is at least 1. Received: taps=0"):
        kernels.low_pass(0)
    with pytest.raises(ModelError, match=r"Received: at=3, length=3") as refused:
        kernels.high_pass(3, 3)
    assert refused.value.hint == "0 to 2"
    with pytest.raises(ModelError, match=r"period is at least 1"):
        kernels.dirac_train(0, 2)
    with pytest.raises(ModelError, match=r"impulses is at least 1"):
        kernels.dirac_train(2, 0)
