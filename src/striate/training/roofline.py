"""The roofline over a layer: the seconds in which this machine could compute it, at its measured limits.

Source: Williams, Waterman and Patterson 2009, Roofline: an insightful visual performance model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate.errors import ModelError
from striate.summary.inspect import inspect

if TYPE_CHECKING:
    from torch import nn

    from striate.summary.result import Inspected, Layer
    from striate.training.machine import Limits


def inspected(model: nn.Module, shape: tuple[int, ...], batch: int) -> Inspected | None:
    """Count what each layer computes and moves; None for a network that cannot be followed."""
    try:
        return inspect(model, shape, batch=batch)
    except ModelError:
        return None


def least(layer: Layer, counted: Inspected, limits: Limits, dtype: str, *, backward: bool) -> float:
    """Give the seconds that the limits allow a layer, if each value is read once and written once.

    Forward reads the input and writes the output; backward reads both again, or their gradients, and writes
    the gradient of the input, which the first layer does not owe. Weights are read twice and their gradient
    is written.
    """
    if not (layer.multiply_adds or layer.other_operations or layer.memory.inference):
        return 0.0  # a view
    sources = [counted.input if i < 0 else counted.layers[i].output for i in layer.inputs]
    read, made = sum(map(math.prod, sources)), math.prod(layer.output)
    first = set(layer.inputs) == {-1}
    values, ways = read + made, 1
    if backward:
        values, ways = values + made + (1 if first else 2) * read, 2 if first else 3
    moved = (counted.batch * values + (1 + 2 * backward) * layer.parameters) * (
        4 if dtype == "float32" else 2
    )
    return limits.least(2 * layer.multiply_adds * counted.batch * ways, moved, dtype)
