"""The arithmetic of one layer, with its numbers in it."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

from striate.errors import ModelError
from striate.ops.size import misfit
from striate.summary.result import ReceptiveField
from striate.summary.table import by, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from striate.ops.size import Axis
    from striate.summary.result import Inspected, Layer, Window

Told = tuple[str, str]  # a topic, "" for more on the one before, and what there is to say
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
TOPICS = 17  # characters


def explain(inspected: Inspected, name: str) -> str:
    """Write out how the numbers of one layer come about.

    name: as in the table, or its number there.  Raises ModelError for a layer that there is not.
    """
    layers = {layer.name: layer for layer in inspected.layers}
    if name not in layers and name.isdecimal() and 0 < int(name) <= len(inspected.layers):
        name = inspected.layers[int(name) - 1].name
    if name not in layers:
        near = difflib.get_close_matches(name, layers, n=1) if not name.isdecimal() else []
        several = f"Give a name from the table, or a number from 1 to {len(layers)}." if layers else ""
        hint = f"Did you mean {near[0]}?" if near else several
        raise ModelError(f"{inspected.model} has no layer {name!r}.", hint)
    layer = layers[name]
    told = [*_size(layer), *_weights(layer), *_work(layer), *_replaced(layer)]
    told += [*_field(inspected, layer), *_memory(inspected, layer)]
    head = f"{layer.name}  {layer.kind}  {by(layer.input)} -> {by(layer.output)}"
    return "\n".join([head, *(f"{topic:<{TOPICS}}{words}" for topic, words in told)])


def _size(layer: Layer) -> Iterator[Told]:
    window = layer.window
    if window is None:
        return
    if window.transposed:
        out = layer.output[-len(window.axes) :]
        formulas = [_transposed(axis, n) for axis, n in zip(window.axes, out, strict=True)]
    else:
        formulas = [axis.formula() for axis in window.axes]
    yield from _each_axis("size", formulas)
    for axis in window.axes[:1]:
        if axis.ceil and axis.exact.denominator != 1 and axis.positions > axis.exact:
            yield "", f"rounded up to {axis.positions}: the last window hangs over the edge"
        elif axis.ceil and axis.exact.denominator != 1:
            yield "", f"rounded down to {axis.positions}: one more window would start behind the input"
    if layer.misfit:
        yield "does not fit", misfit(window.axes, pools=not window.learned)[1]


def _transposed(axis: Axis, out: int) -> str:
    """Write the size of a transposed convolution; what is left over is its output padding."""
    before, after = axis.padding
    plain = (axis.n - 1) * axis.stride - before - after + axis.extent
    padding = f" - 2*{before}" if before else ""
    extent = f"{axis.kernel}" if axis.dilation == 1 else f"({axis.dilation}*({axis.kernel} - 1) + 1)"
    more = f" + {out - plain}" if out != plain else ""
    return f"({axis.n} - 1)*{axis.stride}{padding} + {extent}{more} = {out}"


def _each_axis(topic: str, formulas: Sequence[str]) -> Iterator[Told]:
    """Give one line for axes that agree, else one for each."""
    if len(set(formulas)) == 1:
        yield topic, formulas[0]
        return
    for i, (formula, name) in enumerate(zip(formulas, AXES[len(formulas)], strict=True)):
        yield topic if i == 0 else "", f"{name}: {formula}"


def _weights(layer: Layer) -> Iterator[Told]:
    if layer.shared_with:
        yield "parameters", f"shared with {layer.shared_with}, and counted there"
        return
    if layer.parameters or layer.window is not None:
        formula = _formula(layer)
        total = f"{layer.parameters:,}"
        yield "parameters", f"{formula} = {total}" if formula else total if layer.parameters else "none"
    if frozen := layer.parameters - layer.trainable:
        yield "", f"{'all' if frozen == layer.parameters else f'{frozen:,}'} of them frozen"


def _formula(layer: Layer) -> str:
    """Write how the parameters are counted; "" where that is no formula that people know."""
    window, into, out = layer.window, layer.input, layer.output
    if window is not None and window.learned:
        words, taps = _taps(window)
        one = taps + window.use_bias
        one += (one + 1) * window.out_channels == layer.parameters  # weight norm: the length of each filter
        found = one * window.out_channels
        words = f"{words}{' + 1' * (one - taps)} = {one:,}, {one}*{window.out_channels}"
    elif layer.kind == "Linear" and into and out:
        weights = into[-1] * out[-1]
        use_bias = layer.parameters == weights + out[-1]
        found = weights + use_bias * out[-1]
        words = f"{into[-1]}*{out[-1]}{f' + {out[-1]}' * use_bias}"
    elif layer.kind in GATES and into and out:
        gates, c, h = GATES[layer.kind], into[-1], out[-1]
        words, found = f"{gates}*({c}*{h} + {h}*{h} + 2*{h})", gates * (c * h + h * h + 2 * h)
    elif "BatchNorm" in layer.kind and out:
        words, found = f"2*{out[0]}", 2 * out[0]  # a scale and a shift for each channel
    else:
        return ""
    return words if found == layer.parameters else ""  # a weight that is computed first has others


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}  # each reads the input and the state, with a bias for both


def _taps(window: Window) -> tuple[str, int]:
    """Count the weights of one filter, in words and as a number."""
    numbers = [*(axis.kernel for axis in window.axes), window.in_channels // window.groups]
    return "*".join(map(str, numbers)), math.prod(numbers)


def _work(layer: Layer) -> Iterator[Told]:
    window, words, found = layer.window, "", 0
    if window is not None and window.learned:
        places = (layer.input if window.transposed else layer.output)[-len(window.axes) :]
        words, taps = _taps(window)
        words = "*".join(map(str, (words, window.out_channels, *places)))
        found = taps * window.out_channels * math.prod(places)
    elif layer.kind == "Linear":
        words = "*".join(map(str, (layer.input[-1], *layer.output)))
        found = layer.input[-1] * math.prod(layer.output)
    if layer.multiply_adds:
        formula = f"{words} = " if found == layer.multiply_adds else ""
        yield "multiply-adds", f"{formula}{layer.multiply_adds:,}"
    if layer.uncounted:
        yield "not counted", ", ".join(layer.uncounted)
    if layer.other_operations:
        yield "other operations", f"{layer.other_operations:,}"


def _replaced(layer: Layer) -> Iterator[Told]:
    """Compare a convolution with what has more weights for the same input and output."""
    window = layer.window
    if window is None or not window.learned or window.transposed:
        return
    one = _taps(window)[1] + window.use_bias
    numbers = (one, window.out_channels, *layer.output[-len(window.axes) :])
    unshared = f"{'*'.join(map(str, numbers))} = {math.prod(numbers):,} parameters"
    yield "if not shared", f"{unshared}, filters of their own at each place"
    into, out = math.prod(layer.input), math.prod(layer.output)
    dense = f"{into}*{out}{f' + {out}' * window.use_bias} = {layer.dense_parameters:,} parameters"
    yield "if dense", f"{dense}, each output joined to each input"


def _field(inspected: Inspected, layer: Layer) -> Iterator[Told]:
    field = layer.receptive_field
    if field is None:
        return
    before = [inspected.layers[i].receptive_field if i >= 0 else START for i in layer.inputs]
    grown = _grown(layer, before[0]) if len(before) == 1 and before[0] is not None else []
    if grown:
        for topic, formulas in zip(("receptive field", "its stride", "its offset"), grown, strict=True):
            yield from _each_axis(topic, formulas)
        return
    pixels = inspected.input[-len(field.size) :]
    whole = all(seen >= n for seen, n in zip(field.size, pixels, strict=True))
    yield (
        "receptive field",
        f"{same(field.size)} {_places(field)} of the input{f', which has {same(pixels)}' if whole else ''}",
    )


def _places(field: ReceptiveField) -> str:
    return "steps" if len(field.size) == 1 else "pixels"


START = ReceptiveField((), (), ())  # of the input itself


def _grown(layer: Layer, before: ReceptiveField) -> list[list[str]]:
    """Write how size, stride and offset follow from those of the layer before; [] where they do otherwise."""
    field, window = layer.receptive_field, layer.window
    if field is None or window is None or window.transposed or len(window.axes) != len(field.size):
        return []
    many = len(field.size)
    sizes, strides = before.size or (1,) * many, before.stride or (1,) * many
    offsets = before.offset or (0,) * many
    told: list[list[str]] = [[], [], []]
    for i, axis in enumerate(window.axes):
        size, stride, offset, padding = sizes[i], strides[i], offsets[i], axis.padding[0]
        if stride is None:
            return []
        found = (size + (axis.extent - 1) * stride, stride * axis.stride, offset - padding * stride)
        if found != (field.size[i], field.stride[i], field.offset[i]):
            return []
        told[0].append(
            f"{size} + ({axis.extent} - 1)*{stride:g} = {found[0]:g} {_places(field)} of the input"
        )
        told[1].append(f"{stride:g}*{axis.stride} = {found[1]:g}")
        told[2].append(f"{offset} - {padding}*{stride:g} = {found[2]:g}")
    return told


def _memory(inspected: Inspected, layer: Layer) -> Iterator[Told]:
    made, kept = layer.memory.inference, layer.memory.training
    if made or kept:
        values = "*".join(map(str, (inspected.batch, *layer.output)))
        yield (
            "memory",
            f"{values} values: {made:,} bytes newly made, {kept:,} kept for the backward pass",
        )
