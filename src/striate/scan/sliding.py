"""Layers that answer at every place what a layer that needs one size of picture or sequence answers once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError
from striate.ops import sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AVERAGES = {"AdaptiveAvgPool2d", "adaptive_avg_pool2d", "AdaptiveAvgPool1d", "adaptive_avg_pool1d", "mean"}
MAXIMA = {"AdaptiveMaxPool2d", "adaptive_max_pool2d", "AdaptiveMaxPool1d", "adaptive_max_pool1d", "amax"}
FIXED_POOLS = {
    "avg_pool1d": nn.AvgPool1d, "max_pool1d": nn.MaxPool1d,
    "avg_pool2d": nn.AvgPool2d, "max_pool2d": nn.MaxPool2d,
}  # fmt: skip
Sliding = nn.Conv1d | nn.Conv2d | nn.AvgPool1d | nn.AvgPool2d | nn.MaxPool1d | nn.MaxPool2d


class Windows(nn.Module):
    """Lay each window's values one behind another, as a flattening does: (N, C, H, W) -> (N, C h w, ...)."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        for axis, size in enumerate(self.size, 2):
            x = x.unfold(axis, size, 1)
        axes = len(self.size)
        places = x.shape[2 : 2 + axes]
        order = (0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
        return x.permute(order).reshape(len(x), -1, *places)


class SlidingMean(nn.Module):
    """Average over every ``size`` neighbouring steps, at a cost that does not depend on it.

    (N, C, L) -> (N, C, L - size + 1), as differences of running sums.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        total = F.pad(x, (1, 0)).cumsum(2, dtype=torch.float64)
        return ((total[..., self.size :] - total[..., : -self.size]) / self.size).to(x.dtype)


class From(nn.Module):
    """Leave out the first steps: the last step of every window is left. (N, C, L) -> (N, C, L - first)."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.first :]


OVER_TIME: dict[Any, Callable[[int], nn.Module]] = {
    sequence.mean_over_time: SlidingMean,
    sequence.max_over_time: lambda steps: nn.MaxPool1d(steps, 1),
    sequence.last_step: lambda steps: From(steps - 1),
}


def reshaped(name: str, given: torch.Size, made: torch.Size, axes: int) -> nn.Module:
    """Keep channels where they are: a vector of D numbers is a map of D channels from now on."""
    channels, places = given[1], given[2:]
    if made == given or (places.numel() == 1 and made[1:].numel() == channels == made[1]):
        return nn.Identity()
    if len(places) != axes or made[1:] != (channels * places.numel(),):
        raise refusal(f"{name} makes {words(made)} of {words(given)}")
    return Windows(places)


def as_convolution(layer: nn.Linear, given: torch.Size, axes: int) -> nn.Module:
    """Give the convolution over a map (N, C, h, w), or over a vector (N, D), that a dense layer is."""
    size = tuple(given[2:]) or (1,) * axes
    kind: Any = nn.Conv2d if axes == 2 else nn.Conv1d
    conv: nn.Conv1d | nn.Conv2d = kind(
        given[1], layer.out_features, size, bias=layer.bias is not None, device="meta"
    )
    conv.weight = nn.Parameter(layer.weight.detach().view(layer.out_features, given[1], *size))
    conv.bias = layer.bias
    return conv


def norm_of_map(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """Norm the channels of a map as those of a vector."""
    made = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    made.__dict__.update(copy.copy(norm.__dict__))
    return made


def pooled(name: str, given: torch.Size, made: torch.Size, axes: int) -> nn.Module:
    """Pool over a window of the size that was pooled over in training."""
    sizes, counts = tuple(given[2:]), tuple(made[2:]) or (1,) * axes
    if len(sizes) != axes or any(size % count for size, count in zip(sizes, counts, strict=True)):
        raise refusal(f"{name} makes {words(made)} of {words(given)}")
    kernel = tuple(size // count for size, count in zip(sizes, counts, strict=True))
    stride = tuple(1 if count == 1 else size for size, count in zip(kernel, counts, strict=True))
    if name in AVERAGES and axes == 1 and stride == (1,):
        return SlidingMean(kernel[0])
    kind: Any = FIXED_POOLS[f"{'max' if name in MAXIMA else 'avg'}_pool{axes}d"]
    pool: nn.Module = kind(kernel, stride)
    return pool


def at_every_place(module: Sliding, given: torch.Size) -> nn.Module:
    """Give a layer whose kernel covers its whole map stride 1: in training its stride never counted."""
    once = (1,) * (len(given) - 2)
    stride = module.stride if isinstance(module.stride, tuple) else (module.stride,) * len(once)
    if stride == once:
        return module
    shadow: Any = copy.deepcopy(module)  # a shallow copy is refused where weight norm computes the weights
    shadow.stride = once
    made = copy.deepcopy(shadow).to("meta")(torch.empty(given, device="meta"))
    if isinstance(made, tuple):
        return module
    shadow.stride = tuple(1 if n == 1 else step for n, step in zip(made.shape[2:], stride, strict=True))
    return shadow  # type: ignore[no-any-return]


def refusal(reason: str) -> ModelError:
    return ModelError(
        f"The network cannot be made fully convolutional: {reason}.", "It can be scanned window by window."
    )


def words(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:])) or "nothing"
