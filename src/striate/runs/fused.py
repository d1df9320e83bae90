"""A trained network in the form that answers fastest: the same function, in fewer passes over memory.

In prediction a batch norm is a multiplication and an addition, which the convolution before it can take into
its own weights; the ReLU and the residual addition after it are done while its result is still in registers;
and weights that no longer change are laid out once as the kernels read them. Source: the library's
operators are those that torch.compile puts in place of such patterns (torch._inductor.mkldnn_ir).
"""

# ruff: noqa: SLF001 - the operators and a module's hooks have no public names
from __future__ import annotations

import copy
import math
import operator
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from striate.native import library, winograd
from striate.native.fixed import Fixed
from striate.runs.forward import computing

if TYPE_CHECKING:
    from collections.abc import Callable

BOUND = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""How far answers may be from the plain network's: length of the difference over length of the answers."""

RELUS = {F.relu, torch.relu, torch.relu_, "relu", "relu_"}
ADDS = {operator.add, operator.iadd, torch.add, "add", "add_"}
ROUNDS = 3
LIBRARY = torch.ops.mkldnn


def fastest(
    model: nn.Module, inputs: Tensor, *, precision: str = "float32", try_compile: bool = False
) -> nn.Module:
    """Choose the fastest form of a network by measuring it on these inputs.

    model: in evaluation mode, on the CPU; it is not changed, and its weights must not change afterwards.
    inputs: (N, C, H, W); other sizes and numbers of pictures can be answered, too.   precision: the run's;
    a network that was trained in float32 answers in float32.   try_compile: torch.compile as well, which
    takes a C++ compiler and many seconds.
    Returns: ``model`` or what takes its place. A form that fails, or whose answers are further from the
    model's than BOUND, is not chosen.
    """
    dtype = torch.bfloat16 if precision.startswith("bfloat16") else torch.float32
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), computing(precision, "cpu"):
        wanted = model(inputs).float()
        best, least = model, _seconds(model, inputs)
        for make in (fused, compiled) if try_compile else (fused,):
            try:
                form = make(model, inputs, dtype)
                off = (form(inputs) - wanted).norm() / wanted.norm().clamp_min(1e-30)
                seconds = _seconds(form, inputs)
            except Exception:  # noqa: BLE001, S112 - a form that this network or machine does not take
                continue
            if off <= BOUND[dtype] and seconds < least:
                best, least = form, seconds
    return best


def fused(model: nn.Module, inputs: Tensor, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Fold batch norms, ReLUs and residual additions into the convolutions before them, and lay out weights.

    model, inputs: as :func:`fastest` takes them.   dtype: to compute in.
    Raises an error of torch.fx for a network whose steps depend on its values.
    """
    traced = fx.symbolic_trace(model if dtype == torch.float32 else copy.deepcopy(model).to(dtype))
    with torch.no_grad():
        ShapeProp(traced).propagate(inputs.to(dtype))
        modules = dict(traced.named_modules())
        for node in list(traced.graph.nodes):
            layer = modules.get(str(node.target)) if node.op == "call_module" else None
            if type(layer) is nn.Conv2d and _takes(layer):
                _fuse(traced, modules, node, layer)
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    traced.recompile()
    return Form(traced, dtype).eval()


def compiled(model: nn.Module, inputs: Tensor, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Compile with the weights as constants; arguments as :func:`fused` takes them."""
    from torch._inductor import config

    program = torch.compile(copy.deepcopy(model).to(dtype))

    def frozen(x: Tensor) -> Tensor:
        with torch.no_grad(), config.patch(freezing=True):
            return program(x)  # type: ignore[no-any-return]

    form = Form(frozen, dtype).eval()
    form(inputs)
    return form


class Form(nn.Module):
    """A network made over to compute in ``dtype``; it takes and gives float32."""

    def __init__(self, program: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.program, self.dtype = program, dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.program(x.to(self.dtype)).float()


class Packed(nn.Module):
    """A convolution with what followed it: + addend, then ReLU, as the flag says.

    size: of the input it will get; the fastest way for it is found out. There are the library's and, where
    the shape allows, Winograd's (Lavin and Gray 2016), which multiplies two to four times less.
    """

    def __init__(self, layer: nn.Conv2d, norm: nn.BatchNorm2d | None, size: torch.Size, relu: bool) -> None:
        super().__init__()
        weight, bias = folded(layer, norm)
        self.geometry = layer.padding, layer.stride, layer.dilation, layer.groups
        # No parameter and no buffer: nothing but the operator can read its layout.
        self.weight = LIBRARY._reorder_convolution_weight(weight, *self.geometry, size)
        self.bias, self.relu = bias, relu
        self.way: Callable[[Tensor, Tensor | None], Tensor] = self._library
        self._choose(weight, size)

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        return self.way(x.contiguous(memory_format=torch.channels_last), addend)

    def _library(self, x: Tensor, addend: Tensor | None) -> Tensor:
        relu = "relu" if self.relu else None
        found: Tensor
        if addend is None:
            run = LIBRARY._convolution_pointwise.default
            found = run(x, self.weight, self.bias, *self.geometry, relu or "none", [], "")
        else:
            addend = addend.contiguous(memory_format=torch.channels_last)
            run = LIBRARY._convolution_pointwise.binary
            found = run(x, addend, self.weight, self.bias, *self.geometry, "add", None, relu, [], None)
        return found

    def _choose(self, weight: Tensor, size: torch.Size) -> None:
        padding, stride, dilation, groups = self.geometry
        square = padding[0] == padding[1] and stride[0] == stride[1] and (*dilation, groups) == (1, 1, 1)
        if (
            weight.dtype != torch.float32
            or not square
            or not winograd.fits(weight, stride[0], int(padding[0]))
        ):
            return
        if library.unavailable():
            return
        x = torch.zeros(size).contiguous(memory_format=torch.channels_last)
        bias = weight.new_zeros(len(weight)) if self.bias is None else self.bias
        least = _seconds(self.way, x, None)
        for tile in winograd.TILES[weight.shape[2]]:
            way = Fixed(weight, bias, int(padding[0]), tile, relu=self.relu)
            if (seconds := _seconds(way, x, None)) < least:
                self.way, least = way, seconds


def folded(layer: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor | None]:
    """Give the weight and bias that do what a convolution and the batch norm after it do in evaluation."""
    weight, bias = layer.weight.detach(), layer.bias
    if norm is None:
        return weight, None if bias is None else bias.detach()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach()
    shift = -norm.running_mean * scale if bias is None else (bias.detach() - norm.running_mean) * scale
    shift = shift if norm.bias is None else shift + norm.bias.detach()
    return (weight * scale.view(-1, 1, 1, 1)).to(weight.dtype), shift.to(weight.dtype)


def _fuse(traced: fx.GraphModule, modules: dict[str, nn.Module], node: fx.Node, layer: nn.Conv2d) -> None:
    """Put one operator in place of a convolution and what follows it alone."""
    source, norm, addend, last = node.args[0], None, None, node
    assert isinstance(source, fx.Node)
    size = source.meta["tensor_meta"].shape
    after = _only_user(last)
    if after is not None and (found := _norm(modules.get(str(after.target)))) is not None:
        norm, last = found, after
        after = _only_user(last)
    if after is not None and (other := _added(after, last)) is not None:
        addend, last = other, after
        after = _only_user(last)
    relu = after is not None and _is_relu(after, modules)
    if after is not None and relu:
        last = after
    name = f"packed_{node.name}"
    traced.add_submodule(name, Packed(layer, norm, size, relu))
    with traced.graph.inserting_before(last):
        new = traced.graph.call_module(name, (source,) if addend is None else (source, addend))
    new.meta = dict(last.meta)
    last.replace_all_uses_with(new)


def _takes(layer: nn.Conv2d) -> bool:
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str) and not _hooked(layer)


def _norm(module: nn.Module | None) -> nn.BatchNorm2d | None:
    if type(module) is not nn.BatchNorm2d or module.running_mean is None or _hooked(module):
        return None
    return module


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        module = modules[str(node.target)]
        return type(module) is nn.ReLU and not _hooked(module)
    return node.target in RELUS


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _added(node: fx.Node, one: fx.Node) -> fx.Node | None:
    """Give what is added to ``one`` where ``node`` adds a tensor of the same shape."""
    if node.op not in {"call_function", "call_method"} or node.target not in ADDS or node.kwargs:
        return None
    others = [argument for argument in node.args if argument is not one]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    told, own = others[0].meta.get("tensor_meta"), one.meta.get("tensor_meta")
    return others[0] if told and own and (told.shape, told.dtype) == (own.shape, own.dtype) else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _seconds(form: Callable[..., Tensor], *inputs: Tensor | None) -> float:
    form(*inputs)
    least = math.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        form(*inputs)
        least = min(least, time.perf_counter() - began)
    return least
