"""Convolution spelled out: a kernel slides over a picture and gives one weighted sum at every place.

Shapes: N pictures of C channels and H x W pixels (or signals of L values), O filters of kh x kw taps (or k).
Everything is a sum over the taps of the kernel, exact in float64 and differentiable. Networks use torch's own
operators, which do the same and are made for speed; this file is for reading, and for checking them.

Source: Goodfellow, Bengio and Courville 2016, Deep Learning, chapter 9 (the operator, its matrix, unshared
weights); Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning (stride, padding);
Smith 1997, The Scientist and Engineer's Guide to Digital Signal Processing (signals).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from striate.errors import ModelError
from striate.ops.window import axes_of, check_maps, check_tensor, per_axis, shape_of, shifted, total_padding

if TYPE_CHECKING:
    from torch import Tensor

    from striate.ops.size import Axis
    from striate.ops.window import Numbers, Padding

__all__ = [
    "convolve",
    "cross_correlate",
    "full_convolve",
    "locally_connected",
    "toeplitz",
    "total_padding",
    "unshare",
]


def cross_correlate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Tensor:
    """Slide kernels over pictures or signals; this is what networks call convolution.

    With stride s, padding p and dilation d, at row i and column j of filter o:

        y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p]

    x: (N, C, H, W) or (N, C, L); weight: (O, C/groups, kh, kw) or (O, C/groups, k); bias: (O).
    stride, dilation: pixels, one number or one for each axis.
    padding: zeros around x. "valid" is none; "same" keeps the size (stride 1; an odd zero goes after); a
    number is for each side; a tuple has such a number, or a pair (before, after), for each axis.
    A padding that is counted as a total over both sides is spelled total_padding(p).
    groups: channels and filters are cut into so many parts; each part of the filters reads its own channels.
    Returns: (N, O, H', W') or (N, O, L'), rounded down where the stride leaves pixels over, as torch does.
    Raises DoesNotFit if not even one window fits; ModelError if the shapes do not belong together.
    Source: Goodfellow et al. 2016, equation 9.6; Dumoulin and Visin 2016, relationship 6.

    >>> x = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> cross_correlate(x, torch.tensor([[[1.0, 10.0]]])).tolist()
    [[[21.0, 42.0, 84.0]]]
    """
    check_maps(x)
    _check_filters(x, weight, bias, groups)
    axes = axes_of(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    # Groups are convolutions side by side that know nothing of each other.
    parts = zip(x.chunk(groups, dim=1), weight.chunk(groups), strict=True)
    y = torch.cat([_sum_over_taps(channels, filters, axes) for channels, filters in parts], dim=1)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(axes))


def _sum_over_taps(x: Tensor, weight: Tensor, axes: list[Axis]) -> Tensor:
    """Do all places at once, tap after tap: each tap is a 1x1 convolution of the shifted picture."""
    y = x.new_zeros(())
    for under, w in zip(shifted(x, axes), weight.flatten(2).unbind(2), strict=True):  # w: (O, C)
        y = y + torch.einsum("nc...,oc->no...", under, w)
    return y


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve in the sense of the definition: the kernel is turned by 180 degrees, then slid.

        y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, i + kh-1 - a, j + kw-1 - b]

    Arguments, result and errors are those of cross_correlate (the formula is for stride 1 without padding).
    The flip is what makes it commute; a network that learns its kernels just learns them the other way round.
    Source: Goodfellow et al. 2016, equations 9.4 and 9.5.

    >>> x = torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> convolve(x, torch.tensor([[[1.0, 10.0]]])).tolist()
    [[[12.0, 24.0, 48.0]]]
    """
    check_tensor("weight", weight)
    turned = weight.flip(tuple(range(2, weight.dim())))
    return cross_correlate(x, turned, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def full_convolve(x: Tensor, y: Tensor) -> Tensor:
    """Convolve two signals as signal processing does, with every overlap however small.

        S(t) = sum over a of y(a) x(t - a)

    x: (L); y: (M).   Returns: (L + M - 1).   Raises ModelError if one of them is not a plain signal.
    It commutes, and its spectrum is the product of the two spectra.
    Source: Goodfellow et al. 2016, equation 9.3; Smith 1997, chapter 6.

    >>> full_convolve(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0])).tolist()
    [4.0, 13.0, 22.0, 15.0]
    """
    for name, signal in (("x", x), ("y", y)):
        check_tensor(name, signal)
        if signal.dim() != 1 or not len(signal):
            raise ModelError(
                f"{name} is not one signal (L). Received: {shape_of(signal)}",
                "one axis and at least one value; for batches and channels there is convolve",
            )
    # With M - 1 zeros on both sides the first window holds x(0) alone and the last one x(L - 1).
    return convolve(x[None, None], y[None, None], padding=len(y) - 1)[0, 0]


def locally_connected(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
) -> Tensor:
    """Look through the windows of a convolution, but with weights of their own at every place.

        y[n, o, i, j] = bias[o, i, j] + sum over c, a, b of
                        weight[o, c, i, j, a, b] x[n, c, s i + a - p, s j + b - p]

    x: (N, C, H, W) or (N, C, L).   weight: (O, C, H', W', kh, kw) or (O, C, L', k).
    bias: (O, H', W') or (O, L').   stride, padding and errors: cross_correlate's.
    Returns: (N, O, H', W') or (N, O, L').
    It has H' W' times the weights of a convolution, and what it learns in one place it knows there only.
    Source: LeCun 1989, Generalization and network design strategies; Goodfellow et al. 2016, equation 9.9.

    >>> x = torch.tensor([[[1.0, 2.0, 4.0]]])
    >>> locally_connected(x, torch.tensor([[[[1.0, 0.0], [0.0, 10.0]]]])).tolist()
    [[[1.0, 40.0]]]
    """
    check_maps(x)
    check_tensor("weight", weight, like=x)
    space = x.dim() - 2
    if weight.dim() != 2 + 2 * space:
        raise ModelError(
            f"weight is not {'(O, C, L, k)' if space == 1 else '(O, C, H, W, kh, kw)'}. "
            f"Received: weight {shape_of(weight)}, x {shape_of(x)}",
            "unshare makes such a weight from the shared one of a convolution",
        )
    axes = axes_of(x.shape[2:], weight.shape[2 + space :], stride=stride, padding=padding)
    places = tuple(axis.positions for axis in axes)
    if tuple(weight.shape[1 : 2 + space]) != (x.shape[1], *places):
        raise ModelError(
            f"weight is not for {x.shape[1]} channels and {'x'.join(map(str, places))} places. "
            f"Received: weight {shape_of(weight)}, x {shape_of(x)}",
            f"its shape would be {shape_of((len(weight), x.shape[1], *places, *weight.shape[2 + space :]))}",
        )
    _check_bias(x, bias, (len(weight), *places))
    y = x.new_zeros(())
    taps = weight.flatten(2 + space).unbind(-1)
    for under, w in zip(shifted(x, axes), taps, strict=True):  # w: (O, C, H', W'), its own at every place
        y = y + torch.einsum("nc...,oc...->no...", under, w)
    return y if bias is None else y + bias


def unshare(weight: Tensor, size: Numbers, *, stride: Numbers = 1, padding: Padding = 0) -> Tensor:
    """Copy the shared weight of a convolution to every place, as locally_connected takes it.

    weight: (O, C, kh, kw) or (O, C, k); size: of the input, (H, W) or L.
    Returns: (O, C, H', W', kh, kw) or (O, C, L', k), copies that can be trained apart.
    Raises DoesNotFit, ModelError as cross_correlate does.

    >>> unshare(torch.ones(8, 3, 5, 5), (32, 32)).shape
    torch.Size([8, 3, 28, 28, 5, 5])
    """
    _check_weight(weight)
    space = weight.dim() - 2
    sizes = per_axis("size", size, space)
    filters, channels, *taps = weight.shape
    places = [axis.positions for axis in axes_of(sizes, taps, stride=stride, padding=padding)]
    at_one_place = weight.reshape(filters, channels, *[1] * space, *taps)  # (O, C, 1, 1, kh, kw)
    return at_one_place.repeat(1, 1, *places, *[1] * space)


def toeplitz(
    weight: Tensor,
    size: Numbers,
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Tensor:
    """Write a cross-correlation as the matrix that it is: y.flatten() = T @ x.flatten() for one picture x.

    weight: (O, C/groups, kh, kw) or (O, C/groups, k); size: of the input, (H, W) or L.
    stride, padding, dilation, groups: cross_correlate's.
    Returns: T (O H' W', C H W), with the same few weights in every row, moved along, and zeros elsewhere.
    T.T @ g takes a gradient g of the output to the input: backpropagation, or a "transposed convolution".
    Raises DoesNotFit, ModelError as cross_correlate does.
    Source: Goodfellow et al. 2016, section 9.1; Dumoulin and Visin 2016, section 4.1.

    >>> toeplitz(torch.tensor([[[1.0, 10.0]]]), 3).tolist()
    [[1.0, 10.0, 0.0], [0.0, 1.0, 10.0]]
    """
    _check_weight(weight)
    sizes = per_axis("size", size, weight.dim() - 2)
    channels = weight.shape[1] * groups
    pixels = channels * math.prod(sizes)
    # A column of a matrix is what it makes of a unit vector, here of a picture with a single 1.
    units = torch.eye(pixels, dtype=weight.dtype, device=weight.device).view(pixels, channels, *sizes)
    columns = cross_correlate(units, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return columns.flatten(1).T


def _check_weight(weight: Tensor) -> None:
    check_tensor("weight", weight)
    if weight.dim() not in {3, 4}:
        raise ModelError(
            f"weight is not (O, C, kh, kw) or (O, C, k). Received: weight {shape_of(weight)}",
            "a single kernel for a single channel: weight[None, None]",
        )


def _check_filters(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    _check_weight(weight)
    check_tensor("weight", weight, like=x)
    received = f"Received: x {shape_of(x)}, weight {shape_of(weight)}, groups={groups}"
    if weight.dim() != x.dim():
        raise ModelError(
            f"x and weight do not have the same number of axes. {received}",
            "pictures (N, C, H, W) take a weight (O, C, kh, kw), signals (N, C, L) one (O, C, k)",
        )
    if groups < 1 or len(weight) % groups:
        raise ModelError(
            f"{len(weight)} filters are not cut into {groups} equal groups. {received}",
            "groups divides the filters and the channels",
        )
    if x.shape[1] != weight.shape[1] * groups:
        reads = f"{groups} x {weight.shape[1]}" if groups > 1 else f"{weight.shape[1]}"
        raise ModelError(
            f"x has {x.shape[1]} channels and weight reads {reads}. {received}",
            "the second number of weight is the channels of one group",
        )
    _check_bias(x, bias, (len(weight),))


def _check_bias(x: Tensor, bias: Tensor | None, shape: tuple[int, ...]) -> None:
    if bias is None:
        return
    check_tensor("bias", bias, like=x)
    if tuple(bias.shape) != shape:
        raise ModelError(
            f"bias is not one number for each of the {math.prod(shape)} it is added to. "
            f"Received: bias {shape_of(bias)}",
            f"its shape would be {shape_of(shape)}",
        )
