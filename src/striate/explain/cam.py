"""Where a layer's maps spoke for a class: Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain.gradients import BATCH, classes, differentiable, slope, watched
from striate.explain.layers import answer, batches, chosen, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def grad_cam(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    layer: str | None = None,
) -> Tensor:
    """Weigh a layer's maps by how much each speaks for a class, and add them up: ReLU(sum of a_k A_k).

    a_k is the mean over all places of the gradient of the class's score with respect to map A_k.

    model: gives scores (N, K).   x: (N, C, H, W) or (N, C, L).
    target: a class, one for each picture, or None for the network's own.
    layer: a layer or a block of layers, by its path; None is :func:`last_maps`.
    Returns: (N, 1, h, w) or (N, 1, l), at the layer's size and in units of score; not scaled to 0..1, so that
    maps can be compared.
    Raises ModelError for an unknown layer, one without places, or a class that there is not.
    Source: Selvaraju et al. 2017, section 3.
    """
    layer = last_maps(model, x) if layer is None else layer
    index = classes(model, x, target)
    found = []
    for rows in batches(torch.arange(len(x), device=x.device), BATCH):
        with differentiable(model, x[rows]) as leaf:
            returned, maps = watched(model, leaf, layer)
            if maps.dim() != x.dim():
                what = "single numbers" if maps.dim() < 3 else f"{tuple(maps.shape[1:])}"
                raise ModelError(
                    f"Layer {layer} puts out {what}, not maps.",
                    "Name a convolution or a block.",
                )
            slopes = slope(chosen(answer(returned), index[rows]).sum(), maps)
        weights = slopes.flatten(2).mean(2).view(*slopes.shape[:2], *(1,) * (slopes.dim() - 2))
        cam = (weights * maps.detach()).sum(1, keepdim=True).relu()
        found.append(cam.to(torch.promote_types(x.dtype, torch.float32)))
    return torch.cat(found)


def last_maps(model: nn.Module, x: Tensor) -> str:
    """Name what puts out the last maps as large as those of the last convolution with more than one place.

    That is the convolution itself, a norm after it, or a whole block: in a residual network the last stage,
    whose maps hold the shortcut's part too. An activation by itself does not count, so that it does not
    matter whether it is a module or a function.
    Raises ModelError for a network that has none.
    """
    heard: list[tuple[str, bool, torch.Size]] = []

    def hear(name: str, module: nn.Module, output: Tensor) -> None:
        counts = next(module.children(), None) is not None or module.state_dict()
        if counts and output.dim() == x.dim() and output[0, 0].numel() > 1:
            heard.append((name, isinstance(module, CONVOLUTIONS), output.shape[2:]))

    with differentiable(model, x[:1]) as leaf, torch.no_grad():
        follow(model, leaf.clone(), hear, blocks=True)
    size = next((size for _, convolution, size in reversed(heard) if convolution), None)
    if size is None:
        raise ModelError(
            "The network has no convolution with more than one place, which Grad-CAM needs.",
            "Take saliency, integrated_gradients or occlusion.",
        )
    return next(name for name, _, own in reversed(heard) if own == size)
