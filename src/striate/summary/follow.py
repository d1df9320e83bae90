"""What the results of an operator see, from what its arguments see: a rule for each kind of operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from striate.summary import count
from striate.summary.bounds import (
    Seen,
    Unknown,
    catenate,
    drop,
    evenly,
    grouped,
    join,
    moved,
    padded,
    permuted,
    read,
    rearranged,
    reduce,
    reshaped,
    running,
    slide,
    slide_transposed,
    to_rank,
    unsqueezed,
)
from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

aten = torch.ops.aten


class Call(NamedTuple):
    """One call of an operator: its arguments by name, its results, and what its tensors see."""

    func: Any
    name: str
    given: dict[str, Any]
    out: list[Tensor]
    seen: Callable[[Any], Seen | None]

    @property
    def x(self) -> Tensor:
        """The first tensor it was given."""
        tensor: Tensor = self.given["self" if "self" in self.given else "input"]
        return tensor

    @property
    def main(self) -> Seen:
        """What that tensor sees."""
        if (seen := self.seen(self.x)) is None:
            raise Unknown(self.name)
        return seen


def _same(call: Call) -> Seen:
    return call.main


def pointwise(call: Call) -> Seen:
    known = [one for tensor in tensors(call.given) if (one := call.seen(tensor)) is not None]
    return join(known, call.out[0].dim())


def _convolution(call: Call) -> Seen:
    given, out = call.given, call.out[0]
    x, weight, axes = call.x, given["weight"], given["weight"].dim() - 2
    known = []
    if call.seen(x) is not None:
        channels = out.shape[-axes - 1]
        seen = tuple(grouped(a, -axes - 1, x.shape[-axes - 1], channels, given["groups"]) for a in call.main)
        settings = zip(
            *(count.per_axis(given[key], axes) for key in ("stride", "padding", "dilation")), strict=True
        )
        for i, (stride, padding, dilation) in enumerate(settings):
            dim, put = i - axes, slide_transposed if given["transposed"] else slide
            window = (weight.shape[dim], stride, padding, dilation)
            seen = tuple(put(axis, dim, x.shape[dim], out.shape[dim], window) for axis in seen)
        known.append(seen)
    if (made := call.seen(weight)) is not None:  # a filter that the network makes: by output channel
        if given["transposed"]:
            raise Unknown(call.name)
        order = [1, 0, *range(2, axes + 2)]
        known.append(tuple(permuted(reduce(axis, range(-axes - 1, 0)), order) for axis in made))
    if call.seen(given["bias"]) is not None:
        raise Unknown(call.name)
    return join(known, out.dim())


def _pool(call: Call) -> Seen:
    x, given, seen = call.x, call.given, call.main
    kernel = count.kernel_of(call.name, given)
    axes = len(kernel)
    stride = count.per_axis(given["stride"] or kernel, axes)
    padding, dilation = count.per_axis(given["padding"], axes), count.per_axis(given.get("dilation", 1), axes)
    for i, window in enumerate(zip(kernel, stride, padding, dilation, strict=True)):
        dim = i - axes
        seen = tuple(slide(axis, dim, x.shape[dim], call.out[0].shape[dim], window) for axis in seen)
    return seen


def _adaptive_pool(call: Call) -> Seen:
    seen = call.main
    for dim in range(-len(count.per_axis(call.given["output_size"], 1)), 0):
        n, units = call.x.shape[dim], call.out[0].shape[dim]
        if n % units == 0:
            seen = tuple(slide(axis, dim, n, units, (n // units, n // units, 0, 1)) for axis in seen)
            continue
        starts = torch.arange(units) * n // units
        ends = (torch.arange(1, units + 1) * n + units - 1) // units
        places = starts[:, None] + torch.arange(int((ends - starts).max()))
        places = torch.where(places < ends[:, None], places, -1)
        seen = tuple(read(axis, dim, n, places) for axis in seen)
    return seen


def _pad(call: Call) -> Seen:
    seen, x, pad = call.main, call.x, call.given["pad"]
    for i in range(len(pad) // 2):
        dim, units = -1 - i, call.out[0].shape[-1 - i]
        seen = tuple(padded(axis, dim, x.shape[dim], units, pad[2 * i], seen) for axis in seen)
    return seen


def _mirror(call: Call) -> Seen:
    seen, pad = call.main, call.given["padding"]
    for i in range(len(pad) // 2):
        dim, n = -1 - i, call.x.shape[-1 - i]
        places = torch.arange(call.out[0].shape[dim]) - pad[2 * i]
        if call.name.startswith("reflection"):
            places = (n - 1) - (places.abs() - (n - 1)).abs()
        seen = tuple(read(axis, dim, n, places.clamp(0, n - 1)[:, None]) for axis in seen)
    return seen


def _resample(call: Call) -> Seen:
    """Source: torch's UpSample.h, in double precision."""
    seen, x, given = call.main, call.x, call.given
    axes = x.dim() - 2
    scales = [given.get(key) for key in SCALES[axes]]
    for i, scale in enumerate(scales):
        dim, n, units = i - axes, x.shape[i - axes], call.out[0].shape[i - axes]
        ratio = 1 / scale if scale else n / units
        unit = torch.arange(units, dtype=torch.float64)
        if "nearest_exact" in call.name:
            places = ((unit + 0.5) * ratio).floor()[:, None]
        elif "nearest" in call.name:
            places = (unit * ratio).floor()[:, None]
        else:
            at = (unit + 0.5) * ratio - 0.5
            if given["align_corners"]:
                at = unit * ((n - 1) / (units - 1) if units > 1 else 0.0)
            taps = torch.arange(-1, 3) if "cubic" in call.name else torch.arange(2)
            at = at if "cubic" in call.name else at.clamp(min=0)
            whole = (at + 1e-9).floor()
            exact = (at - whole).abs() < 1e-9
            places = whole[:, None] + torch.where(exact[:, None], 0, taps)
        places = places.long().clamp(0, n - 1)
        seen = tuple(evenly(read(axis, dim, n, places)) for axis in seen)
    return seen


SCALES = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}


def _reduction(call: Call) -> Seen:
    x, out, dims = call.x, call.out[0], call.given.get("dim")
    if isinstance(dims, int):
        dims = [dims]
    if not dims:
        dims = list(range(x.dim()))
    rank = x.dim()
    dims = [dim % rank - rank for dim in dims] if rank else []
    seen = tuple(reduce(axis, dims) for axis in call.main)
    return seen if out.dim() == rank else tuple(drop(axis, dims) for axis in seen)


def _along(call: Call) -> Seen:
    """Softmax, sorting: each value sees the whole of one axis."""
    rank, dim = call.x.dim(), call.given["dim"]
    return tuple(reduce(axis, [dim % rank - rank]) for axis in call.main) if rank else call.main


def _running(call: Call) -> Seen:
    """Sums and the like that run along an axis: each value sees those before it."""
    rank, dim = call.x.dim(), call.given["dim"]
    if not rank:
        return call.main
    dim = dim % rank - rank
    return tuple(running(axis, dim) for axis in call.main)


def _layer_norm(call: Call) -> list[Seen]:
    dims = range(-len(call.given["normalized_shape"]), 0)
    return [tuple(reduce(axis, dims) for axis in call.main)] * len(call.out)


def _group_norm(call: Call) -> Seen:
    x, groups = call.x, call.given["group"]
    places, channel = range(2 - x.dim(), 0), 1 - x.dim()
    n = x.shape[1]
    return tuple(grouped(reduce(axis, places), channel, n, n, groups) for axis in call.main)


def _batch_norm(call: Call) -> Seen:
    if not call.given.get("training", call.name == "_batch_norm_with_update"):
        return call.main
    rank = call.x.dim()
    return tuple(reduce(axis, [-rank, *range(2 - rank, 0)]) for axis in call.main)


def _product(call: Call) -> Seen:
    """Rows of one matrix times columns of another; a vector is a matrix of one row or column."""
    left, right, *bias = (call.given[key] for key in PRODUCTS[call.name])
    known = [one for tensor in bias if (one := call.seen(tensor)) is not None]
    if (one := call.seen(left)) is not None:
        rows = tuple(reduce(axis, [-1]) for axis in one)
        known.append(rows if right.dim() > 1 else tuple(drop(axis, [-1]) for axis in rows))
    if (one := call.seen(right)) is not None:
        along = -2 if right.dim() > 1 else -1
        columns = tuple(reduce(axis, [along]) for axis in one)
        known.append(columns if right.dim() > 1 else tuple(drop(axis, [-1]) for axis in columns))
    return join(known, call.out[0].dim())


PRODUCTS = {
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "mv": ("self", "vec"),
    "dot": ("self", "tensor"),
    "vdot": ("self", "other"),
    "addmm": ("mat1", "mat2", "self"),
    "baddbmm": ("batch1", "batch2", "self"),
    "addmv": ("mat", "vec", "self"),
}


def _attention(call: Call) -> Seen:
    query, key, value = (call.given[name] for name in ("query", "key", "value"))
    masked = call.given.get("attn_mask") is not None or call.given.get("attn_bias") is not None
    if masked or call.given.get("is_causal") or query.shape[:-2] != key.shape[:-2]:
        raise Unknown("mask")
    known = []
    for tensor, dims in ((query, [-1]), (key, [-2, -1]), (value, [-2])):
        if (one := call.seen(tensor)) is not None:
            known.append(tuple(reduce(axis, dims) for axis in one))
    return join(known, call.out[0].dim())


def _concatenate(call: Call) -> Seen:
    return catenate(
        [(tensor.shape, call.seen(tensor)) for tensor in call.given["tensors"] if tensor.shape != (0,)],
        call.given["dim"],
        call.out[0].shape,
    )


def _stack(call: Call) -> Seen:
    out = call.out[0]
    dim = call.given["dim"] % out.dim()
    pieces = []
    for tensor in call.given["tensors"]:
        shape = [*tensor.shape[:dim], 1, *tensor.shape[dim:]]
        seen = call.seen(tensor)
        pieces.append((shape, seen and tuple(unsqueezed(axis, dim) for axis in seen)))
    return catenate(pieces, dim, out.shape)


def viewed(call: Call) -> list[Seen]:
    """Do to the bounds what is done to the values."""
    x, name = call.x, call.name
    if 0 in x.shape:
        raise Unknown(name)
    func = SAFE.get(name, call.func)
    rest = {key: value for key, value in call.given.items() if key != "self"}
    if any(tensor.is_meta for tensor in tensors(rest)):
        raise Unknown(name)
    several = [moved(axis, x.shape, lambda bounds: tensors(func(bounds, **rest))) for axis in call.main]
    return [tuple(column) for column in zip(*several, strict=True)]


def _reshape(call: Call) -> Seen:
    before, after = call.x.shape, call.out[0].shape
    return call.main if before == after else tuple(reshaped(axis, before, after) for axis in call.main)


def _permute(call: Call) -> Seen:
    rank = call.x.dim()
    order = list(call.given.get("dims") or range(rank))
    if "dim0" in call.given:
        one, other = call.given["dim0"], call.given["dim1"]
        order[one], order[other] = order[other], order[one]
    elif call.name == "t":
        order.reverse()
    return tuple(permuted(axis, order) for axis in call.main)


def _pixel_shuffle(call: Call) -> Seen:
    *lead, c, h, w = call.x.shape
    k, given = len(lead), call.given
    if call.name == "pixel_shuffle":
        r = given["upscale_factor"]
        parts, order = (c // r**2, r, r, h, w), (0, 3, 1, 4, 2)
    else:
        r = given["downscale_factor"]
        parts, order = (c, h // r, r, w // r, r), (0, 2, 4, 1, 3)
    all_parts, all_order = (*lead, *parts), (*range(k), *(k + i for i in order))
    made = [rearranged(axis, call.x.shape, all_parts, all_order, call.out[0].shape) for axis in call.main]
    return tuple(evenly(replace(new, dim=old.dim)) for new, old in zip(made, call.main, strict=True))


def _channel_shuffle(call: Call) -> Seen:
    n, c, *places = shape = call.x.shape
    groups = call.given["groups"]
    parts, order = (n, groups, c // groups, *places), (0, 2, 1, *range(3, 3 + len(places)))
    return tuple(rearranged(axis, shape, parts, order, shape) for axis in call.main)


def _windows_as_columns(call: Call) -> Seen:
    """Give every window of a picture as a column: what torch calls unfold, or im2col."""
    x, given, seen = call.x, call.given, call.main
    if x.dim() != 4:
        raise Unknown(call.name)
    shape, parts = list(x.shape), [*x.shape[:2]]
    for dim in (-2, -1):
        kernel, dilation, padding, stride = (
            given[key][dim] for key in ("kernel_size", "dilation", "padding", "stride")
        )
        n = shape[dim] + 2 * padding
        seen = tuple(padded(axis, dim, shape[dim], n, padding, seen) for axis in seen)
        units = (n - dilation * (kernel - 1) - 1) // stride + 1
        places = torch.arange(kernel)[:, None] * dilation + torch.arange(units) * stride
        seen = tuple(read(axis, dim, n, places.flatten()[:, None]) for axis in seen)
        shape[dim] = kernel * units
        parts += [kernel, units]
    return tuple(rearranged(a, shape, parts, (0, 1, 2, 4, 3, 5), call.out[0].shape) for a in seen)


def _pick(call: Call) -> Seen:
    """Put values elsewhere along axes: flip, roll, repeat, and an index of known numbers."""
    seen, shape = call.main, list(call.x.shape)
    if call.name == "repeat":
        rank = call.out[0].dim()
        seen = tuple(to_rank(axis, rank) for axis in seen)
        shape = [1] * (rank - len(shape)) + shape
    for dim, places in _picked(call, shape):
        own, n = dim % len(shape) - len(shape), shape[dim]
        seen = tuple(evenly(read(axis, own, n, (places % n).view(-1, 1))) for axis in seen)
    return seen


def _picked(call: Call, shape: Sequence[int]) -> list[tuple[int, Tensor]]:
    """Say which places are taken along which axes."""
    given = call.given
    if call.name == "flip":
        return [(dim, torch.arange(shape[dim]).flip(0)) for dim in given["dims"]]
    if call.name == "roll" and given["dims"]:
        shifts = zip(given["dims"], given["shifts"], strict=True)
        return [(dim, torch.arange(shape[dim]) - by) for dim, by in shifts]
    if call.name == "repeat":
        return [(i, torch.arange(shape[i] * by)) for i, by in enumerate(given["repeats"]) if by > 1]
    if call.name == "index_select":
        return [(given["dim"], _numbers(given["index"]))]
    if call.name == "index" and sum(index is not None for index in given["indices"]) == 1:
        return [(i, _numbers(index)) for i, index in enumerate(given["indices"]) if index is not None]
    raise Unknown(call.name)


def _gathered(call: Call) -> Seen:
    """What is picked by an index that the network computes may be any along the axis."""
    index, anywhere = call.seen(call.given["index"]), _along(call)
    return join([anywhere] if index is None else [anywhere, index], call.out[0].dim())


def _numbers(index: Tensor) -> Tensor:
    numbers: Tensor = getattr(index, "numbers", index)
    if numbers.is_meta or numbers.dim() != 1 or numbers.dtype is torch.bool:
        raise Unknown("index")
    return numbers.long()


def _gated(call: Call) -> Seen:
    """Half of the channels, times a gate made of the other half."""
    rank = call.x.dim()
    dim = call.given["dim"] % rank - rank
    n = call.x.shape[dim]
    places = torch.arange(n // 2)[:, None] + torch.tensor([0, n // 2])
    return tuple(evenly(read(axis, dim, n, places)) for axis in call.main)


def _embedding(call: Call) -> Seen:
    if (seen := call.seen(call.given["indices"])) is None:
        raise Unknown(call.name)
    return tuple(unsqueezed(axis, axis.first.dim()) for axis in seen)


def _assigned(call: Call) -> Seen | list[Seen]:
    if (seen := call.seen(call.given["src"])) is None:
        raise Unknown(call.name)  # a constant: nothing is seen any more
    return join([seen], call.out[0].dim())


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Made new: their values do not come from those of a tensor that they are given.
CONSTANTS = _names(
    "empty_like zeros_like ones_like full_like rand_like randn_like randint_like new_empty new_empty_strided "
    "new_zeros new_ones new_full zero fill uniform normal bernoulli exponential is_same_size"
)
# Views that may be made of bounds as of values.
VIEWS = _names(
    "slice select split split_with_sizes chunk unbind narrow expand squeeze unsqueeze unfold diagonal "
    "unsafe_split unsafe_split_with_sizes"
)
SAFE = {"unsafe_split": aten.split.Tensor, "unsafe_split_with_sizes": aten.split_with_sizes.default}
# They put a value into a mask.
MASKS = _names("masked_fill where full full_like new_full fill scalar_tensor")
REDUCTIONS = _names(
    "sum mean amax amin max min argmax argmin prod std var any all norm linalg_vector_norm logsumexp "
    "std_mean var_mean aminmax count_nonzero median nanmedian nansum"
)
Rule = Any  # given a call, what its results see: a Seen for all of them, or a list of one for each
RULES: dict[str, Rule] = {
    **dict.fromkeys(
        _names("clone contiguous _to_copy detach alias lift_fresh lift_fresh_copy native_dropout"), _same
    ),
    **dict.fromkeys(count.POOLS, _pool),
    **dict.fromkeys(count.ADAPTIVE, _adaptive_pool),
    **dict.fromkeys(count.RESAMPLING - {"grid_sampler_2d", "grid_sampler_3d"}, _resample),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys((*count.SOFTMAXES, *_names("sort topk")), _along),
    **dict.fromkeys(_names("cumsum cumprod logcumsumexp cummax cummin"), _running),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(_names("flip roll repeat index_select index"), _pick),
    **dict.fromkeys(_names("view _unsafe_view reshape _reshape_copy"), _reshape),
    **dict.fromkeys(_names("permute transpose t"), _permute),
    **{f"{kind}_pad{axes}d": _mirror for kind in ("reflection", "replication") for axes in (1, 2, 3)},
    **dict.fromkeys(_names("native_layer_norm _fused_rms_norm rms_norm"), _layer_norm),
    **dict.fromkeys((name for name in count.NORMALISATIONS if "batch_norm" in name), _batch_norm),
    **dict.fromkeys(
        (
            f"_scaled_dot_product_{kind}"
            for kind in _names(
                "flash_attention_for_cpu flash_attention efficient_attention fused_attention_overrideable"
            )
        ),
        _attention,
    ),
    "convolution": _convolution,
    "constant_pad_nd": _pad,
    "cat": _concatenate,
    "stack": _stack,
    "glu": _gated,
    "copy": _assigned,
    "embedding": _embedding,
    "gather": _gathered,
    "im2col": _windows_as_columns,
    "native_group_norm": _group_norm,
    **dict.fromkeys(_names("pixel_shuffle pixel_unshuffle"), _pixel_shuffle),
    **dict.fromkeys(_names("channel_shuffle native_channel_shuffle"), _channel_shuffle),
}
