"""A network that cannot be run as asked: which layer, which shapes, and the smallest input that works."""

from __future__ import annotations

import inspect as signatures
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from striate import taps
from striate.errors import ModelError
from striate.summary.rows import tensors
from striate.summary.smallest import axes_of, smallest, works
from striate.summary.table import by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.summary.result import Shape
    from striate.summary.rows import Line, Rows
    from striate.summary.trace import Trace, Traced


def check_signature(model: nn.Module) -> None:
    """Refuse a network whose forward pass takes anything but one input. Raises ModelError."""
    try:
        parameters = list(signatures.signature(model.forward).parameters.values())
    except (TypeError, ValueError):  # compiled code does not tell
        return
    needed = [
        p for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}
    ]
    takes = any(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL} for p in parameters)
    kind = type(model).__name__
    if len(needed) > 1:
        names = ", ".join(parameter.name for parameter in needed)
        raise ModelError(
            f"The forward of {kind} takes {len(needed)} inputs ({names}); it is given one.",
            "Wrap it in a module whose forward takes one tensor and makes the others.",
        )
    if not takes or any(p.kind is p.KEYWORD_ONLY for p in needed):
        raise ModelError(
            f"The forward of {kind} takes no input.", "Let its forward take one tensor, (N, ...)."
        )


def check_result(model: nn.Module, traced: Traced) -> None:
    """Refuse a network that returned no tensor, or took its batch for the channels. Raises ModelError."""
    kind = type(model).__name__
    if not tensors(traced.result):
        raise ModelError(
            f"The forward of {kind} returned {type(traced.result).__name__}, no tensor.",
            "Let it return its output.",
        )
    _check_batch(traced.lines)


def _check_batch(lines: Iterable[Line]) -> None:
    # torch takes a single picture without its batch; here that is an input with an axis too few.
    for line in lines:
        axes, given = axes_of(line.own), line.input[1:]
        if axes and len(given) == axes and line.sources == [None]:
            layer: Any = line.own
            raise ModelError(
                f"{line.name} ({line.kind}), given {by(given)}: it takes {axes + 1} axes, channels first "
                f"(input {by(given)})",
                f"Give such an input, for example {by((layer.in_channels, *given))}.",
            )


def explain(
    error: BaseException, trace: Trace, model: nn.Module, shape: Shape, dtype: torch.dtype
) -> ModelError:
    """Say in two lines why a network failed on the meta device.

    error: what it raised; trace: how far it came; shape: of the input, without the batch.
    Raises the error itself where the network runs by itself, and so the trace is at fault.
    """
    where, module, given = _place(trace.rows, model)
    if given and 0 in given[0]:
        return ModelError(
            f"{where}, given {by(given[0][1:])}: nothing is left of the input {by(shape)}",
            "Give a larger input.",
        )
    if works(model, shape, dtype):
        raise error
    try:
        _check_batch(trace.lines)
    except ModelError as better:
        return better
    text, line = " ".join(str(error).split()), _line(error)
    said = " and ".join(by(one[1:]) for one in given[:3] if one[1:])
    where += f", given {said}" if said else ""
    about = f"(input {by(shape)})"
    current = trace.rows.current
    if isinstance(error, ModelError):  # it says what is wrong, and what would work
        return ModelError(f"{where}: {error.message}", error.hint)
    if _needs_values(error, text):
        kind = current.kind if current is not None else "it"
        return ModelError(
            f"{where}: {kind} needs the values of a tensor, and an inspection has only shapes{line} {about}",
            "Its arithmetic depends on the picture: inspect a version with that decision fixed.",
        )
    if any(mark in text for mark in NO_RULE):
        operator = re.search(r"\w+::\w+", text)
        return ModelError(
            f"{where}: torch cannot tell which shape {operator[0] if operator else 'it'} gives{line} {about}",
            "Inspect the network without that operator.",
        )
    if any(mark in text for mark in TOO_LARGE):
        return ModelError(
            f"{where}: what it makes is larger than any memory {about}", "Give a smaller input."
        )
    why = _reason(module, given[0] if given else ()) or _mismatch(current, given)
    hint = _hint(error, model, shape, dtype)
    if why and hint == NONE_WORKS:
        hint += ": these layers do not go together"
    return ModelError(f"{where}: {why or words(error) + line} {about}", f"{hint}.")


NEED_VALUES = (
    "on meta tensors",  # item, tolist
    "meta tensor;",  # a copy to another device
    "meta device type tensor to numpy",
    "is not implemented on meta",
    "data-independent implementation",  # nonzero, and what is built on it
    "data-dependent",
    "'meta' device",
    "DataDependent",
    "DynamicOutputShape",
)


def _needs_values(error: BaseException, text: str) -> bool:
    if any(mark in text or mark in type(error).__name__ for mark in NEED_VALUES):
        return True
    if any(mark in text for mark in NO_RULE) and (operator := re.search(r"aten::(\w+)", text)):
        packet = getattr(torch.ops.aten, operator[1])
        tags = {tag for name in packet.overloads() for tag in getattr(packet, name).tags}
        return bool(tags & {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
    return False


NO_RULE = ("fake impl", "from the 'Meta' backend")
TOO_LARGE = ("overflow",)


def words(error: BaseException) -> str:
    """Give an error's text in one line; with the name of its kind where the text is no sentence.

    >>> words(KeyError("x")), words(ValueError("Expected more than 1 value."))
    ("KeyError: 'x'", 'Expected more than 1 value.')
    """
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if len(text.split()) < 3:
        return f"{kind}: {text}" if text else kind
    return text if len(text) <= 160 else f"{text[:159]}…"


def _place(rows: Rows, model: nn.Module) -> tuple[str, nn.Module | None, list[Shape]]:
    """Name the call that failed, and the shapes that it was given, with the batch."""
    if rows.current is not None and rows.current.functional:
        caller = rows.inside[-1][1] if rows.inside else model
        path, given = rows.current.module, rows.current.arguments
        where = f"{path} ({type(caller).__name__})" if path else f"The network ({type(caller).__name__})"
        return where, None, [tuple(one.shape) for one in tensors(given)]
    name, module, given = rows.inside[-1] if rows.inside else ("", model, ())
    where = f"{name or 'The network'} ({type(module).__name__})"
    return where, module, [tuple(one.shape) for one in tensors(given)]


def _line(error: BaseException) -> str:
    """Name the innermost line of the network's own code."""
    library, ours = Path(torch.__file__).parent, Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not path.is_relative_to(library) and not path.is_relative_to(ours) and path != Path(taps.__file__):
            return f" ({path.name}, line {frame.lineno}: {(frame.line or '').strip()[:60]})"
    return ""


def _reason(module: nn.Module | None, given: Shape) -> str:
    """Put the usual mismatches of a layer in words; given: with the batch."""
    layer: Any = module  # its attributes are those of its kind
    if axes := axes_of(module):
        if len(given) != axes + 2:
            return f"it takes {axes + 1} axes, channels first"
        if given[1] != layer.in_channels:
            return f"it takes {layer.in_channels} channel{'s' * (layer.in_channels != 1)}"
        return f"{_kernel(layer, axes)} is larger than that" if _too_small(layer, given) else ""
    if isinstance(module, nn.Linear) and given and given[-1] != layer.in_features:
        return f"it takes {layer.in_features} values"
    if isinstance(module, nn.RNNBase) and given and given[-1] != layer.input_size:
        return f"it takes {layer.input_size} values a step"
    if isinstance(module, NORMS) and len(given) > 1:
        takes = getattr(layer, "num_features", None) or getattr(layer, "num_channels", None)
        return f"it takes {takes} channel{'s' * (takes != 1)}" if takes and given[1] != takes else ""
    if isinstance(module, POOLS) and _too_small(layer, given):
        return f"{_kernel(layer, len(given) - 2)} is larger than that"
    return ""


def _too_small(layer: Any, given: Shape) -> bool:
    """Tell whether not even one window fits; with padding "same" one always does."""
    if layer.padding == "same":
        return False
    places = given[2:]
    kernel, padding, dilation = (
        value if isinstance(value, tuple) else (value,) * len(places)
        for value in (
            layer.kernel_size,
            0 if layer.padding == "valid" else layer.padding,
            getattr(layer, "dilation", 1),
        )
    )
    windows = zip(places, kernel, padding, dilation, strict=False)
    return any(n + 2 * p < d * (k - 1) + 1 for n, k, p, d in windows)


def _kernel(layer: Any, axes: int) -> str:
    kernel = layer.kernel_size
    sizes = kernel if isinstance(kernel, tuple) else (kernel,) * axes
    return f"its kernel of {sizes[0]}" if axes == 1 else f"its {by(sizes)} kernel"


def _mismatch(line: Line | None, given: list[Shape]) -> str:
    if line is not None and line.functional and len(given) > 1 and line.kind in JOINS:
        return f"{line.kind} needs shapes that go together"
    return ""


JOINS = {"add", "sub", "mul", "div", "cat"}


def _hint(error: BaseException, model: nn.Module, shape: Shape, dtype: torch.dtype) -> str:
    if not isinstance(error, ABOUT_SHAPES) or isinstance(error, NotImplementedError | RecursionError):
        return "The mistake is in the network's code, whatever the input"
    found, is_smallest = smallest(model, shape, dtype)
    if found is None:
        return NONE_WORKS
    return f"{'The smallest input' if is_smallest else 'An input'} that works: {by(found)}"


NONE_WORKS = "No other size of input was found to work"


ABOUT_SHAPES = (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError)


NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)  # noqa: SLF001 - batch and instance norms of every rank
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
