"""The arithmetic of a layer, written out: every number in it is the layer's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import striate
from striate.errors import ModelError
from striate.models.registry import MODELS
from striate.summary.inspect import inspect
from striate.summary.result import Inspected

from .does import Does


def lines(found: Inspected, name: str) -> list[str]:
    """Give the lines of an explanation, blanks in a row taken as one."""
    return [" ".join(line.split()) for line in found.explain(name).splitlines()]


def one(layer: nn.Module, *shape: int) -> list[str]:
    """Explain a network of one layer."""
    return lines(inspect(nn.Sequential(layer), shape, batch=2), "0")


def test_a_convolution_is_explained_in_full() -> None:
    assert one(nn.Conv2d(3, 10, 5, padding=2), 3, 32, 32) == [
        "0 Conv2d 3x32x32 -> 10x32x32",
        "size (32 - 5 + 2*2)/1 + 1 = 32",
        "parameters 5*5*3 + 1 = 76, 76*10 = 760",
        "multiply-adds 5*5*3*10*32*32 = 768,000",
        "other operations 10,240",
        "if not shared 76*10*32*32 = 778,240 parameters, filters of their own at each place",
        "if dense 3072*10240 + 10240 = 31,467,520 parameters, each output joined to each input",
        "receptive field 1 + (5 - 1)*1 = 5 pixels of the input",
        "its stride 1*1 = 1",
        "its offset 0 - 2*1 = -2",
        "memory 2*10*32*32 values: 81,920 bytes newly made, 0 kept for the backward pass",
    ]


def test_axes_that_differ_have_a_line_each() -> None:
    told = one(nn.Conv2d(2, 3, (3, 5), stride=(1, 2), bias=False), 2, 9, 20)
    assert told[1:4] == [
        "size height: (9 - 3)/1 + 1 = 7",
        "width: (20 - 5)/2 + 1 = 8.50",
        "does not fit 7x8 fit, the last column is never seen; an input of 9x21 gives 7x9",
    ]
    assert "parameters 3*5*2 = 30, 30*3 = 90" in told
    assert told[-5:-1] == [
        "width: 1 + (5 - 1)*1 = 5 pixels of the input",
        "its stride height: 1*1 = 1",
        "width: 1*2 = 2",
        "its offset 0 - 0*1 = 0",
    ]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(8, 8, 3, groups=8), (8, 6, 6), "parameters 3*3*1 + 1 = 10, 10*8 = 80"),
        (nn.Conv2d(8, 4, 3, groups=2), (8, 6, 6), "multiply-adds 3*3*4*4*4*4 = 2,304"),
        (nn.Conv1d(4, 8, 3, dilation=2), (4, 32), "size (32 - (2*(3 - 1) + 1))/1 + 1 = 28"),
        (nn.Conv1d(4, 8, 3, dilation=2), (4, 32), "receptive field 1 + (5 - 1)*1 = 5 steps of the input"),
        (nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), (8, 8, 8), "size (8 - 1)*2 - 2*1 + 4 = 16"),
        (nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), (8, 8, 8), "parameters 4*4*8 = 128, 128*4 = 512"),
        (nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), (8, 8, 8), "multiply-adds 4*4*8*4*8*8 = 32,768"),
        (nn.ConvTranspose1d(1, 1, 3, 2, 1, 1), (1, 8), "size (8 - 1)*2 - 2*1 + 3 + 1 = 16"),
        (nn.ConvTranspose1d(1, 1, 3, 2, dilation=2), (1, 8), "size (8 - 1)*2 + (2*(3 - 1) + 1) = 19"),
        (nn.MaxPool2d(2), (3, 8, 8), "parameters none"),
        (nn.MaxPool1d(3, 2), (3, 9), "size (9 - 3)/2 + 1 = 4"),
        (
            nn.MaxPool2d(3, 2, ceil_mode=True), (3, 8, 8),
            "rounded up to 4: the last window hangs over the edge",
        ),
        (
            nn.MaxPool2d(2, 3, ceil_mode=True), (3, 6, 6),
            "rounded down to 2: one more window would start behind the input",
        ),
        (nn.Linear(84, 10), (84,), "parameters 84*10 + 10 = 850"),
        (nn.Linear(84, 10, bias=False), (5, 84), "parameters 84*10 = 840"),
        (nn.Linear(84, 10), (5, 84), "multiply-adds 84*5*10 = 4,200"),
        (nn.BatchNorm2d(64), (64, 3, 3), "parameters 2*64 = 128"),
        (nn.LSTM(16, 32, batch_first=True), (10, 16), "parameters 4*(16*32 + 32*32 + 2*32) = 6,400"),
        (weight_norm(nn.Conv1d(4, 8, 3)), (4, 32), "parameters 3*4 + 1 + 1 = 14, 14*8 = 112"),
        (nn.ReLU(), (3, 5, 5), "other operations 75"),
    ],
)  # fmt: skip
def test_lines_of_other_layers(layer: nn.Module, shape: tuple[int, ...], expected: str) -> None:
    assert expected in one(layer, *shape)


def test_a_weight_that_is_computed_is_not_explained_by_a_formula_that_does_not_hold() -> None:
    told = one(weight_norm(nn.Conv2d(3, 10, 5), dim=None), 3, 8, 8)  # type: ignore[arg-type]
    assert "parameters 761" in told  # one length, 750 directions and 10 biases
    assert "multiply-adds 5*5*3*10*4*4 = 12,000" in told


def test_shared_frozen_and_unknown_things_are_said() -> None:
    def forward(net: Any, x: Tensor) -> Tensor:
        return F.relu(net.a(net.a(x)))

    network = Does(forward, a=nn.Conv2d(1, 1, 3).requires_grad_(requires_grad=False))
    found = inspect(network, (1, 9, 9))
    assert "all of them frozen" in lines(found, "a")
    assert "parameters shared with a, and counted there" in lines(found, "a#2")
    assert "receptive field 5 pixels of the input" in lines(found, "relu")
    unknown = inspect(
        Does(lambda _, x: x.fft_fft2() if False else __import__("torch").fft.fft2(x)), (1, 8, 8)
    )
    assert any(line.startswith("not counted") for line in lines(unknown, "1"))


def test_a_field_as_large_as_the_input_says_so() -> None:
    assert "receptive field 627 pixels of the input, which has 224" in lines(
        striate.inspect("resnet18"), "fc"
    )


def test_a_layer_is_found_by_its_name_or_number_and_a_slip_is_told() -> None:
    found = striate.inspect("lenet5")
    assert found.explain("4") == found.explain("c3")
    with pytest.raises(ModelError, match=r"(?s)lenet5 has no layer 'outpt'.*Did you mean output\?"):
        found.explain("outpt")
    for name in ("0", "13", "", "zzzzz", "²"):
        with pytest.raises(ModelError, match="Give a name from the table, or a number from 1 to 12"):
            found.explain(name)
    with pytest.raises(ModelError, match="has no layer 'x'"):
        inspect(nn.Identity(), (3,)).explain("x")


SUM = re.compile(r"[\d(][\d*+/() -]* = [\d.,]+")


def holds(formula: str) -> bool:
    """Work out the left side of a sum, and compare it with the right side."""
    left, right = formula.replace(",", "").split(" = ")
    return bool(round(eval(left), 2) == float(right))


@pytest.mark.parametrize("name", [name for name in MODELS if not name.endswith(("101", "152"))])
def test_every_sum_of_every_network_of_ours_holds(name: str) -> None:
    found = striate.inspect(name)
    for row in found.layers:
        told = found.explain(row.name)
        sums = SUM.findall(told)
        assert all(map(holds, sums)), told
        if row.window and row.window.learned:  # one axis has a sum less, a transposed one no "if dense"
            assert len(sums) >= (4 if "Transpose" in row.kind else 5 + min(2, len(row.output) - 1))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    st.lists(st.tuples(*[st.integers(1, 3)] * 3, st.integers(0, 2)), min_size=2, max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_every_sum_of_a_drawn_layer_holds(
    sizes: tuple[int, int, int, int], axes: list[tuple[int, int, int, int]], bias: bool, transposed: bool
) -> None:
    channels, filters, *pixels = sizes
    kernel, stride, dilation, padding = zip(*axes, strict=True)
    settings: Any = {
        "kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding, "bias": bias,
    }  # fmt: skip
    kind: Any = nn.ConvTranspose2d if transposed else nn.Conv2d
    try:
        found = inspect(kind(channels, filters, **settings), (channels, *pixels))
    except ModelError:
        assume(False)  # does not fit at all
        raise
    told = found.explain("1")
    sums = SUM.findall(told)
    assert len(sums) >= 4
    assert all(map(holds, sums)), told
    assert f"= {found.totals.parameters:,}" in told
    assert f"= {found.totals.multiply_adds:,}" in told
