"""A network that cannot be run as asked: which layer, which shapes, and the smallest input that works."""

from __future__ import annotations

import inspect as signatures
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.errors import ModelError, StriateError
from striate.summary import shapes
from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from striate.summary.result import Shape
    from striate.summary.rows import Rows

SECONDS = 5.0  # for the search of an input that works
LARGEST = 4096  # pixels a side


def check_signature(model: nn.Module) -> None:
    """Refuse a network whose forward pass takes anything but one input. Raises ModelError."""
    parameters = list(signatures.signature(model.forward).parameters.values())
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
    if not takes:
        raise ModelError(f"The forward of {kind} takes no input.", "Give it one tensor, (N, ...).")


def explain(error: Exception, rows: Rows, model: nn.Module, shape: Shape, dtype: torch.dtype) -> StriateError:
    """Say in two lines why a network failed on the meta device.

    error: what it raised; rows: the calls that were open; shape: of the input, without the batch.
    """
    if isinstance(error, StriateError):
        return error
    where, module, given = _place(rows)
    text = " ".join(str(error).split())
    if _decides_by_values(error, text):
        return ModelError(
            f"{where} decides by the values of a tensor: its arithmetic depends on the input{_line(error)}.",
            "Inspect a version with that decision fixed.",
        )
    received = f"given {_by(given[1:])}" if given else "called"
    why = _reason(module, given) or f"{type(error).__name__}: {text[:160] or 'no message'}{_line(error)}"
    found = smallest(model, shape, module, given, dtype)
    hint = (
        f"The smallest input that works: {_by(found)}." if found else "No other size of input works either."
    )
    if found == shape:
        hint = "The sizes fit: the mistake is in the code."
    return ModelError(f"{where}, {received}: {why} (input {_by(shape)})", hint)


def _place(rows: Rows) -> tuple[str, nn.Module | None, Shape]:
    if rows.current is not None and rows.current.functional:
        return f"{rows.current.name} (function)", None, _shape(rows.current.arguments)
    if not rows.inside:
        return "The network", None, ()
    name, module, args = rows.inside[-1]
    return f"{name or 'The network'} ({type(module).__name__})", module, _shape(args)


def _shape(args: Any) -> Shape:
    found = tensors(args)
    return tuple(found[0].shape) if found else ()


def _decides_by_values(error: Exception, text: str) -> bool:
    marks = (
        "on meta tensors",
        "meta tensor",
        "Meta tensors",
        "data-dependent",
        "'meta' device",
        "DataDependent",
    )
    return any(mark in text for mark in marks) or "DataDependent" in type(error).__name__


def _line(error: Exception) -> str:
    """Name the innermost line of the network's own code."""
    library = Path(torch.__file__).parent
    ours = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not path.is_relative_to(library) and not path.is_relative_to(ours) and path.name != "taps.py":
            return f" ({path.name}, line {frame.lineno}: {(frame.line or '').strip()[:60]})"
    return ""


def _reason(module: nn.Module | None, given: Shape) -> str:
    """Put the usual mismatches in words."""
    axes = next((i for i in (1, 2, 3) if isinstance(module, CONVOLUTIONS[i - 1])), 0)
    if axes and len(given) == axes + 2:
        assert module is not None
        wanted: Any = module
        if given[1] != wanted.in_channels:
            return f"it takes {wanted.in_channels} channel{'s' * (wanted.in_channels != 1)}"
        return f"its {_by(wanted.kernel_size)} kernel is larger than that"
    if isinstance(module, nn.Linear) and given and given[-1] != module.in_features:
        return f"it takes {module.in_features} values"
    if axes:
        return f"it takes {axes + 1} axes, channels first"
    return ""


def smallest(
    model: nn.Module, shape: Shape, module: nn.Module | None, given: Shape, dtype: torch.dtype
) -> Shape | None:
    """Find the smallest square input, of this rank and channels or the network's own, that it takes."""
    stop = time.monotonic() + SECONDS
    for candidate in _candidates(model, shape, module, given):
        if time.monotonic() > stop:
            return None
        if works(model, candidate, dtype):
            return candidate
    return None


def works(model: nn.Module, shape: Shape, dtype: torch.dtype) -> bool:
    """Tell whether a network of meta tensors takes an input."""
    try:
        with torch.no_grad(), Shapes():  # type: ignore[no-untyped-call]
            model(torch.empty(1, *shape, dtype=dtype, device="meta"))
    except Exception:  # noqa: BLE001 - anybody's forward may raise anything
        return False
    return True


def _candidates(model: nn.Module, shape: Shape, module: nn.Module | None, given: Shape) -> Iterator[Shape]:
    first = next((m for m in model.modules() if isinstance(m, (*CONVOLUTIONS, nn.Linear))), None)
    channels, axes = shape[0], len(shape) - 1
    for i, kinds in enumerate(CONVOLUTIONS, 1):
        if isinstance(first, kinds):
            axes = i
            if first is module or given[1:2] == shape[:1] or len(shape) != i + 1:
                channels = first.in_channels
    if axes == 0:
        features = {m.in_features for m in model.modules() if isinstance(m, nn.Linear)}
        yield from ((n,) for n in sorted(features))
    else:
        yield from ((channels, *[n] * axes) for n in range(1, LARGEST))


class Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers for shapes only, as fast as they can be had."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see Trace

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return shapes.run(func, args, kwargs or {})


def _by(shape: Any) -> str:
    return "x".join(str(n) for n in shape)


CONVOLUTIONS = (
    (nn.Conv1d, nn.ConvTranspose1d),
    (nn.Conv2d, nn.ConvTranspose2d),
    (nn.Conv3d, nn.ConvTranspose3d),
)
