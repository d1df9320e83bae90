"""The arithmetic of any network, from one pass in evaluation and one in training mode on the meta device."""

from __future__ import annotations

import math
import operator
import random
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from striate.errors import DoesNotFit, ModelError
from striate.ops.size import misfit
from striate.summary import failure, memory, receptive
from striate.summary.meta import is_ours_to_change, without_numbers
from striate.summary.result import Inspected, Layer, LayerMemory, Memory, Shape, Totals, Window
from striate.summary.rows import Line, Rows
from striate.summary.smallest import fewest
from striate.summary.trace import Trace, Traced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST = 2**50  # values of an input: bytes are counted in 64 bits


def inspect(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    batch: int = 32,
    optimizer: str = "momentum",
    strict: bool = False,
    name: str = "",
) -> Inspected:
    """Work out what a network computes, stores and sees; nothing is computed, and the network is only read.

    input_shape: without the batch, such as (3, 224, 224); batch: inputs in a step, for the memory.
    optimizer: sgd, momentum, adam or another rule of the recipe, for the memory.
    strict: raise DoesNotFit for a convolution or pooling whose windows do not fill their input.
    Raises ModelError: the forward pass fails, takes two inputs, returns no tensor, or needs the values of
    one; the message names the layer, both shapes and the smallest input that works.

    >>> inspect(nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32)).totals.parameters
    760
    """
    shape = check_shape(input_shape, batch)
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    failure.check_signature(model)
    with undisturbed():
        own = _copy(model)
        x, traced = _trace(_mode(own, training=False), shape)
        many = torch.empty(batch, *shape, dtype=x.dtype, device="meta")
        saved, step, trouble = _train(_mode(own, training=True), many, optimizer)
        layers = _layers(traced, batch, saved, places=x.dim() - _first_place(x))
        if strict:
            _refuse(layers)
        used = {id(parameter) for line in traced.lines for parameter in line.parameters}
        stays = sum(t.numel() * t.element_size() for t in (*own.parameters(), *own.buffers()))
        return Inspected(
            model=name or type(model).__name__,
            input=shape,
            batch=batch,
            layers=layers,
            totals=_totals(own, layers),
            memory=replace(step, inference=stays + batch * traced.peak),
            optimizer=optimizer,
            unused=_unused(own, used),
            warnings=(*_warnings(layers), *([trouble] if trouble else [])),
            dtype=str(x.dtype).removeprefix("torch."),
        )


def refusal(model: nn.Module, input_shape: Sequence[int], *, training: bool) -> ModelError | None:
    """Say why a network cannot take an input, in evaluation or in training mode; None where its shapes go.

    input_shape: without the batch.   Returns: what `inspect` would raise: the layer and the smallest input.

    >>> print(refusal(nn.Conv2d(1, 1, 5), (1, 3, 3), training=False))
    The network (Conv2d), given 1x3x3: its 5x5 kernel is larger than that (input 1x3x3)
    The smallest input that works: 1x5x5.
    """
    with undisturbed():
        try:
            _trace(_mode(without_numbers(model), training=training), check_shape(input_shape))
        except ModelError as error:
            return error
        except Exception:  # noqa: BLE001 - anything may go wrong on the meta device, and is no reason then
            return None
    return None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random state of torch, NumPy and Python as it was; and look at gradients, whatever is set."""
    python, numpy = random.getstate(), sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy is not None else None
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices), torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(drawn)


def check_shape(input_shape: Sequence[int], batch: int = 1) -> Shape:
    """Give the shape of an input as a tuple of numbers. Raises ModelError where it is none, or too large."""
    try:
        shape = tuple(operator.index(n) for n in input_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ModelError(
            f"The input must be whole numbers above 0. Received: {input_shape!r}.",
            "Give its shape without the batch, such as 3x224x224.",
        )
    if batch < 1:
        raise ModelError(f"The batch must be at least 1. Received: {batch}.", "Usual are 32 to 256.")
    if batch * math.prod(shape) > LARGEST:
        raise ModelError(
            f"A batch of {batch} inputs of {'x'.join(map(str, shape))} is more than any machine holds.",
            "Give a smaller input or batch.",
        )
    return shape


def _copy(model: nn.Module) -> nn.Module:
    """Give a network of the same shapes that may be changed."""
    if is_ours_to_change(model):
        return model
    try:
        return without_numbers(model)
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be copied: {failure.words(error)}",
            "Inspection works on a copy. Keep what copy.deepcopy refuses out of the module.",
        ) from error


def _mode(model: nn.Module, *, training: bool) -> nn.Module:
    with suppress(NotImplementedError):  # what torch.export made has one mode only
        model.train(training)
    return model


def _first_place(x: torch.Tensor) -> int:
    """Tell which axis is the first of places: pictures have channels before them, word numbers do not."""
    return 2 if x.dtype.is_floating_point else 1


def _trace(model: nn.Module, shape: Shape) -> tuple[torch.Tensor, Traced]:
    """Run once on shapes; a network that looks words up is tried with whole numbers, too."""
    failed: tuple[BaseException, Trace, torch.dtype] | None = None
    for dtype in _types(model, shape):
        x = torch.empty(fewest(model), *shape, dtype=dtype, device="meta")
        trace = Trace(model)
        try:
            traced = trace.run(x, range(_first_place(x), x.dim()))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's forward may raise anything
            if failed is None or len(trace.lines) > len(failed[1].lines):  # what went further knew more
                failed = error, trace, dtype
        else:
            failure.check_result(model, traced)
            return x, traced
    assert failed is not None
    raise failure.explain(failed[0], failed[1], model, shape, failed[2]) from failed[0]


def _types(model: nn.Module, shape: Shape) -> list[torch.dtype]:
    kinds = (p.dtype for p in model.parameters() if p.dtype.is_floating_point)
    types = [next(kinds, torch.float32)]
    if any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in model.modules()):
        types.insert(0 if len(shape) == 1 else 1, torch.int64)
    return types


def _train(model: nn.Module, x: torch.Tensor, optimizer: str) -> tuple[dict[str, int], Memory, str]:
    """Go through one training step: bytes kept for the backward pass by line, and the memory of the step."""
    names: list[str] = []
    rows = Rows(model, lambda line: names.append(line.name), lambda _: None)
    try:
        with rows:
            step = memory.step(
                model, x, optimizer=optimizer, row=lambda: len(names) - 1 if rows.current else -1
            )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may be trained in another way
        trouble = f"no training step was possible at batch {x.shape[0]}: {failure.words(error)}"
        return {}, Memory(inference=0, training=None), trouble
    saved: dict[str, int] = {}
    for row, size in step.saved.items():
        name = names[row] if row >= 0 else ""
        saved[name] = saved.get(name, 0) + size
    parts = (
        "parameters",
        "buffers",
        "gradients",
        "optimizer",
        "input",
        "activations",
        "temporary",
        "resident",
    )
    return saved, Memory(0, step.peak, **{part: getattr(step, part) for part in parts}), ""


def _layers(traced: Traced, batch: int, saved: dict[str, int], places: int) -> tuple[Layer, ...]:
    position = {id(line): i for i, line in enumerate(traced.lines)}
    counted: dict[int, str] = {}
    pictured = places > 1 or any(line.window is not None or _walks(line) for line in traced.lines)
    layers = []
    for line in traced.lines:
        new = [parameter for parameter in line.parameters if id(parameter) not in counted]
        earlier = [counted[id(p)] for p in line.parameters if id(p) in counted]
        counted.update((id(parameter), line.name) for parameter in new)
        is_followed = pictured and isinstance(line.sees, tuple) and 0 not in line.output
        layers.append(
            Layer(
                name=line.name,
                kind=line.kind,
                module=line.module,
                functional=line.functional,
                input=_without_batch(line.input),
                output=_without_batch(line.output),
                inputs=_inputs(line, position),
                parameters=sum(parameter.numel() for parameter in new),
                trainable=sum(parameter.numel() for parameter in new if parameter.requires_grad),
                shared_with=earlier[0] if earlier else "",
                multiply_adds=line.multiply_adds,
                other_operations=line.other_operations,
                uncounted=tuple(line.uncounted),
                memory=LayerMemory(saved.get(line.name, 0), line.made * batch),
                receptive_field=receptive.field(line.sees) if is_followed else None,
                dense_parameters=_dense(line),
                **_fit(_window(line), places),
            )
        )
    return tuple(layers)


def _walks(line: Line) -> bool:
    """Tell whether a recurrent layer's steps are the places of the input, and not its features."""
    if not isinstance(line.own, nn.RNNBase):
        return False
    steps = -2 if line.own.batch_first else -3
    read = [source.sees for source in line.sources if source is not None and isinstance(source.sees, tuple)]
    return any(axis.dim == steps for seen in read for axis in seen)


def _inputs(line: Line, position: dict[int, int]) -> tuple[int, ...]:
    """Number the rows that a line reads; what is no row made a constant, such as random numbers."""
    known = [source for source in line.sources if source is None or id(source) in position]
    return tuple(-1 if source is None else position[id(source)] for source in known)


def _without_batch(shape: Shape) -> Shape:
    return shape[1:] if shape[:1] == (1,) else shape


def _window(line: Line) -> Window | None:
    """Give the window of a line, without the axis of 1 that torch adds to pool along a single one."""
    window, many = line.window, len(line.input) - 2
    added = window.axes[:-many] if window is not None and 0 < many < len(window.axes) else ()
    if window is not None and added and all(axis.n == axis.kernel == 1 for axis in added):
        return replace(window, axes=window.axes[-many:])
    return window


def _fit(window: Window | None, places: int) -> dict[str, Any]:
    """Say how a window fits its input."""
    if window is None or window.transposed:
        return {"window": window, "border_loss": (0,) * places}
    lost = tuple(axis.never_seen for axis in window.axes)
    sentence = "" if all(axis.fits for axis in window.axes) else _sentence(window)
    return {
        "window": window,
        "border_loss": lost,
        "misfit": sentence,
        "warning": sentence if any(lost) else "",
    }


def _sentence(window: Window) -> str:
    return ". ".join(misfit(window.axes, pools=not window.learned))


def _dense(line: Line) -> int:
    """Count the weights of the dense layer that joins the same input to the same output."""
    if line.window is None or not line.window.learned:
        return 0
    out = math.prod(_without_batch(line.output))
    return math.prod(_without_batch(line.input)) * out + (out if line.window.use_bias else 0)


def _totals(model: nn.Module, layers: Sequence[Layer]) -> Totals:
    parameters = list(model.parameters())
    return Totals(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        other_operations=sum(layer.other_operations for layer in layers),
        buffers=sum(b.numel() for b in model.buffers()),
        dense_parameters=sum(layer.dense_parameters or layer.parameters for layer in layers),
    )


def _unused(model: nn.Module, used: set[int]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) not in used:
            path = name.rpartition(".")[0]
            found[path] = found.get(path, 0) + parameter.numel()
    return tuple(found.items())


def _warnings(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        if layer.warning:
            yield f"{layer.name}: {layer.warning}"
    if padding := [layer.name for layer in layers if layer.misfit and not layer.warning]:
        yield f"{', '.join(padding)}: a stride does not divide evenly, but only padding is left over"
    for layer in layers:
        if layer.uncounted:
            yield f"{layer.name}: {', '.join(layer.uncounted)} cannot be counted; the totals are without it"


def _refuse(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.misfit:
            raise DoesNotFit(f"{layer.name} ({layer.kind}) does not fit its input.", layer.misfit)
