"""Arrays and signals worked by hand: the operator, its matrix, and the kernels with a name."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.ops import convolve, cross_correlate, full_convolve, kernels, relu, toeplitz
from tests.seed_cases.facts import (
    CASES,
    Case,
    deck_is_wrong,
    numbers,
    picture,
    random,
    shows,
    slid,
    steps,
    turned,
)


def tensor(values: Any) -> Tensor:
    """Take printed numbers as float64."""
    return torch.tensor(values, dtype=torch.float64)


def over(x: Tensor, kernel: Tensor, **how: Any) -> Tensor:
    """Slide one kernel (h, w) over pictures (N, 1, H, W)."""
    return cross_correlate(x, kernel[None, None], **how)


def correlated(case: Case) -> Any:
    """Cross-correlate the case's image with its kernel."""
    return slid(case.inputs["image"], case.inputs["kernel"], **steps(case))


def convolved(case: Case) -> Any:
    """Convolve the case's image with its kernel, by the definition."""
    return turned(case.inputs["image"], case.inputs["kernel"], **steps(case))


# Arrays worked by hand.


@shows("003-5x5-kernel-4", "004-5x5-kernel-4")
def first_value_and_whole_map(case: Case) -> None:
    found = correlated(case)
    assert found[0][0] == case.expected["first_value"]
    assert found == case.recomputed["feature_map"]


@shows("001-6x6-filter1", "001-6x6-filter2")
def a_lost_minus_sign(case: Case) -> None:
    found = correlated(case)
    assert found == convolved(case) == case.recomputed["feature_map"]
    printed = case.expected["feature_map"]
    deck_is_wrong(case, printed, found)
    pairs = zip(itertools.chain(*printed), itertools.chain(*found), strict=True)
    assert [a + b for a, b in pairs if a != b] == [0]  # one entry, and only its sign
    first = case.expected.get("first_steps", [])
    assert first == list(itertools.chain(*found))[: len(first)]


@shows("001-6x6-edge-kernel")
def an_edge_kernel_convolved_is_the_negative(case: Case) -> None:
    assert correlated(case) == case.recomputed["cross_correlation"]
    assert convolved(case) == case.recomputed["true_convolution"]


@shows("004-vertical-edge")
def a_vertical_edge(case: Case) -> None:
    assert kernels.vertical_edge().tolist() == case.inputs["kernel"]
    assert correlated(case) == case.expected == case.recomputed
    assert convolved(case) == [[-v for v in row] for row in case.expected]


@shows("001-edge-1x2")
def a_map_has_no_more_rows_than_its_image(case: Case) -> None:
    found = correlated(case)
    assert found == case.recomputed["feature_map"]
    assert convolved(case) == case.recomputed["true_convolution"]
    deck_is_wrong(case, case.expected["feature_map"], found)
    assert case.expected["feature_map"][: len(found)] == found  # only a row too many


@shows("004-three-channels")
def three_channels_and_a_bias(case: Case) -> None:
    channels = [case.inputs[colour] for colour in ("red", "green", "blue")]
    firsts = [slid(x, k)[0][0] for x, k in zip(channels, case.inputs["kernels"], strict=True)]
    assert firsts == [case.recomputed[f"channel_{c}"] for c in (1, 2, 3)]
    x = tensor(channels)[None]
    weight = tensor(case.inputs["kernels"])[None]
    bias = tensor([case.inputs["bias"]])
    assert cross_correlate(x, weight, bias)[0, 0].tolist() == case.recomputed["map_over_printed_6x6"]
    assert convolve(x, weight, bias)[0, 0].tolist() == case.recomputed["true_convolution_map"]
    assert sum(firsts) + case.inputs["bias"] == case.recomputed["output"] == case.expected["output"]
    printed = [case.expected[f"channel_{c}"] for c in (1, 2, 3)]
    deck_is_wrong(case, printed, firsts)
    assert sum(printed) + case.expected["bias"] != case.expected["output"]


@shows("000-index-formulas-5x5-3x3")
def index_formulas_are_cross_correlation(case: Case) -> None:
    example = case.inputs["numeric_example"]
    found = slid(example["z"], example["w"], **steps(case))
    assert found == case.recomputed["numeric_cross_correlation"]
    assert turned(example["z"], example["w"], **steps(case)) == case.recomputed["numeric_true_convolution"]
    assert [len(found), len(found[0])] == case.expected["shape"]
    for name, formula in case.expected.items():
        for term in re.findall(r"z(\d)(\d)w(\d)(\d)", formula if name != "shape" else ""):
            row, column, a, b = map(int, term)
            assert (row, column) == (int(name[1]) + a - 1, int(name[2]) + b - 1)


@shows("001-neuron-formula")
def a_neuron_is_a_weighted_sum_a_bias_and_an_activation(case: Case) -> None:
    first, last = (int(n) for n in re.findall(r"i=(\d)\.\.(\d)", case.parameters["formula"])[0])
    side = last - first + 1
    x, weight, bias = torch.randn(9, 9), torch.randn(side, side), torch.randn(1)
    p, q = 2, 3
    terms = [weight[i, j] * x[i + p, j + q] for i in range(side) for j in range(side)]
    value = cross_correlate(x[None, None], weight[None, None], bias)[0, 0, p, q]
    torch.testing.assert_close(value, sum(terms, torch.zeros(())) + bias[0])
    assert relu(value) == max(0, value.item())


@shows("001-multi-input-channels")
def channels_add(case: Case) -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(1, 3, 3, 3)
    parts = [cross_correlate(x[:, c : c + 1], weight[:, c : c + 1]) for c in range(3)]
    torch.testing.assert_close(cross_correlate(x, weight), parts[0] + parts[1] + parts[2])


@shows("004-2d-convolution-formula")
def the_printed_definition_flips(case: Case) -> None:
    f, g = random(5, 5), random(3, 3)

    def at(x: int, y: int) -> Tensor:  # sum over n1, n2 of f[n1, n2] g[x - n1, y - n2]
        inside = [(n1, n2) for n1 in range(5) for n2 in range(5) if 0 <= x - n1 < 3 and 0 <= y - n2 < 3]
        return torch.stack([f[n1, n2] * g[x - n1, y - n2] for n1, n2 in inside]).sum()

    found = torch.stack([torch.stack([at(x, y) for y in range(7)]) for x in range(7)])
    torch.testing.assert_close(convolve(f[None, None], g[None, None], padding=2)[0, 0], found)
    assert not torch.allclose(cross_correlate(f[None, None], g[None, None], padding=2)[0, 0], found)


@shows("003-conv-batch-shapes")
def weights_have_the_height_first(case: Case) -> None:
    shape, weight = (2, 3, 7, 9), (4, 3, 3, 5)  # (N, C_in, H, W) and (C_out, C_in, K_h, K_w)
    assert [len(case.inputs), len(case.parameters["filters"]), len(case.expected)] == [4, 4, 4]
    assert cross_correlate(torch.zeros(shape), torch.zeros(weight), torch.zeros(4)).shape == (2, 4, 5, 5)


@shows("003-toeplitz")
def a_convolution_is_a_matrix_product(case: Case) -> None:
    x = tensor(case.inputs["numeric"]["x"])
    k = tensor(case.inputs["numeric"]["k"])
    values = {"0": 0.0} | {f"k{i}": v for i, v in enumerate(k.flatten().tolist(), 1)}
    matrix = toeplitz(k[None, None], tuple(x.shape), **steps(case))
    assert matrix.tolist() == [[values[word] for word in row.split()] for row in case.expected["matrix_rows"]]
    values |= {f"x{i}": v for i, v in enumerate(x.flatten().tolist(), 1)}
    products = [
        sum(values[k] * values[x] for k, x in re.findall(r"(k\d)(x\d)", row))
        for row in case.expected["product"]
    ]
    assert (matrix @ x.flatten()).tolist() == products == case.recomputed["numeric"]
    image = x[None, None].requires_grad_()
    g = random(1, 1, 2, 2)
    (backward,) = torch.autograd.grad(cross_correlate(image, k[None, None]), image, g)
    torch.testing.assert_close((matrix.T @ g.flatten()).view(1, 1, 3, 3), backward)


@shows("001-hidden-layer-as-4d-tensor")
def a_tied_banded_dense_layer_is_a_convolution(case: Case) -> None:
    n, delta = 6, 1
    x, v = random(n, n), random(3, 3)
    w = torch.zeros(n, n, n, n, dtype=torch.float64)  # h[i, j] = sum of w[i, j, k, l] x[k, l]
    for i, j, a, b in np.ndindex(n, n, 3, 3):
        k, m = i + a - delta, j + b - delta
        if 0 <= k < n and 0 <= m < n:
            w[i, j, k, m] = v[a, b]
    found = cross_correlate(x[None, None], v[None, None], padding=delta)[0, 0]
    torch.testing.assert_close(torch.einsum("ijkl,kl->ij", w, x), found)
    assert torch.equal(toeplitz(v[None, None], (n, n), padding=delta), w.view(n * n, n * n))


@shows("001-1x1-is-per-pixel-fc")
def a_1x1_convolution_is_a_dense_layer_at_every_pixel(case: Case) -> None:
    x, weight = torch.randn(2, 5, 4, 6), torch.randn(7, 5)
    everywhere = torch.einsum("oc,nchw->nohw", weight, x)
    torch.testing.assert_close(cross_correlate(x, weight.view(7, 5, *case.parameters["kernel"])), everywhere)


@shows("000-fc-is-full-size-conv")
def a_dense_layer_is_a_full_size_convolution(case: Case) -> None:
    x, dense = torch.randn(2, 3, 4, 5), nn.Linear(60, 7)
    found = cross_correlate(x, dense.weight.view(7, 3, 4, 5), dense.bias)
    torch.testing.assert_close(found.flatten(1), dense(x.flatten(1)))


@shows("004-75-dim-inner-product")
def one_output_is_an_inner_product(case: Case) -> None:
    height, width, channels = case.inputs["kernel"]
    x, weight = torch.randn(1, channels, 32, 32), torch.randn(1, channels, height, width)
    patch = x[0, :, 4 : 4 + height, 6 : 6 + width].flatten()
    assert len(patch) == case.recomputed == numbers(case.expected)[0]
    found = cross_correlate(x, weight, torch.ones(1))[0, 0, 4, 6]
    torch.testing.assert_close(found, patch @ weight.flatten() + 1)


# Signals: convolution as it is defined.


@shows("001-convolution-commutes")
def convolution_commutes(case: Case) -> None:
    u, v = random(7), random(4)
    torch.testing.assert_close(full_convolve(u, v), full_convolve(v, u))
    torch.testing.assert_close(full_convolve(u, v), torch.from_numpy(np.convolve(u, v)))
    one, other = (
        cross_correlate(a[None, None], b[None, None], padding=len(b) - 1) for a, b in ((u, v), (v, u))
    )
    assert not torch.allclose(one, other)


@shows("001-discrete-convolution-formula")
def a_discrete_convolution(case: Case) -> None:
    x, w = (tensor(case.inputs[name]) for name in "xw")
    assert full_convolve(x, w).tolist() == case.recomputed["S"]


@shows("001-dirac-shift")
def an_impulse_moves_a_signal(case: Case) -> None:
    s, right = tensor(case.inputs["s"]), case.recomputed["convolve"]
    assert full_convolve(s, kernels.dirac(case.inputs["delta_at"], len(right) - len(s) + 1)).tolist() == right


@shows("001-dirac-train-periodic")
def a_train_of_impulses_repeats_a_signal(case: Case) -> None:
    s = tensor(case.inputs["s"])
    train = kernels.dirac_train(case.inputs["period_Te"], case.inputs["impulses"])
    assert full_convolve(s, train).tolist() == case.recomputed["convolve"]


def filtered(taps: Tensor) -> tuple[Tensor, Tensor]:
    """Convolve a slow ramp and a fast sine; give the n where the filter lies inside, and the values there."""
    slope, _, period, first, last, *_ = numbers(CASES["001-low-pass"].inputs["signal"])
    n = torch.arange(first, last + 1).double()
    signal = slope * n + torch.sin(2 * math.pi * n / period)
    return n[len(taps) - 1 :], convolve(signal[None, None], taps[None, None])[0, 0]


@shows("001-low-pass")
def a_low_pass_leaves_the_ramp(case: Case) -> None:
    n, found = filtered(kernels.low_pass(int(numbers(case.inputs["kernel"])[0])))
    slope, delay, first, last = numbers(case.recomputed)
    assert [n[0], n[-1]] == [first, last]
    torch.testing.assert_close(found, slope * (n - delay), rtol=0, atol=1e-12)


@shows("001-high-pass")
def a_high_pass_leaves_the_sine(case: Case) -> None:
    taps = int(numbers(CASES["001-low-pass"].inputs["kernel"])[0])
    n, found = filtered(kernels.high_pass(taps, int(numbers(case.inputs["kernel"])[0])))
    _, delay, period, constant = numbers(case.recomputed)
    sine = torch.sin(2 * math.pi * (n - delay) / period)
    torch.testing.assert_close(found, sine - constant, rtol=0, atol=1e-12)
    slope, *_ = numbers(CASES["001-low-pass"].recomputed)
    is_ramp = torch.allclose(found.diff(), tensor(slope))
    deck_is_wrong(case, "ramp" in case.expected, is_ramp)


# Named kernels.


@shows("003-filter-identity")
def identity(case: Case) -> None:
    assert kernels.identity().tolist() == case.inputs["kernel"]
    x = random(1, 1, 6, 6)
    assert torch.equal(over(x, kernels.identity(), **steps(case)), x)


@shows("003-filter-shift-right")
def shift_right(case: Case) -> None:
    assert kernels.shift(0, 1).tolist() == case.inputs["kernel_for_cross_correlation"]
    x = random(1, 1, 6, 6)
    found = over(x, kernels.shift(0, 1), **steps(case))
    assert torch.equal(found[..., 1:], x[..., :-1])
    assert not found[..., 0].any()
    assert torch.equal(convolve(x, picture(case.inputs["kernel_for_convolution"]), **steps(case)), found)


@shows("003-filter-blur-edge-artifact")
def blur_and_its_edges(case: Case) -> None:
    rows, columns = map(int, numbers(case.inputs["image"]))
    *sides, one, nine = numbers(case.inputs["kernel"])
    torch.testing.assert_close(kernels.box(), torch.full(list(map(int, sides)), one / nine).double())
    found = over(torch.ones(1, 1, rows, columns).double(), kernels.box(), **steps(case))[0, 0]
    places = {"interior": found[2, 2].item(), "edge": found[0, 2].item(), "corner": found[0, 0].item()}
    assert places == pytest.approx(case.recomputed, abs=1e-6)


@shows("003-filter-sharpen")
def sharpen(case: Case) -> None:
    assert case.inputs["kernel"] == "2*identity - box(1/9)"
    x = random(1, 1, 8, 8)
    torch.testing.assert_close(over(x, kernels.sharpen()), 2 * x[..., 1:-1, 1:-1] - over(x, kernels.box()))
    flat = torch.full_like(x, 3)
    torch.testing.assert_close(over(flat, kernels.sharpen()), flat[..., 1:-1, 1:-1])


@shows("003-filter-laplacian")
def laplacian(case: Case) -> None:
    assert kernels.laplacian().tolist() == case.inputs["kernel"]
    i, j = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
    plane, edge = 2 * i - 3 * j + 5, j > 3
    found = [over(x.double()[None, None], kernels.laplacian()).any().item() for x in (plane, edge)]
    assert found == [False, True]


@shows("000-sobel-gradient-magnitude")
def sobel(case: Case) -> None:
    right, down = kernels.sobel()
    assert (right.tolist(), down.tolist()) == (case.inputs["kernel_x"], case.inputs["kernel_y"])
    image = picture(case.inputs["image"])
    assert over(image, right, **steps(case))[0, 0].tolist() == case.recomputed["gx"]
    assert over(image, down, **steps(case))[0, 0].tolist() == case.recomputed["gy"]
    assert kernels.sobel_magnitude(image)[0, 0].tolist() == case.recomputed["magnitude"]
    convolved = convolve(image, right[None, None]), convolve(image, down[None, None])
    assert torch.hypot(*convolved)[0, 0].tolist() == case.recomputed["magnitude"]


@shows("000-gaussian-blur-kernel")
def gaussian(case: Case) -> None:
    printed, right = (tensor(case.inputs[f"kernel_{which}"]) for which in ("as_printed", "standard"))
    divisor = case.parameters["divisor"]
    torch.testing.assert_close(kernels.gaussian_5x5() * divisor, right)
    deck_is_wrong(case, printed.tolist(), right.tolist())
    assert right.sum() == case.recomputed["sum_standard"] == divisor
    assert printed.sum() == case.recomputed["sum_as_printed"]
    flat = torch.ones(1, 1, 9, 9).double()
    torch.testing.assert_close(over(flat, kernels.gaussian_5x5()), flat[..., 2:-2, 2:-2])
    assert over(flat, printed / divisor).max() < 0.99
