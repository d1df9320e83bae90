"""Does a map depend on what the network has learned? Draw its weights anew and look whether the map moves."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate import taps
from striate.errors import ModelError
from striate.explain.layers import is_leaf, still
from striate.ops.sequence import lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

MOVES = 0.5
"""A map moves where its rank correlation with those of random weights stays below this."""


@dataclass(frozen=True)
class Sanity:
    """How alike a method's maps are before and after weights are drawn anew; 1 is the same order of pixels.

    correlation: Spearman's rank correlation of the signed maps, all weights random; mean over the pictures.
    absolute: the same without the signs, which says less: a picture's own empty places keep it high.
    by_depth: (layer, correlation of the signed maps) with this layer and all after it random: first the upper
    half of the layers, which alone exposes guided backpropagation, then all.
    """

    correlation: float
    absolute: float
    by_depth: tuple[tuple[str, float], ...]

    @property
    def moves(self) -> bool:
        """Whether the maps depend on the weights, those of the upper half as well."""
        return max(found for _, found in self.by_depth) < MOVES

    @property
    def badge(self) -> str:
        """Say it in words, to stand beside the map.

        >>> Sanity(0.04, 0.3, (("conv2", 0.02), ("conv1", 0.04))).badge
        'moves when the weights are randomised: rank correlation 0.04'
        >>> Sanity(0.3, 0.2, (("conv2", 0.9), ("conv1", 0.3))).badge
        'HARDLY MOVES when conv2 to the end are randomised: rank correlation 0.90; shows the input'
        """
        layer, most = max(self.by_depth, key=lambda found: found[1])
        if self.moves:
            return f"moves when the weights are randomised: rank correlation {most:.2f}"
        return (
            f"HARDLY MOVES when {layer} to the end are randomised: rank correlation {most:.2f};"
            " shows the input"
        )


def sanity(
    model: nn.Module, x: Tensor, method: Callable[[nn.Module, Tensor], Tensor], *, seed: int = 0
) -> Sanity:
    """Compare a method's maps with those of two copies of the network: upper half random, and all random.

    A weight tensor's numbers are drawn from a normal distribution of its own size; biases and the scales and
    statistics of norms change places among themselves. So signals keep about their size.

    x: (N, C, H, W) or (N, C, L). Small maps agree by chance: give several pictures, their mean counts.
    method: gives maps (N, ...) for a network and x. Let it ask for fixed classes: a network with random
    weights answers with others.
    The padding behind a sequence is not compared: there every map is as good as empty.
    Returns: :class:`Sanity`; it takes the method three times. The network is left as it was.
    Source: Adebayo et al. 2018, sections 3.1 and 4.
    """
    ends = [n / x.shape[2] for n in lengths(x).tolist()] if x.dim() == 3 else None
    before = method(model, x)
    owners = weighted(model, x)
    half = owners[len(owners) // 2 :]
    upper, every = (method(randomised(model, names, seed), x) for names in (half, None))
    whole = alike(before, every, ends)
    by_depth = ((half[0], alike(before, upper, ends)), (owners[0], whole))
    return Sanity(whole, alike(before.abs(), every.abs(), ends), by_depth)


def weighted(model: nn.Module, x: Tensor) -> list[str]:
    """Name the modules with weights in the order of their calls. Raises ModelError where there are none."""
    called: dict[str, None] = {}

    def note(call: taps.Call) -> None:
        inner = "parametrizations" in call.name.split(".")  # those are counted to the layer that they serve
        if not inner and is_leaf(call.module) and next(call.module.parameters(), None) is not None:
            called[call.name] = None

    with torch.no_grad(), still(model), taps.calls(model, lambda _: None, note):
        model(x[:1])
    found = list(called)
    if not found:
        raise ModelError("The network has no layer with weights that could be randomised.", "Give another.")
    return found


def randomised(model: nn.Module, names: list[str] | None, seed: int) -> nn.Module:
    """Copy a network and draw the weights of the named modules anew, or with None all weights.

    A tensor's draws depend only on the seed and its place in the network.
    """
    with torch.inference_mode(False):  # there the copies could have no gradients
        copied = copy.deepcopy(model)
    chosen = None
    if names is not None:
        chosen = {id(part) for name in names for part in copied.get_submodule(name).modules()}
    with torch.no_grad():
        for number, module in enumerate(copied.modules()):
            if chosen is None or id(module) in chosen:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
                for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                    _draw(tensor, generator)
    return copied


def alike(before: Tensor, after: Tensor, ends: Sequence[float] | None = None) -> float:
    """Give Spearman's rank correlation of two sets of maps (N, ...), the mean over N.

    ends: the share of each map's last axis that counts; None is all of it.
    A constant map has no order: beside another constant one it counts as 1, beside any other as 0.

    >>> round(alike(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.1, 0.2, 9.0]])), 6)
    1.0
    """
    from scipy.stats import rankdata

    found = []
    for one, other, end in zip(before, after, ends or [1.0] * len(before), strict=True):
        kept = math.ceil(end * one.shape[-1] - 1e-9)
        pair = (each[..., :kept].flatten().double().cpu() for each in (one, other))
        a, b = (torch.from_numpy(rankdata(each)) for each in pair)
        a, b = a - a.mean(), b - b.mean()
        both = (a.norm() * b.norm()).item()
        found.append((a @ b).item() / both if both else float(a.norm() == b.norm()))
    return float(sum(found) / len(found))


def _draw(tensor: Tensor, generator: torch.Generator) -> None:
    if not tensor.is_floating_point():
        return
    if tensor.dim() > 1:
        drawn = torch.randn(tensor.shape, generator=generator)
        tensor.copy_(drawn * float(tensor.square().mean().sqrt()))
    else:
        order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
        tensor.copy_(tensor.flatten()[order].view_as(tensor))
