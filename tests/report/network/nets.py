"""Inspections made by hand, small enough to count on one's fingers, and a reader of pages."""

from __future__ import annotations

import dataclasses
import itertools
import math
from html.parser import HTMLParser
from typing import Any

from striate.ops.size import Axis
from striate.summary.result import (
    Inspected,
    Layer,
    LayerMemory,
    Memory,
    ReceptiveField,
    Shape,
    Totals,
    Window,
)

VOID = {"meta", "br"}


def call(name: str, kind: str, output: Shape, *inputs: int, **more: Any) -> dict[str, Any]:
    """Describe a row; without inputs it reads the row before it."""
    functional = kind == kind.lower()
    return {"name": name, "kind": kind, "output": output, "inputs": inputs, "functional": functional, **more}


def conv(
    name: str, before: Shape, channels: int, kernel: int, *inputs: int, stride: int = 1, padding: int = 0
) -> dict[str, Any]:
    axes = tuple(Axis(n, kernel, stride, (padding, padding)) for n in before[1:])
    output = (channels, *(axis.positions for axis in axes))
    weights = before[0] * channels * kernel ** len(axes)
    lost = tuple(axis.never_seen for axis in axes)
    return call(
        name,
        f"Conv{len(axes)}d",
        output,
        *inputs,
        window=Window(axes, before[0], channels),
        parameters=weights,
        trainable=weights,
        multiply_adds=weights * math.prod(output[1:]),
        border_loss=lost,
        warning="the last are never seen" if any(lost) else "",
        receptive_field=ReceptiveField((kernel,) * len(axes), (stride,) * len(axes), (-padding,) * len(axes)),
    )


def pool(name: str, before: Shape, kernel: int, *inputs: int) -> dict[str, Any]:
    made = conv(name, before, before[0], kernel, *inputs, stride=kernel)
    window = dataclasses.replace(made["window"], learned=False)
    return made | {"kind": "MaxPool2d", "window": window, "parameters": 0, "trainable": 0, "multiply_adds": 0}


def dense(name: str, before: int, units: int, *inputs: int) -> dict[str, Any]:
    n = before * units
    return call(name, "Linear", (units,), *inputs, parameters=n, trainable=n, multiply_adds=n)


def net(shape: Shape, *calls: dict[str, Any], model: str = "net", **more: Any) -> Inspected:
    """Join rows to an inspection whose sums are right."""
    layers: list[Layer] = []
    for row, made in enumerate(calls):
        inputs = made["inputs"] or (row - 1,)
        first = shape if inputs[0] < 0 else layers[inputs[0]].output
        module = made.get("module", made["name"].rpartition(".")[0])
        kept = LayerMemory(4 * math.prod(made["output"]), 0)
        layers.append(Layer(**{"memory": kept, **made, "inputs": inputs, "input": first, "module": module}))
    parameters = sum(layer.parameters for layer in layers)
    work = sum(layer.multiply_adds for layer in layers)
    stored = sum(layer.memory.training for layer in layers)
    memory = Memory(
        inference=stored,
        training=4 * parameters + stored,
        parameters=4 * parameters,
        activations=stored,
    )
    totals = Totals(parameters, parameters, work, 0, 0, 0)
    return Inspected(
        **{"totals": totals, "memory": memory, **more},
        model=model,
        input=shape,
        batch=32,
        layers=tuple(layers),
    )


def chain(**more: Any) -> Inspected:
    return net(
        (3, 32, 32),
        conv("conv1", (3, 32, 32), 8, 3, padding=1),
        call("bn1", "BatchNorm2d", (8, 32, 32), parameters=16, trainable=16),
        call("relu", "relu", (8, 32, 32)),
        pool("pool1", (8, 32, 32), 2),
        call("flatten", "flatten", (2048,)),
        dense("fc", 2048, 10),
        **more,
    )


def residual(*, projection: bool = False) -> Inspected:
    """One block: two convolutions, and around them the input itself or a convolution of it."""
    shape = (8, 16, 16)
    calls = [
        conv("stem", (3, 16, 16), 8, 3, padding=1),
        conv("block.conv1", shape, 8, 3, padding=1),
        call("block.relu1", "ReLU", shape),
        conv("block.conv2", shape, 8, 3, padding=1),
    ]
    around = 0
    if projection:
        calls.append(conv("block.down.0", shape, 8, 1, 0))
        around = 4
    return net(
        (3, 16, 16), *calls, call("block.add", "add", shape, 3, around), call("block.relu", "relu", shape)
    )


def inception() -> Inspected:
    shape = (16, 8, 8)
    return net(
        (3, 8, 8),
        conv("stem", (3, 8, 8), 16, 1),
        conv("mix.a", shape, 4, 1, 0),
        conv("mix.b.0", shape, 4, 1, 0),
        conv("mix.b.1", (4, 8, 8), 12, 3, padding=1),
        call("mix.cat", "cat", (16, 8, 8), 1, 3),
        conv("head", shape, 2, 1),
    )


def long_net(stages: int, each: int) -> Inspected:
    """Stages of equal residual blocks, as hostile in length as ResNet-152: ten rows a block."""
    calls = [conv("conv1", (3, 224, 224), 64, 7, stride=2, padding=3)]
    shape = calls[0]["output"]
    for stage, block in itertools.product(range(1, stages + 1), range(each)):
        path, start = f"layer{stage}.{block}", len(calls) - 1
        for i, kernel in ((1, 1), (2, 3), (3, 1)):
            calls.append(conv(f"{path}.conv{i}", shape, 64, kernel, padding=kernel // 2))
            calls.append(call(f"{path}.bn{i}", "BatchNorm2d", shape, parameters=128, trainable=128))
            if i < 3:
                calls.append(call(f"{path}.relu", "ReLU", shape))
        calls.append(call(f"{path}.add", "add", shape, len(calls) - 1, start))
        calls.append(call(f"{path}.relu", "ReLU", shape))
    calls += [
        call("avgpool", "AdaptiveAvgPool2d", (64, 1, 1)),
        call("flatten", "flatten", (64,)),
        dense("fc", 64, 1000),
    ]
    return net((3, 224, 224), *calls, model="deep")


def u_net() -> Inspected:
    """A skip over too much to be drawn as one block."""
    shape = (4, 64, 64)
    calls = [conv(f"c{i}", (1, 64, 64) if not i else shape, 4, 3, padding=1) for i in range(30)]
    return net((1, 64, 64), *calls, call("cat", "cat", (8, 64, 64), 29, 0))


class Reader(HTMLParser):
    """Collect tags and visible text, and check that tags are closed in order."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(body)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.words += data.replace("\xa0", " ").replace("\u202f", " ")

    def having(self, name: str, value: str) -> list[dict[str, str | None]]:
        return [found for _, found in self.tags if value in (found.get(name) or "").split()]
