"""Shapes of the operators that networks are made of, without a call of torch's own rules.

For these operators torch derives shapes in Python and loads its compiler first: a second and 70 MB, where
nothing is to be computed. Only plain cases are answered here, contiguous tensors of one floating type; all
else is asked of torch itself. Tests hold both to the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from striate.summary.rows import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

aten = torch.ops.aten


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operator on meta tensors; numbers that meet them are taken away."""
    rule = None if kwargs else RULES.get(func)
    if rule is not None:
        try:
            return rule(*args)
        except _Special:
            pass
    args, kwargs = joined("", args, kwargs)
    return func(*args, **kwargs)


class _Special(Exception):  # noqa: N818 - no error
    """Not a plain case: for torch."""


def _like(x: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    return torch.empty(shape, dtype=dtype or x.dtype, device="meta")


def _plain(*several: Any) -> None:
    """Let only contiguous meta tensors of one floating type pass; None stands for an argument left out."""
    dtype = several[0].dtype
    for tensor in several:
        if tensor is not None and not (
            isinstance(tensor, Tensor)
            and tensor.is_meta
            and tensor.dtype is dtype
            and dtype.is_floating_point
            and tensor.is_contiguous()
            and tensor.numel()
        ):
            raise _Special


def _pointwise(x: Any, *rest: Any) -> Tensor:
    others = [tensor for tensor in rest if isinstance(tensor, Tensor)]
    if not isinstance(x, Tensor) or any(isinstance(other, (list, tuple, complex)) for other in rest):
        raise _Special
    _plain(x, *others)
    if all(other.shape == x.shape for other in others):
        return _like(x, x.shape)
    try:
        shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            x.shape, *(other.shape for other in others)
        )
    except RuntimeError:
        raise _Special from None
    return _like(x, shape)


def _in_place(x: Tensor, *rest: Any) -> Tensor:
    made = _pointwise(x, *rest)
    if made.shape != x.shape:
        raise _Special
    return x


def _itself(x: Tensor, *_rest: Any) -> Tensor:
    return x


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    axes = len(stride)
    _plain(x, weight, bias)
    if (
        transposed
        or not x.dim() == weight.dim() == axes + 2
        or not axes == len(padding) == len(dilation)
        or x.shape[1] != weight.shape[1] * groups
        or weight.shape[0] % groups
    ):
        raise _Special
    size = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    ]
    if min(size) < 1:
        raise _Special
    return _like(x, (x.shape[0], weight.shape[0], *size))


def _convolution_backward(*args: Any) -> tuple[Tensor | None, ...]:
    grad, x, weight, bias, *_, wanted = args
    _plain(grad, x, weight)
    return _wanted(grad, (x.shape, weight.shape, bias or weight.shape[:1]), wanted)


def _wanted(grad: Tensor, shapes: Sequence[Any], wanted: Sequence[bool]) -> tuple[Tensor | None, ...]:
    return tuple(_like(grad, shape) if want else None for shape, want in zip(shapes, wanted, strict=True))


def _batch_norm(x: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    _plain(x, *rest[:4])
    if x.dtype not in {torch.float32, torch.float64} or x.numel() == x.shape[1]:
        raise _Special
    kept = x.shape[1] if rest[4] else 0  # of fixed statistics a processor keeps nothing
    return _like(x, x.shape), _like(x, (kept,)), _like(x, (kept,))


def _batch_norm_backward(grad: Tensor, x: Tensor, *rest: Any) -> tuple[Tensor | None, ...]:
    _plain(grad, x)
    return _wanted(grad, (x.shape, x.shape[1:2], x.shape[1:2]), rest[-1])


def _layer_norm(x: Tensor, normalized: Sequence[int], *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    _plain(x, *rest[:2])
    own = x.shape[x.dim() - len(normalized) :]
    if tuple(normalized) != own or any(part is not None and part.shape != own for part in rest[:2]):
        raise _Special
    kept = (*x.shape[: x.dim() - len(normalized)], *[1] * len(normalized))
    return _like(x, x.shape), _like(x, kept), _like(x, kept)


def _matrix_product(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() != b.dim() or a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2] or a.dtype != b.dtype:
        raise _Special
    return _like(a, (*a.shape[:-1], b.shape[-1]))


def _product_and_sum(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    made = _matrix_product(a, b)
    if bias.dtype != a.dtype or bias.shape not in {made.shape, made.shape[-1:]}:
        raise _Special
    return made


def _concatenate(several: Sequence[Tensor], dim: int = 0) -> Tensor:
    _plain(*several)
    first = several[0]
    if any(x.dim() != first.dim() or x.dim() == 0 for x in several) or not -first.dim() <= dim < first.dim():
        raise _Special
    shape = list(first.shape)
    dim %= first.dim()
    shape[dim] = sum(x.shape[dim] for x in several)
    if any((*x.shape[:dim], *x.shape[dim + 1 :]) != (*shape[:dim], *shape[dim + 1 :]) for x in several):
        raise _Special
    return _like(first, shape)


def _mean(x: Tensor, dims: Sequence[int] | None = None, keep: bool = False) -> Tensor:
    _plain(x)
    rank = x.dim()
    gone = {dim % rank for dim in dims if -rank <= dim < rank} if dims else set(range(rank))
    if dims and len(gone) < len(dims):
        raise _Special
    return _like(x, [1 if i in gone else n for i, n in enumerate(x.shape) if keep or i not in gone])


def _softmax(x: Tensor, dim: int, wider: bool) -> Tensor:
    _plain(x)
    if wider or not -x.dim() <= dim < x.dim():
        raise _Special
    return _like(x, x.shape)


def _pool(x: Tensor, kernel: Sequence[int], stride: Any = (), padding: Any = 0, *rest: Any) -> Tensor:
    _plain(x)
    axes = len(kernel)
    padding = padding or [0] * axes
    if x.dim() != axes + 2 or any(rest[:1]) or not axes == len(stride or kernel) == len(padding):
        raise _Special  # rounding up is for torch
    size = [
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(x.shape[2:], kernel, stride or kernel, padding, strict=True)
    ]
    if min(size) < 1 or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise _Special
    return _like(x, (*x.shape[:2], *size))


def _max_pool(
    x: Tensor,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil: bool = False,
) -> tuple[Tensor, Tensor]:
    if dilation not in (1, [1] * len(kernel)):
        raise _Special
    made = _pool(x, kernel, stride, padding, ceil)
    return made, _like(x, made.shape, torch.int64)


def _adaptive(x: Tensor, size: Sequence[int]) -> Tensor:
    _plain(x)
    if x.dim() != 4 or not all(isinstance(n, int) for n in size):
        raise _Special
    return _like(x, (*x.shape[:2], *size))


def _second_like(_grad: Tensor, x: Tensor, *_rest: Any) -> Tensor:
    _plain(_grad, x)
    return _like(x, x.shape)


def _first_like(x: Tensor, *_rest: Any) -> Tensor:
    _plain(x)
    return _like(x, x.shape)


_ONE = [
    "relu",
    "neg",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "abs",
    "sigmoid",
    "tanh",
    "sin",
    "cos",
    "erf",
    "gelu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "leaky_relu",
    "elu",
    "softplus",
    "sgn",
]
_SCALAR = [aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.pow.Tensor_Scalar]
_SCALAR += [aten.add.Scalar, aten.mul.Scalar, aten.div.Scalar, aten.clamp_min.default]
_BACKWARD = [aten.threshold_backward.default, aten.sigmoid_backward.default, aten.tanh_backward.default]
_BACKWARD += [aten.gelu_backward.default, aten.silu_backward.default, aten.hardswish_backward.default]
_BACKWARD += [
    aten.leaky_relu_backward.default,
    aten.hardtanh_backward.default,
    aten.hardsigmoid_backward.default,
]
_BACKWARD += [aten.elu_backward.default]
_IN_PLACE = [aten.add_.Tensor, aten.sub_.Tensor, aten.mul_.Tensor, aten.div_.Tensor]
_IN_PLACE += [aten.mul_.Scalar, aten.div_.Scalar, aten.add_.Scalar]

RULES: dict[Any, Callable[..., Any]] = {
    **{getattr(aten, name).default: _pointwise for name in _ONE},
    **dict.fromkeys((*_SCALAR, *_BACKWARD), _pointwise),
    **dict.fromkeys(_IN_PLACE, _in_place),
    aten.bernoulli_.float: _itself,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
    aten.native_layer_norm.default: _layer_norm,
    aten.mm.default: _matrix_product,
    aten.bmm.default: _matrix_product,
    aten.addmm.default: _product_and_sum,
    aten.cat.default: _concatenate,
    aten.mean.dim: _mean,
    aten.sum.dim_IntList: _mean,
    aten._softmax.default: _softmax,  # noqa: SLF001 - torch's own names
    aten._log_softmax.default: _softmax,  # noqa: SLF001
    aten._softmax_backward_data.default: _first_like,  # noqa: SLF001
    aten._log_softmax_backward_data.default: _first_like,  # noqa: SLF001
    aten.avg_pool2d.default: _pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten._adaptive_avg_pool2d.default: _adaptive,  # noqa: SLF001
    aten.max_pool2d_with_indices_backward.default: _second_like,
    aten.avg_pool2d_backward.default: _second_like,
    aten._adaptive_avg_pool2d_backward.default: _second_like,  # noqa: SLF001
}
