"""The arithmetic of one layer, with its numbers in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate.errors import ModelError, did_you_mean
from striate.ops.size import misfit
from striate.summary.table import by, same

if TYPE_CHECKING:
    from striate.summary.result import Inspected, Layer, Window


def explain(inspected: Inspected, name: str) -> str:
    """Write out how the numbers of one layer come about.

    name: as in the table, or its number there.  Raises ModelError for a layer that there is not.
    """
    layers = {layer.name: layer for layer in inspected.layers}
    if name.isdigit() and name not in layers and 0 < int(name) <= len(inspected.layers):
        name = inspected.layers[int(name) - 1].name
    if name not in layers:
        raise ModelError(f"{inspected.model} has no layer {name!r}.", did_you_mean(name, layers))
    layer = layers[name]
    told = [("", f"{layer.name}  {layer.kind}  {by(layer.input)} -> {by(layer.output)}")]
    if layer.window is not None:
        told += _sizes(layer, layer.window)
    told += _weights(layer)
    told += _field(inspected, layer)
    told += _memory(inspected, layer)
    return "\n".join(f"{topic:<17}{words}".rstrip() if topic else words for topic, words in told)


def _sizes(layer: Layer, window: Window) -> list[tuple[str, str]]:
    if window.transposed:
        return [("size", f"a transposed convolution: {by(layer.input[1:])} becomes {by(layer.output[1:])}")]
    names = ("height", "width") if len(window.axes) == 2 else ("length",)
    formulas = [axis.formula() for axis in window.axes]
    if len(set(formulas)) == 1:
        told = [("size", formulas[0] + (", height and width alike" if len(names) == 2 else ""))]
    else:
        told = [
            ("size" if i == 0 else "", f"{formula}, {name}")
            for i, (formula, name) in enumerate(zip(formulas, names, strict=False))
        ]
    for axis in window.axes[:1]:
        if axis.exact.denominator != 1 and axis.ceil:
            told.append(("", f"rounded up to {axis.positions}: the last window hangs over the edge"))
    if layer.misfit:
        told += [("does not fit", misfit(window.axes, pools=not window.learned)[1])]
    return told


def _weights(layer: Layer) -> list[tuple[str, str]]:
    window = layer.window
    if window is None or not window.learned:
        return _plain(layer)
    kernel = "*".join(str(axis.kernel) for axis in window.axes)
    channels, filters = window.in_channels // window.groups, window.out_channels
    taps = math.prod(axis.kernel for axis in window.axes) * channels
    one = taps + window.use_bias
    places = "*".join(str(n) for n in layer.output[1:])
    told = [
        (
            "parameters",
            f"{kernel}*{channels}{' + 1' * window.use_bias} = {one:,}, {one}*{filters} = {one * filters:,}"
            + (f", in {window.groups} groups of {channels} channels" if window.groups > 1 else ""),
        )
    ]
    if layer.shared_with:
        told.append(("", f"shared with {layer.shared_with}, and counted there"))
    if window.transposed:
        places = "*".join(str(n) for n in layer.input[1:])
        told.append(("multiply-adds", f"{kernel}*{channels}*{filters}*{places} = {layer.multiply_adds:,}"))
        return told
    told.append(("multiply-adds", f"{kernel}*{channels}*{filters}*{places} = {layer.multiply_adds:,}"))
    spots = math.prod(layer.output[1:])
    told += [
        (
            "unshared",
            (
                f"filters of its own at each of {places} places: {one}*{filters}*{spots} = "
                f"{one * filters * spots:,} parameters"
            ),
        ),
        (
            "dense instead",
            (
                f"{'*'.join(map(str, layer.input))} inputs to {'*'.join(map(str, layer.output))} outputs: "
                f"{layer.dense_parameters:,} parameters"
            ),
        ),
    ]
    return told


def _plain(layer: Layer) -> list[tuple[str, str]]:
    told = []
    if layer.parameters or layer.shared_with:
        words = f"{layer.parameters:,}"
        if layer.kind == "Linear" and layer.parameters:
            into, out = layer.input[-1], layer.output[-1]
            bias = layer.parameters - into * out
            words = f"{into}*{out}{f' + {bias}' if bias else ''} = {layer.parameters:,}"
        told.append(("parameters", f"shared with {layer.shared_with}" if layer.shared_with else words))
    elif layer.window is not None:
        told.append(("parameters", "none"))
    if layer.multiply_adds:
        words = f"{layer.multiply_adds:,}"
        if layer.kind == "Linear":
            many = "".join(f"*{n}" for n in layer.output[:-1])
            words = f"{layer.input[-1]}*{layer.output[-1]}{many} = {layer.multiply_adds:,}"
        told.append(("multiply-adds", words))
    if layer.uncounted:
        told.append(("not counted", ", ".join(layer.uncounted)))
    if layer.other_operations:
        told.append(("other operations", f"{layer.other_operations:,}"))
    return told


def _field(inspected: Inspected, layer: Layer) -> list[tuple[str, str]]:
    field = layer.receptive_field
    if field is None:
        return []
    told = []
    before = next((inspected.layers[i].receptive_field for i in layer.inputs if i >= 0), None)
    window = layer.window
    if window is not None and not window.transposed and all(step is not None for step in field.stride):
        axis = window.axes[0]
        size, step = (before.size[0], before.stride[0]) if before else (1, 1)
        offset = before.offset[0] if before else 0
        if step is not None and size + (axis.extent - 1) * step == field.size[0]:
            told += [
                (
                    "receptive field",
                    f"{size} + ({axis.extent} - 1)*{step} = {field.size[0]} pixels of the input",
                ),
                ("its step", f"{step}*{axis.stride} = {field.stride[0]}"),
                ("its start", f"{offset} - {axis.padding[0]}*{step} = {field.offset[0]}"),
            ]
    if not told:
        pixels = inspected.input[-len(field.size) :]
        more = all(seen >= n for seen, n in zip(field.size, pixels, strict=True))
        told.append(
            (
                "receptive field",
                f"{same(field.size)} pixels of the input" + (f", all of its {same(pixels)}" if more else ""),
            )
        )
    return told


def _memory(inspected: Inspected, layer: Layer) -> list[tuple[str, str]]:
    if not (layer.memory.inference or layer.memory.training):
        return []
    values = "*".join(map(str, (inspected.batch, *layer.output)))
    return [
        (
            "memory",
            (
                f"{values} values: {layer.memory.inference:,} bytes made, "
                f"{layer.memory.training:,} kept for the backward pass"
            ),
        )
    ]
