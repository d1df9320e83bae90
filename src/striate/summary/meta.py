"""A network without its numbers: shapes on torch's meta device, which computes and allocates nothing."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def without_numbers(model: nn.Module) -> nn.Module:
    """Copy a network with every tensor in it replaced by its shape; the network itself is only read.

    Shared tensors stay shared. What the copy does to its mode, buffers, hooks or gradients ends with it.
    """
    shapes: dict[int, Any] = {}
    for module in model.modules():
        for tensor in (
            *module.parameters(recurse=False),
            *module.buffers(recurse=False),
            *vars(module).values(),
        ):
            if isinstance(tensor, Tensor) and id(tensor) not in shapes:
                shapes[id(tensor)] = _shape_of(tensor)
    return copy.deepcopy(model, shapes)


def _shape_of(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        return type(tensor)(device="meta")  # type: ignore[call-arg]
    shape = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if isinstance(tensor, nn.Parameter):
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
        # Filling a meta tensor at random does nothing, but loads torch's compiler first: a second.
        name = getattr(func, "__name__", "")
        if name in _DRAWS or getattr(func, "__module__", "") == "torch.nn.init":
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


_DRAWS = frozenset({"normal_", "uniform_", "bernoulli_", "exponential_", "log_normal_", "cauchy_"})
