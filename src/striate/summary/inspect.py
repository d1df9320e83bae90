"""The arithmetic of any network, from one pass in evaluation and one in training mode on the meta device."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from striate.errors import DoesNotFit, ModelError
from striate.ops.size import misfit
from striate.summary import failure, memory, receptive
from striate.summary.meta import is_ours_to_change, without_numbers
from striate.summary.result import Inspected, Layer, LayerMemory, Memory, Shape, Totals, Window
from striate.summary.rows import Line, Rows
from striate.summary.trace import Trace, Traced

if TYPE_CHECKING:
    from collections.abc import Sequence


def inspect(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    batch: int = 32,
    optimizer: str = "sgd",
    strict: bool = False,
    name: str = "",
) -> Inspected:
    """Work out what a network computes, stores and sees; nothing is computed, and the network is only read.

    input_shape: without the batch, such as (3, 224, 224); batch: examples in a step, for the memory.
    optimizer: sgd (with momentum), adam or adamw, for the memory.  strict: raise DoesNotFit for a convolution
    or pooling whose windows do not fill their input.
    Raises ModelError: the forward pass fails, takes two inputs, or decides by values; the message names the
    layer, both shapes and the smallest input that works.

    >>> inspect(nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32)).totals.parameters
    760
    """
    shape = _checked(input_shape, batch)
    failure.check_signature(model)
    own = model if is_ours_to_change(model) else without_numbers(model)
    x, traced = _trace(own.eval(), shape)
    saved, step, trouble = _train(
        own.train(), torch.empty(batch, *x.shape[1:], dtype=x.dtype, device="meta"), optimizer
    )
    layers = _layers(traced, batch, saved, places=x.dim() - _first_place(x))
    if strict:
        _refuse(layers)
    parameters = list(own.parameters())
    used = {id(parameter) for line in traced.lines for parameter in line.parameters}
    fixed = sum(t.numel() * t.element_size() for t in (*parameters, *own.buffers()))
    warnings = [f"{layer.name}: {layer.warning}" for layer in layers if layer.warning]
    warnings += [
        f"{layer.name}: {', '.join(layer.uncounted)} cannot be counted" for layer in layers if layer.uncounted
    ]
    return Inspected(
        model=name or type(model).__name__,
        input=shape,
        batch=batch,
        layers=layers,
        totals=Totals(
            parameters=sum(p.numel() for p in parameters),
            trainable=sum(p.numel() for p in parameters if p.requires_grad),
            multiply_adds=sum(layer.multiply_adds for layer in layers),
            other_operations=sum(layer.other_operations for layer in layers),
            buffers=sum(b.numel() for b in own.buffers()),
            dense_parameters=sum(layer.dense_parameters or layer.parameters for layer in layers),
        ),
        memory=replace(step, inference=fixed + batch * traced.peak),
        optimizer=optimizer,
        unused=_unused(own, used),
        warnings=(*warnings, *([trouble] if trouble else [])),
    )


def _checked(input_shape: Sequence[int], batch: int) -> Shape:
    shape = tuple(input_shape)
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ModelError(
            f"The input must be whole numbers above 0. Received: {input_shape!r}.", "For example 3x224x224."
        )
    if batch < 1:
        raise ModelError(f"The batch must be at least 1. Received: {batch}.")
    return shape


def _first_place(x: torch.Tensor) -> int:
    return 2 if x.dtype.is_floating_point else 1


def _trace(model: nn.Module, shape: Shape) -> tuple[torch.Tensor, Traced]:
    """Run once with numbers for the input, and once more with symbols where the network looks them up."""
    types = [torch.float32]
    if any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in model.modules()):
        types.insert(0, torch.int64)
    first: tuple[Exception, Rows] | None = None
    for dtype in types:
        x = torch.empty(1, *shape, dtype=dtype, device="meta")
        trace = Trace(model)
        try:
            return x, trace.run(x, range(_first_place(x), x.dim()))
        except Exception as error:  # noqa: BLE001 - anybody's forward may raise anything
            first = first or (error, trace.rows)
    assert first is not None
    raise failure.explain(first[0], first[1], model, shape, types[0]) from first[0]


def _train(model: nn.Module, x: torch.Tensor, optimizer: str) -> tuple[dict[str, int], Memory, str]:
    """Go through one training step: bytes kept for the backward pass by line, and the memory of the step."""
    names: list[str] = []
    rows = Rows(model, lambda line: names.append(line.name), lambda _: None)
    try:
        with rows:
            step = memory.step(
                model, x, optimizer=optimizer, row=lambda: len(names) - 1 if rows.current else -1
            )
    except Exception as error:  # noqa: BLE001 - it may be trained in another way than by one input
        why = " ".join(str(error).split())[:120]
        return {}, Memory(0, None), f"no training step at batch {x.shape[0]}: {why}"
    saved: dict[str, int] = {}
    for row, size in step.saved.items():
        saved[names[row] if row >= 0 else ""] = saved.get(names[row] if row >= 0 else "", 0) + size
    return (
        saved,
        Memory(
            inference=0,
            training=step.peak,
            parameters=step.parameters,
            buffers=step.buffers,
            gradients=step.gradients,
            optimizer=step.optimizer,
            input=step.input,
            activations=step.activations,
            temporary=step.temporary,
            resident=step.resident,
        ),
        "",
    )


def _layers(traced: Traced, batch: int, saved: dict[str, int], places: int) -> tuple[Layer, ...]:
    position = {id(line): i for i, line in enumerate(traced.lines)}
    counted: dict[int, str] = {}
    pictured = places > 1 or any(line.window is not None for line in traced.lines)
    layers = []
    for line in traced.lines:
        new = [parameter for parameter in line.parameters if id(parameter) not in counted]
        earlier = [counted[id(p)] for p in line.parameters if id(p) in counted]
        counted.update((id(parameter), line.name) for parameter in new)
        window, out = line.window, _without_batch(line.output)
        fills = window is None or window.transposed or all(axis.fits for axis in window.axes)
        lost = window is not None and not window.transposed and any(axis.never_seen for axis in window.axes)
        sentence = "" if fills or window is None else ". ".join(misfit(window.axes, pools=not window.learned))
        layers.append(
            Layer(
                name=line.name,
                kind=line.kind,
                module=line.module,
                functional=line.functional,
                input=_without_batch(line.input),
                output=out,
                inputs=tuple(-1 if source is None else position[id(source)] for source in line.sources),
                parameters=sum(parameter.numel() for parameter in new),
                trainable=sum(parameter.numel() for parameter in new if parameter.requires_grad),
                shared_with=earlier[0] if earlier else "",
                multiply_adds=line.multiply_adds,
                other_operations=line.other_operations,
                uncounted=tuple(line.uncounted),
                memory=LayerMemory(saved.get(line.name, 0), line.made * batch),
                receptive_field=receptive.field(line.sees)
                if pictured and isinstance(line.sees, tuple)
                else None,
                border_loss=_border_loss(window, places),
                window=window,
                dense_parameters=_dense(line),
                misfit=sentence,
                warning=sentence if lost else "",
            )
        )
    return tuple(layers)


def _without_batch(shape: Shape) -> Shape:
    return shape[1:] if shape[:1] == (1,) else shape


def _border_loss(window: Window | None, places: int) -> Shape:
    if window is None or window.transposed:
        return (0,) * places
    return tuple(axis.never_seen for axis in window.axes)


def _dense(line: Line) -> int:
    """Count the weights of the dense layer that joins the same input to the same output."""
    if line.window is None or not line.window.learned:
        return 0
    out = math.prod(_without_batch(line.output))
    return math.prod(_without_batch(line.input)) * out + (out if line.window.use_bias else 0)


def _unused(model: nn.Module, used: set[int]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) not in used:
            path = name.rpartition(".")[0]
            found[path] = found.get(path, 0) + parameter.numel()
    return tuple(found.items())


def _refuse(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.misfit and layer.window is not None:
            message, hint = misfit(layer.window.axes, pools=not layer.window.learned)
            raise DoesNotFit(
                f"{layer.name} ({layer.kind}) does not fit: {message}", hint[:1].upper() + hint[1:] + "."
            )
