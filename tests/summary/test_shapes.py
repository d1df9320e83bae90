"""The shapes that are answered here are torch's own, and what is unusual is left to torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._pytree import tree_map_only

from striate.summary import shapes

aten = torch.ops.aten


def outcome(compute: Any) -> Any:
    """Describe what came out, or that an error did."""
    try:
        result = compute()
    except Exception as error:  # noqa: BLE001 - whatever torch raises
        return type(error)
    return tree_map_only(Tensor, described, result)


def described(made: Tensor) -> tuple[Any, ...]:
    """Give all that a shape is; the stride along an axis of one place means nothing."""
    strides = [stride for n, stride in zip(made.shape, made.stride(), strict=True) if n > 1]
    return tuple(made.shape), made.dtype, strides, made.device.type


def agrees(operator: Any, *args: Any) -> None:
    """Hold the answer given here against torch's."""
    assert operator in shapes.RULES
    assert outcome(lambda: shapes.run(operator, args, {})) == outcome(lambda: operator(*args))


def tensor(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(size, dtype=dtype, device="meta")


SIZES = st.lists(st.integers(0, 4), max_size=4)
TYPES = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])


@settings(max_examples=300)
@given(
    st.sampled_from([o for o, rule in shapes.RULES.items() if rule.__name__ in {"_pointwise", "_in_place"}]),
    SIZES,
    SIZES,
    TYPES,
    TYPES,
    st.booleans(),
)
def test_pointwise(
    operator: Any, one: list[int], other: list[int], dtype: torch.dtype, dtype2: torch.dtype, alike: bool
) -> None:
    wanted = [a for a in operator._schema.arguments if not a.has_default_value()]
    tensors = [
        tensor(*one, dtype=dtype),
        tensor(*(one if alike else other), dtype=dtype if alike else dtype2),
    ]
    args: list[Any] = []
    for argument in wanted:
        kind = str(argument.type)
        args.append(tensors[len(args) % 2] if kind == "Tensor" else kind == "bool" or 1.5)
    agrees(operator, *args)


@settings(max_examples=200)
@given(
    axes=st.integers(1, 3),
    sizes=st.lists(st.integers(1, 7), min_size=3, max_size=3),
    channels=st.integers(1, 6),
    filters=st.integers(1, 6),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
    groups=st.integers(1, 3),
    transposed=st.booleans(),
    last=st.booleans(),
)
def test_convolution(
    axes: int,
    sizes: list[int],
    channels: int,
    filters: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    transposed: bool,
    last: bool,
) -> None:
    x, weight = tensor(2, channels * groups, *sizes[:axes]), tensor(filters, channels, *[kernel] * axes)
    if last and axes == 2:
        x = x.to(memory_format=torch.channels_last)
    how = ([stride] * axes, [padding] * axes, [dilation] * axes, transposed, [0] * axes, groups)
    agrees(aten.convolution.default, x, weight, tensor(filters), *how)
    y = outcome(lambda: aten.convolution.default(x, weight, None, *how))
    if isinstance(y, tuple) and not transposed:
        grad = tensor(*y[0])
        agrees(aten.convolution_backward.default, grad, x, weight, [filters], *how, [True, True, True])
        agrees(aten.convolution_backward.default, grad, x, weight, None, *how, [False, True, False])


@given(SIZES.filter(lambda size: len(size) > 1 and size[1] > 0), TYPES)
def test_batch_norm(size: list[int], dtype: torch.dtype) -> None:
    x, of_channels = tensor(*size, dtype=dtype), tensor(size[1], dtype=dtype)
    agrees(aten.native_batch_norm.default, x, *[of_channels] * 4, True, 0.1, 1e-5)


def test_batch_norm_with_fixed_statistics_keeps_what_a_processor_keeps() -> None:
    def kept(device: str) -> list[tuple[int, ...]]:
        x, of_channels = torch.zeros(2, 3, 4, 4, device=device), torch.ones(3, device=device)
        args = (x, *[of_channels] * 4, False, 0.1, 1e-5)
        return [tuple(t.shape) for t in shapes.run(aten.native_batch_norm.default, args, {})]

    assert kept("meta") == kept("cpu")


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    ceil=st.booleans(),
)
def test_pooling(sizes: list[int], kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> None:
    x, pair = tensor(2, *sizes[:3]), [kernel, kernel]
    both = ([stride] * 2, [padding] * 2)
    agrees(aten.max_pool2d_with_indices.default, x, pair, *both, [dilation] * 2, ceil)
    agrees(aten.max_pool2d_with_indices.default, x, pair)
    agrees(aten.avg_pool2d.default, x, pair, *both, ceil)
    agrees(aten.avg_pool2d.default, x, pair, [])
    agrees(aten._adaptive_avg_pool2d.default, x, pair)


@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(-3, 3), TYPES, st.booleans(), st.booleans())
def test_joined_summed_and_normalised(
    sizes: list[list[int]], dim: int, dtype: torch.dtype, alike: bool, keep: bool
) -> None:
    several = [tensor(*(sizes[0] if alike else size), dtype=dtype) for size in sizes]
    agrees(aten.cat.default, several, dim)
    agrees(aten.mean.dim, several[0], [dim], keep)
    agrees(aten.sum.dim_IntList, several[0], [dim], keep)
    agrees(aten.sum.dim_IntList, several[0], [], keep)
    agrees(aten._softmax.default, several[0], dim, False)
    agrees(aten._log_softmax.default, several[0], dim, False)


@given(st.lists(st.integers(0, 4), min_size=5, max_size=5), st.booleans(), TYPES, TYPES)
def test_products(n: list[int], turned: bool, dtype: torch.dtype, dtype2: torch.dtype) -> None:
    a, b = tensor(n[0], n[1], dtype=dtype), tensor(n[1], n[2], dtype=dtype2)
    if turned:
        b = tensor(n[2], n[1], dtype=dtype2).t()
    agrees(aten.mm.default, a, b)
    agrees(aten.mm.default, a, tensor(n[3], n[2]))
    agrees(aten.addmm.default, tensor(n[2], dtype=dtype), a, b)
    agrees(aten.addmm.default, tensor(n[4], dtype=dtype), a, b)
    agrees(aten.bmm.default, tensor(n[3], n[0], n[1]), tensor(n[3], n[1], n[2]))


@pytest.mark.parametrize("size", [(2, 3, 4), (5,), (2, 0, 3)])
def test_layer_norm(size: tuple[int, ...]) -> None:
    x = tensor(*size)
    agrees(aten.native_layer_norm.default, x, size[-1:], tensor(size[-1]), tensor(size[-1]), 1e-5)
    agrees(aten.native_layer_norm.default, x, list(size), None, None, 1e-5)
    agrees(aten.native_layer_norm.default, x, [7], tensor(7), tensor(7), 1e-5)
    agrees(aten.native_layer_norm.default, x, size[-1:], tensor(7), None, 1e-5)


def test_a_view_that_is_not_contiguous_is_torchs() -> None:
    agrees(aten.relu.default, tensor(3, 4).t())
    agrees(aten.add.Tensor, tensor(3, 4).t(), tensor(4, 3))
    agrees(aten.mean.dim, tensor(2, 3, 4, 5).permute(0, 2, 3, 1), [1])
