"""What a network has learned to look for, and where it finds it: its kernels, and the maps of a layer."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from striate.explain.layers import output_of


class Maps(NamedTuple):
    """What a layer puts out. maps: (N, C, ...) signed.   order: (N, C) units, most active first."""

    maps: Tensor
    order: Tensor


def kernels(model: nn.Module) -> dict[str, Tensor]:
    """Give a copy of each convolution's kernels, raw and signed, by the convolution's name.

    Returns: (O, C/groups, kh, kw), or (O, C/groups, k) of a 1-D one: first the O it puts out, for transposed
    convolutions, too. A network without convolutions has none.

    >>> {name: tuple(k.shape) for name, k in kernels(nn.Sequential(nn.Conv2d(1, 6, 5))).items()}
    {'0': (6, 1, 5, 5)}
    """
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd):  # noqa: SLF001 - no public name
            found[name] = _outputs_first(module).detach().float().clone()
    return found


def feature_maps(model: nn.Module, x: Tensor, layer: str) -> Maps:
    """Give the maps that a layer makes of pictures, and its units in the order of their activity.

    x: (N, C, H, W) or (N, C, L).   A unit's activity is the mean of its absolute values over the places.
    Raises ModelError for an unknown layer.

    >>> from torch import ones
    >>> maps, order = feature_maps(nn.Sequential(nn.Conv1d(1, 2, 3)), ones(4, 1, 5), "0")
    >>> tuple(maps.shape), tuple(order.shape)
    ((4, 2, 3), (4, 2))
    """
    maps = output_of(model, x, layer)
    activity = maps.abs().flatten(2).mean(2) if maps.dim() > 2 else maps.abs()
    return Maps(maps, activity.argsort(dim=1, descending=True, stable=True))


def _outputs_first(module: nn.modules.conv._ConvNd) -> Tensor:
    weight = module.weight
    if not module.transposed:
        return weight
    groups = module.groups  # (C, O/g, ...) -> (O, C/g, ...)
    apart = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2)
    return apart.reshape(module.out_channels, -1, *weight.shape[2:])
