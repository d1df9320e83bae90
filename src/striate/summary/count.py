"""Multiply-adds of an operator, and what the others add.

A multiply-add is one multiplication with its addition, inside a convolution or a matrix product; the rules
are those of torch's own ``FlopCounterMode`` (two operations each). Bias, normalisation, activation and
pooling are counted apart, as operations: one for each value that is read or made, as :func:`other_operations`
states. An operator for which there is no rule is named, never counted as nothing.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

aten = torch.ops.aten


@cache
def _rules() -> dict[Any, Callable[..., int]]:
    rules: dict[Any, Callable[..., int]] = dict(FlopCounterMode(display=False).flop_registry)
    # Products that torch's counter passes over in silence.
    for packet in (aten.mv, aten.dot, aten.vdot):
        rules[packet] = lambda a, *_, **__: 2 * a.numel()
    rules[aten.addmv] = lambda _, a, *__, **___: 2 * a.numel()
    return rules


@cache
def _defaults(func: Any) -> dict[str, Any]:
    arguments = func._schema.arguments  # noqa: SLF001 - torch offers no other way
    return {a.name: a.default_value if a.has_default_value() else None for a in arguments}


def named(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Give an operator's arguments by name, with what was left out at its default.

    >>> named(aten.relu.default, ["x"], {})
    {'self': 'x'}
    """
    defaults = _defaults(func)
    return {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}


def per_axis(setting: Any, axes: int) -> list[int]:
    """Give a setting such as a stride once for each axis.

    >>> per_axis(2, 2), per_axis([3], 2), per_axis([1, 2], 2)
    ([2, 2], [3, 3], [1, 2])
    """
    values = [setting] if isinstance(setting, int) else list(setting)
    return values * axes if len(values) == 1 else values


def kernel_of(pool: str, given: dict[str, Any]) -> list[int]:
    """Give the window of a pooling operator, a size for each axis."""
    return per_axis(given["kernel_size"], next(axes for axes in (1, 2, 3) if f"{axes}d" in pool))


def is_counted(func: Any) -> bool:
    """Tell whether there is a rule for this operator."""
    return func.overloadpacket in _rules()


def multiply_adds(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Count the multiply-adds of one call; 0 where the operator is no convolution or matrix product."""
    packet = func.overloadpacket
    if packet is aten.convolution:  # torch's rule, without its walk through all the arguments
        return conv_flop_count(args[0].shape, args[1].shape, out.shape, transposed=args[6]) // 2
    rule = _rules().get(packet)
    return 0 if rule is None else int(rule(*args, **kwargs, out_val=out)) // 2


def other_operations(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Count the element-wise work of one call.

    Element by element: one for each value made. Pooling: one for each value in each window. Sums, means and
    other reductions: one for each value read. Normalisation: two for each value (scale and shift, without
    its statistics). Softmax: three for each value. Bias: one for each value made. Views and copies: none.
    """
    name = func.overloadpacket.__name__
    made = sum(tensor.numel() for tensor in tensors(out)[:1])
    if name in POOLS:
        return made * math.prod(kernel_of(name, named(func, args, kwargs)))
    if name in REDUCTIONS or name in ADAPTIVE:
        return args[0].numel() if isinstance(args[0], Tensor) else 0
    if name in NORMALISATIONS:
        return 2 * made
    if name in SOFTMAXES:
        return 3 * made
    if name in {"convolution", "addmm", "baddbmm", "addmv"}:
        has_bias = name != "convolution" or (len(args) > 2 and args[2] is not None)
        return made if has_bias else 0
    if name in RESAMPLING or (is_pointwise(func) and name.removesuffix("_") not in COPIES):
        return made
    return 0


@cache
def is_pointwise(func: Any) -> bool:
    """Tell whether each value of the result comes from the values at the same place."""
    name = func.overloadpacket.__name__
    return torch.Tag.pointwise in func.tags or name.removesuffix("_") in POINTWISE


@cache
def is_view(func: Any) -> bool:
    """Tell whether the result is the input under another shape, sharing its memory."""
    schema = func._schema  # noqa: SLF001 - torch offers no other way
    returns, arguments = schema.returns, schema.arguments
    return (
        bool(returns)
        and returns[0].alias_info is not None
        and not any(
            argument.alias_info is not None and argument.alias_info.is_write for argument in arguments
        )
    )


@cache
def written(func: Any) -> tuple[str, ...]:
    """Name the arguments that an operator writes to."""
    arguments = func._schema.arguments  # noqa: SLF001
    return tuple(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)


@cache
def is_known(func: Any) -> bool:
    """Tell whether it is settled what this operator counts."""
    if func.namespace not in {"aten", "prim", "prims"}:
        return is_counted(func)
    name = func.overloadpacket.__name__
    return (
        is_counted(func)
        or is_view(func)
        or is_pointwise(func)
        or name.removesuffix("_") in KNOWN
        or name.endswith(("_backward", "_backward_data"))
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


POOLS = _names(
    "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices mkldnn_max_pool2d "
    "avg_pool1d avg_pool2d avg_pool3d"
)
ADAPTIVE = _names(
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d "
    "_adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
)
REDUCTIONS = _names(
    "sum mean amax amin aminmax max min argmax argmin prod std std_mean var var_mean any all norm nansum "
    "median nanmedian linalg_vector_norm logsumexp cumsum cumprod logcumsumexp cummax cummin topk sort "
    "argsort kthvalue mode count_nonzero unique_dim _unique2 nll_loss_forward nll_loss2d_forward mse_loss"
)
NORMALISATIONS = _names(
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
    "_batch_norm_with_update _batch_norm_no_update native_layer_norm native_group_norm _fused_rms_norm "
    "rms_norm _weight_norm_interface"
)
SOFTMAXES = _names("_softmax _log_softmax _safe_softmax")
RESAMPLING = _names(
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d "
    "upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
    "grid_sampler_2d grid_sampler_3d"
)
# Element by element, though torch does not say so of each.
POINTWISE = _names(
    "relu gelu silu mish hardtanh hardswish hardsigmoid leaky_relu elu celu selu softplus threshold prelu "
    "rrelu _prelu_kernel rrelu_with_noise log_sigmoid_forward glu clamp masked_fill native_dropout "
    "_fused_dropout floor_divide"
)
COPIES = _names("copy fill zero _to_copy clone masked_fill where")
# Nothing is computed: values are made, moved or chosen.
MOVES = _names(
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_full new_zeros "
    "new_ones zeros zeros_like ones ones_like full full_like arange linspace logspace eye scalar_tensor "
    "lift_fresh lift_fresh_copy tril triu tril_indices triu_indices rand rand_like randn randn_like "
    "randint randint_like randperm normal uniform bernoulli exponential multinomial cat stack "
    "_reshape_copy _unsafe_view unsafe_split unsafe_chunk unsafe_split_with_sizes contiguous "
    "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
    "replication_pad2d replication_pad3d index _unsafe_index index_put index_select index_add index_copy "
    "index_fill gather scatter scatter_add scatter_reduce masked_select masked_scatter embedding "
    "embedding_renorm take put roll flip rot90 repeat repeat_interleave im2col col2im pixel_shuffle "
    "pixel_unshuffle channel_shuffle native_channel_shuffle nonzero one_hot bucketize searchsorted histc "
    "bincount resize set max_unpool2d max_unpool3d _local_scalar_dense item is_same_size _assert_async "
    "_assert_scalar sym_size sym_numel sym_stride device slice_scatter select_scatter diagonal_scatter "
    "as_strided_scatter diag_embed split_with_sizes_copy unfold_copy broadcast_tensors meshgrid movedim"
)
KNOWN = POOLS | ADAPTIVE | REDUCTIONS | NORMALISATIONS | SOFTMAXES | RESAMPLING | POINTWISE | COPIES | MOVES
