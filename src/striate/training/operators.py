"""Each operator of a network by itself: how long it takes on torch's kernels, and what the machine allows."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from striate.runs.forward import computing
from striate.training.roofline import inspected, least

if TYPE_CHECKING:
    from striate.summary.result import Layer
    from striate.training.machine import Limits

MEASURED = (nn.modules.conv._ConvNd, nn.Linear, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001 - no public names
TIMES = 3  # after one to warm up; the fastest counts


@dataclass(frozen=True)
class Operator:
    """A convolution, dense layer or normalisation of a network, measured alone at the network's shapes.

    what: such as ``Conv2d 3x3``.   input, output: without the batch.   count: layers of this shape.
    forward, backward: seconds of one of them.   flops: FLOP/s both ways, two to a multiply-add.
    share: of what the machine's limits allow, 1 is all.
    """

    what: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    count: int
    forward: float
    backward: float
    flops: float
    share: float

    @property
    def seconds(self) -> float:
        """What all layers of this shape take."""
        return self.count * (self.forward + self.backward)


def operators(
    model: nn.Module, shape: tuple[int, ...], batch: int, limits: Limits, precision: str
) -> list[Operator]:
    """Measure each distinct operator; those that take most come first.

    shape: of one input, (C, H, W).   precision: float32, or any other for autocast to bfloat16.
    """
    counted = inspected(model, shape, batch)
    if counted is None:
        return []
    dtype = "float32" if precision == "float32" else "bfloat16"
    same: dict[tuple[object, ...], list[Layer]] = {}
    for layer in counted.layers:
        module = model.get_submodule(layer.module)
        if not layer.functional and isinstance(module, MEASURED):
            first = set(layer.inputs) == {-1}
            same.setdefault((repr(module), layer.input, layer.output, first), []).append(layer)
    found = []
    for layers in same.values():
        layer = layers[0]
        first = set(layer.inputs) == {-1}
        forward, backward = _seconds(
            model.get_submodule(layer.module), layer.input, batch, dtype, first=first
        )
        operations = 2 * layer.multiply_adds * batch * (2 if first else 3)
        allowed = least(layer, counted, limits, dtype, backward=True)
        both = forward + backward
        found.append(
            Operator(
                _what(layer), layer.input, layer.output, len(layers), forward, backward,
                operations / both, allowed / both,
            )
        )  # fmt: skip
    return sorted(found, key=lambda operator: -operator.seconds)


def _what(layer: Layer) -> str:
    kernel = "x".join(str(axis.kernel) for axis in layer.window.axes) if layer.window else ""
    return f"{layer.kind} {kernel}".strip()


def _seconds(
    module: nn.Module, shape: tuple[int, ...], batch: int, dtype: str, *, first: bool
) -> tuple[float, float]:
    """Time a copy of a layer forward and backward; the first of a network owes no gradient of its input."""
    module = copy.deepcopy(module).train()
    x = torch.randn(batch, *shape)
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = (x if dtype == "float32" else x.bfloat16()).requires_grad_(not first)
    taken = []
    for _ in range(TIMES + 1):
        x.grad = None
        started = time.perf_counter()
        with computing(dtype, "cpu"):
            y = module(x)
        middle = time.perf_counter()
        y.backward(torch.ones_like(y))
        taken.append((middle - started, time.perf_counter() - middle))
        module.zero_grad(set_to_none=True)
    forward, backward = zip(*taken[1:], strict=True)
    return min(forward), min(backward)
