"""Pooling: a window slides over each map by itself and reports one number of what it sees; nothing is learnt.

Shapes: N pictures of C maps and H x W pixels, or signals of L values; 2x2 windows side by side halve them.
Exact in float64 and differentiable; networks use torch's own operators, these explain and check them.

Source: Goodfellow, Bengio and Courville 2016, Deep Learning, section 9.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from striate.errors import ModelError
from striate.ops.window import axes_of, check_maps, per_axis, shifted

if TYPE_CHECKING:
    from torch import Tensor

    from striate.ops.size import Axis
    from striate.ops.window import Numbers, Padding


def max_pool(
    x: Tensor,
    kernel: Numbers,
    *,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
    ceil: bool = False,
) -> Tensor:
    """Report the largest value under the window: is the pattern anywhere here?

        y[n, c, i, j] = max over a, b of x[n, c, s i + d a - p, s j + d b - p]

    x: (N, C, H, W) or (N, C, L); kernel, stride, dilation: pixels, one number or one for each axis.
    stride: the kernel if not given, which is windows side by side (3 at stride 2, as in AlexNet, overlap).
    padding: as in cross_correlate, but at most half of the kernel, and filled with -inf.
    ceil: round the number of windows up; the last may hang over the edge (NiN and GoogLeNet need it).
    Returns: (N, C, H', W') or (N, C, L').
    Raises DoesNotFit if no window fits, ModelError as cross_correlate does.
    Source: Goodfellow et al. 2016, section 9.3; overlapping windows Krizhevsky et al. 2012, section 3.4.

    >>> max_pool(torch.tensor([[[0.0, 3.0, 1.0, 6.0, 9.0]]]), 2).tolist()
    [[[3.0, 6.0]]]
    """
    axes = _axes(x, kernel, stride, padding, dilation, ceil=ceil)
    # Outside is -inf, because a zero would win over negative values.
    under = torch.stack(list(shifted(x, axes, fill=-torch.inf)))
    # The gradient goes to the winner alone, to the first of equals; torch.maximum would share it out.
    return under.max(dim=0).values


def average_pool(
    x: Tensor,
    kernel: Numbers,
    *,
    stride: Numbers | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Report the mean of what the window sees; LeCun's subsampling, before its weight and bias.

        y[n, c, i, j] = 1/(kh kw) sum over a, b of x[n, c, s i + a - p, s j + b - p]

    x, kernel, stride, padding, ceil: as in max_pool.
    count_include_pad: the zeros of the padding count as values, which darkens the border; if False, the sum
    is divided by the pixels of x under the window. What hangs over even the padding (ceil) never counts.
    Returns: (N, C, H', W') or (N, C, L').   Raises DoesNotFit, ModelError as max_pool does.
    Source: LeCun et al. 1998, section II; Goodfellow et al. 2016, section 9.3.

    >>> average_pool(torch.tensor([[[2.0, 4.0, 6.0, 8.0]]]), 2, padding=1).tolist()
    [[[1.0, 5.0, 4.0]]]
    """
    axes = _axes(x, kernel, stride, padding, ceil=ceil)
    y = x.new_zeros(())
    for under in shifted(x, axes):
        y = y + under
    # A window over 2 rows and 3 columns is over 6 pixels: the counts of the axes multiply.
    for dim, axis in enumerate(axes, start=2):
        counts = x.new_tensor(_counts(axis, count_include_pad=count_include_pad))
        y = y / counts.reshape(-1, *[1] * (x.dim() - 1 - dim))
    return y


def l2_pool(x: Tensor, kernel: Numbers, *, stride: Numbers | None = None) -> Tensor:
    """Report the length of what the window sees: the energy there, whatever its sign.

        y[n, c, i, j] = sqrt(sum over a, b of x[n, c, s i + a, s j + b]^2)

    x, kernel, stride: as in max_pool.   Returns: (N, C, H', W') or (N, C, L').
    The gradient of an all-zero window is 0, where the square root has none.
    Raises DoesNotFit, ModelError as max_pool does.
    Source: Goodfellow et al. 2016, section 9.3.

    >>> l2_pool(torch.tensor([[[3.0, -4.0, 0.0, 0.0]]]), 2).tolist()
    [[[5.0, 0.0]]]
    """
    under = torch.stack(list(shifted(x, _axes(x, kernel, stride))))
    length: Tensor = torch.linalg.vector_norm(under, dim=0)
    return length


def global_average_pool(x: Tensor) -> Tensor:
    """Report the mean of each map: how much of the pattern there is, wherever it is.

    x: (N, C, H, W) or (N, C, L), of any size.   Returns: (N, C).   Raises ModelError for other shapes.
    In place of a dense layer it needs no weights and takes pictures of any size.
    Source: Lin, Chen and Yan 2013, Network in network, section 3.2.

    >>> global_average_pool(torch.tensor([[[1.0, 2.0, 6.0]]])).tolist()
    [[3.0]]
    """
    check_maps(x)
    return x.flatten(2).mean(dim=2)


def global_max_pool(x: Tensor) -> Tensor:
    """Report the largest value of each map: was the pattern seen at all?

    x: (N, C, H, W) or (N, C, L), of any size.   Returns: (N, C).   Raises ModelError for other shapes.
    After a small detector has been slid over everything, this is the detector that does not care where.
    Source: Goodfellow et al. 2016, section 9.3.

    >>> global_max_pool(torch.tensor([[[1.0, 2.0, 6.0]]])).tolist()
    [[6.0]]
    """
    check_maps(x)
    return x.flatten(2).max(dim=2).values


def _axes(
    x: Tensor,
    kernel: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
    *,
    ceil: bool = False,
) -> list[Axis]:
    check_maps(x)
    taps = per_axis("kernel", kernel, x.dim() - 2)
    stride = taps if stride is None else stride
    axes = axes_of(x.shape[2:], taps, stride=stride, padding=padding, dilation=dilation, ceil=ceil)
    if any(2 * max(axis.padding) > axis.kernel for axis in axes):
        raise ModelError(
            f"padding is more than half of the kernel. Received: padding={padding}, kernel={kernel}",
            "a window could lie in the padding alone and would have nothing to report",
        )
    return axes


def _counts(axis: Axis, *, count_include_pad: bool) -> list[int]:
    """Count, for each place of the window along an axis, the pixels under it that an average is over."""
    before, after = axis.padding if count_include_pad else (0, 0)
    firsts = [i * axis.stride - axis.padding[0] for i in range(axis.positions)]
    return [min(first + axis.kernel, axis.n + after) - max(first, -before) for first in firsts]
