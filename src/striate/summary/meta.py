"""A network without its numbers: shapes on torch's meta device, which computes and allocates nothing."""

from __future__ import annotations

import copy
import functools
import types
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL = 1 << 16  # values: the largest table of whole numbers that keeps them


def without_numbers(model: nn.Module) -> nn.Module:
    """Copy a network with every tensor in it replaced by its shape; the network itself is only read.

    Shared tensors stay shared, and a function that holds a module of the network holds its copy. Single
    values and small tables of whole numbers keep their numbers: they may decide what is computed. What
    cannot be copied, such as an open file, is shared. What the copy does to itself ends with it.

    >>> without_numbers(nn.Linear(2, 3)).weight.device
    device(type='meta')
    """
    copies: dict[int, Any] = {}  # original's id to its copy: what copy.deepcopy calls the memo
    for module in model.modules():  # all of them first, so that no other way of copying meets them
        if isinstance(module, torch.jit.ScriptModule):  # lives in C++
            copies[id(module)] = copy.deepcopy(module).to("meta")
        else:
            copies[id(module)] = type(module).__new__(type(module))
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            vars(copies[id(module)]).update(_copied(dict(vars(module)), copies))
    found: nn.Module = copies[id(model)]
    return found


def _copied(value: Any, copies: dict[int, Any]) -> Any:
    """Copy a value and what it holds, but for what is copied already."""
    kind = type(value)
    if kind in SIMPLE:
        return value
    if id(value) in copies:
        return copies[id(value)]
    if isinstance(value, Tensor):
        made = _shape_of(value)
    elif kind in {dict, OrderedDict}:
        made = {_copied(key, copies): _copied(one, copies) for key, one in value.items()}
        made = made if kind is dict else OrderedDict(made)
    elif kind in {list, tuple}:
        made = kind(_copied(one, copies) for one in value)
    elif isinstance(value, nn.Module):  # in a plain list, or held by a function
        made = copies[id(value)] = type(value).__new__(type(value))
        vars(made).update(_copied(dict(vars(value)), copies))
    elif kind is types.FunctionType:
        made = _rebound(value, copies) if value.__closure__ else value
    elif kind is types.MethodType:
        made = types.MethodType(value.__func__, _copied(value.__self__, copies))
    elif kind is functools.partial:
        arguments, keywords = _copied(value.args, copies), _copied(value.keywords, copies)
        made = functools.partial(_copied(value.func, copies), *arguments, **keywords)
    elif kind is weakref.ref:
        made = weakref.ref(copies[id(value())]) if id(value()) in copies else value
    else:
        try:
            made = copy.deepcopy(value, copies)
        except Exception:  # noqa: BLE001 - a lock, an open file: anything may refuse, in any way
            made = value
    copies[id(value)] = made
    copies.setdefault(id(copies), []).append(value)  # alive, so that its id stays its own
    return made


SIMPLE = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size})


def _rebound(function: types.FunctionType, copies: dict[int, Any]) -> types.FunctionType:
    """Copy a function together with the values that it holds."""
    cells = [types.CellType() for _ in function.__closure__ or ()]
    code, names = function.__code__, function.__globals__
    made = types.FunctionType(code, names, function.__name__, function.__defaults__, tuple(cells))
    made.__kwdefaults__ = function.__kwdefaults__
    copies[id(function)] = made
    for cell, original in zip(cells, function.__closure__ or (), strict=True):
        try:
            cell.cell_contents = _copied(original.cell_contents, copies)
        except ValueError:  # the function was made before this variable
            continue
    return made


def _shape_of(tensor: Tensor) -> Any:
    if is_lazy(tensor):
        return type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-arg]
    is_parameter = isinstance(tensor, nn.Parameter)
    if type(tensor) not in {Tensor, nn.Parameter} or tensor.layout is not torch.strided:
        return copy.deepcopy(tensor)
    is_small = tensor.numel() <= (1 if tensor.is_floating_point() else SMALL)
    if is_small and not is_parameter and not tensor.is_meta:
        return tensor.detach().clone()
    shape = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if is_parameter:
        return nn.Parameter(shape, requires_grad=tensor.requires_grad)
    return shape.requires_grad_(tensor.requires_grad)


@contextmanager
def unallocated() -> Iterator[Callable[[nn.Module], nn.Module]]:
    """Build networks on the meta device; drawing their first weights is left out.

    Gives a function that marks what was built as nobody else's, so that inspecting it needs no copy.
    """
    with torch.device("meta"), _Undrawn():
        yield _mark


def _mark(model: nn.Module) -> nn.Module:
    tensors = (*model.parameters(), *model.buffers())
    model.striate_unallocated = all(tensor.is_meta for tensor in tensors)  # type: ignore[assignment]
    return model


def is_ours_to_change(model: nn.Module) -> bool:
    """Tell whether a network was built without numbers, for one inspection only."""
    return getattr(model, "striate_unallocated", False) is True


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # Filling a meta tensor does nothing, but loads torch's compiler first: a second.
        if getattr(func, "__name__", "") in FILLS or getattr(func, "__module__", "") == "torch.nn.init":
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


FILLS = frozenset(
    {"normal_", "uniform_", "bernoulli_", "exponential_", "log_normal_", "cauchy_", "geometric_"}
    | {"erfinv_", "mul_", "div_", "add_", "sub_", "clamp_", "fill_", "zero_"}
)
