"""Answer pictures of which a window was changed by computing the first layers around that window only.

The first layers of a network are its largest maps, and a window reaches only a part of them: its own and the
receptive fields' margins. So they run once on the whole picture, then on crops, whose results are put in.
Source: Nakandala et al. 2019, Incremental and approximate inference for faster occlusion-based deep CNN
explanations, section 4 (here the first layers together, not each).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from striate.runs.fused import ADDS, RELUS, Packed

if TYPE_CHECKING:
    from collections.abc import Sequence

Span = tuple[slice, ...]
DEEPEST = 4
"""How many times smaller than the picture the last maps of the first layers are: then crops stay small."""


@dataclass(frozen=True)
class Reach:
    """Along one axis, output u of the first layers sees the inputs u stride - before to u stride + after."""

    stride: int
    before: int
    after: int

    def outputs(self, first: int, last: int, side: int) -> tuple[int, int]:
        """Give the outputs first..last that inputs first..last reach; side: how many outputs there are."""
        return max(0, -((self.after - first) // self.stride)), min(
            side - 1, (last + self.before) // self.stride
        )

    def start(self, output: int) -> int:
        """Give where a crop for this output and those after it begins, at a multiple of the stride."""
        return max(0, (output * self.stride - self.before) // self.stride * self.stride)

    def length(self, outputs: int, side: int) -> int:
        """Give how long a crop for so many outputs is, wherever it begins."""
        needed = (outputs - 1) * self.stride + self.before + self.after + self.stride
        return min(side, -(-needed // self.stride) * self.stride)


class Partial:
    """A traced network in two parts: its first layers, and the rest.

    Raises ValueError where there is no place to part it, and errors of torch.fx.
    """

    def __init__(self, traced: fx.GraphModule, pictures: Tensor) -> None:
        cut, self.reach = _cut(traced, pictures.shape[2])
        order = {node: number for number, node in enumerate(traced.graph.nodes)}
        parts = split_module(traced, traced, lambda node: int(order[node] > order[cut]))
        self.first: nn.Module = parts.get_submodule("submod_0")
        self.rest: nn.Module = parts.get_submodule("submod_1")
        self.whole = torch.cat([self.first(one[None]) for one in pictures])
        if any(reach.stride * maps != side for reach, maps, side in self._axes(pictures.shape[2:])):
            raise ValueError("The first layers leave a rest.")

    def __call__(self, scenes: Tensor, rows: Sequence[int], spans: Sequence[Span]) -> Tensor:
        """Give the outputs for copies of the pictures ``rows``, each changed within its span alone."""
        boxes = [self._box(span, scenes.shape[2:]) for span in spans]
        near = zip(scenes, boxes, strict=True)
        crops = torch.stack([scene[(slice(None), *crop)] for scene, (crop, _, _) in near])
        maps = self.whole[list(rows)]
        for one, part, (_, source, place) in zip(maps, self.first(crops), boxes, strict=True):
            one[place] = part[source]
        return self.rest(maps)  # type: ignore[no-any-return]

    def _box(self, span: Span, sides: Sequence[int]) -> tuple[Span, Span, Span]:
        """Give where the crop is in the picture, what of its maps counts, and where that belongs."""
        crop, source, place = [], [slice(None)], [slice(None)]
        for (reach, maps, side), axis in zip(self._axes(sides), span, strict=True):
            width = axis.stop - axis.start
            low, high = reach.outputs(axis.start, min(axis.stop, side) - 1, maps)
            most = (width + reach.before + reach.after) // reach.stride + 1
            length = reach.length(most, side)
            start = min(reach.start(low), side - length)
            crop.append(slice(start, start + length))
            begin = start // reach.stride
            source.append(slice(low - begin, high + 1 - begin))
            place.append(slice(low, high + 1))
        return tuple(crop), tuple(source), tuple(place)

    def _axes(self, sides: Sequence[int]) -> list[tuple[Reach, int, int]]:
        return list(zip(self.reach, self.whole.shape[2:], sides, strict=True))


def _cut(traced: fx.GraphModule, side: int) -> tuple[fx.Node, tuple[Reach, ...]]:
    """Find the last node with large enough maps past which nothing from before it is used, and its reach."""
    modules = dict(traced.named_modules())
    order = {node: number for number, node in enumerate(traced.graph.nodes)}
    reaches: dict[fx.Node, tuple[Reach, ...]] = {}
    best, needed = None, 0  # the last node that uses anything from before
    for node, number in order.items():
        told = node.meta.get("tensor_meta")
        if node.op == "placeholder":
            reaches[node] = (Reach(1, 0, 0),) * 2
        elif told is None or len(told.shape) != 4 or told.shape[2] * DEEPEST < side:
            break
        else:
            found = _reached(node, modules, reaches)
            if found is None:
                break
            reaches[node] = found
            best = node if needed <= number else best
        needed = max([needed, *(order[user] for user in node.users)])
    if best is None:
        raise ValueError("The network cannot be parted.")
    return best, reaches[best]


def _reached(
    node: fx.Node, modules: dict[str, nn.Module], reaches: dict[fx.Node, tuple[Reach, ...]]
) -> tuple[Reach, ...] | None:
    """Give the reach of a convolution, pooling, sum or ReLU from those of its inputs; of others None."""
    inputs = [reaches[source] for source in node.all_input_nodes]
    if len({tuple(reach.stride for reach in each) for each in inputs}) != 1:
        return None
    joined = tuple(
        Reach(each[0].stride, max(one.before for one in each), max(one.after for one in each))
        for each in zip(*inputs, strict=True)
    )
    layer = modules.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(layer, Packed):
        padding, stride, dilation = (_pair(each) for each in layer.geometry[:3])
        kernel = _pair(layer.weight.shape[2:])
    elif type(layer) is nn.MaxPool2d and not layer.ceil_mode:
        kernel, stride, padding, dilation = (
            _pair(each) for each in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
    elif node.target in ADDS or node.target in RELUS or type(layer) is nn.ReLU:
        return joined
    else:
        return None
    return tuple(
        Reach(
            s * reach.stride, reach.before + p * reach.stride, reach.after + (d * (k - 1) - p) * reach.stride
        )
        for reach, k, s, p, d in zip(joined, kernel, stride, padding, dilation, strict=True)
    )


def _pair(number: Any) -> tuple[int, int]:
    return (number, number) if isinstance(number, int) else tuple(number)
