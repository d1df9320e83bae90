"""A classifier made fully convolutional: the same numbers for a picture of the size it was trained on, or a
sequence of its length, and a map of answers for a larger one.

Source: Matan, Burges, LeCun and Denker 1992, Multi-digit recognition using a space displacement neural
network; Sermanet et al. 2014, OverFeat, section 3.5; Long, Shelhamer and Darrell 2015, section 3.1.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, fx, nn

from striate.ops import sequence
from striate.scan.sliding import (
    AVERAGES,
    FIXED_POOLS,
    MAXIMA,
    OVER_TIME,
    Sliding,
    Windows,
    as_convolution,
    at_every_place,
    norm_of_map,
    pooled,
    refusal,
    reshaped,
    words,
)

RESHAPES = {"Flatten", "flatten", "view", "reshape", "squeeze"}
REDUCTIONS = {"mean", "amax"}
SLIDING = (nn.Conv1d, nn.Conv2d, nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d)
NEAR = 1e-4  # of the largest output: what rounding in another order may change
FAR = {1: 2**12 * 3 * 5 * 7, 2: 2**7 * 3 * 5 * 7}  # steps, pixels; multiples of every total stride there is


def fully_convolutional(model: nn.Module, x: Tensor) -> nn.Module:
    """Turn every layer that needs one size of picture into a convolution or a pooling of that size.

    A flattening and the dense layer behind it become a convolution over the whole map, later dense layers 1x1
    convolutions, and pooling over everything becomes pooling over a fixed window with stride 1. What is taken
    over a sequence's true steps (:mod:`striate.ops.sequence`) is taken over all: a window has no padding.
    model: (N, C, H, W) -> (N, K) or (N, C, L) -> (N, K); it stays as it is.
    x: a picture of the size it was trained on, or a sequence of that length without padding.
    Returns: a copy, in evaluation mode, that gives (N, K, H', W') or (N, K, L'); for x model's answers, as
    (1, K, 1, 1) or (1, K, 1).
    Raises ModelError that says what is in the way.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 10)).eval()
    >>> wide = fully_convolutional(net, torch.zeros(1, 1, 8, 8))
    >>> tuple(wide(torch.zeros(1, 1, 8, 20)).shape)
    (1, 10, 1, 13)
    """
    try:
        tracer = _Tracer()
        graph = tracer.trace(copy.deepcopy(model).eval())
        form = fx.GraphModule(tracer.root, graph)
        with torch.inference_mode():
            _Sizes(form).run(torch.cat([x[:1]] * 2))
    except Exception as error:  # whatever a foreign network raises
        raise refusal(f"torch.fx cannot follow it ({_line(error)})") from error
    for node in list(form.graph.nodes):
        if node.op.startswith("call"):
            _rewrite(form, node, x.dim() - 2)
    form.graph.eliminate_dead_code()
    form.delete_all_unused_submodules()
    form.recompile()
    form.requires_grad_(requires_grad=False).eval()
    _check(model, form, x)
    return form


def total_stride(form: nn.Module, x: Tensor) -> tuple[int, int]:
    """Say how many pixels, down and across, lie between neighbouring places of a network's map of answers.

    form: from :func:`fully_convolutional`, with its x.  Raises ModelError where larger pictures do not fit.
    """
    down, across = total_strides(form, x)
    return down, across


def total_strides(form: nn.Module, x: Tensor) -> tuple[int, ...]:
    """Say the same along every axis: two of a picture, or the one of a sequence, in steps."""
    shadow, places = copy.deepcopy(form).to("meta"), x.shape[2:]
    more = FAR[len(places)]
    try:
        one, many = (
            shadow.forward(torch.empty(1, x.shape[1], *(n + far for n in places), device="meta")).shape
            for far in (0, more)
        )
    except Exception as error:  # branches that do not grow alike, or an operator without a shape
        raise refusal(f"its parts do not grow alike ({_line(error)})") from error
    grown = [large - small for small, large in zip(one[2:], many[2:], strict=True)]
    if any(n < 1 or more % n for n in grown):
        raise refusal("its map of answers does not grow evenly with the picture")
    return tuple(more // n for n in grown)


class _Tracer(fx.Tracer):
    """Follow a network's steps; what our operators do, and what is over a sequence's true steps, is one."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=(math, sequence))  # type: ignore[arg-type]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m.__module__.startswith("striate.ops.") or super().is_leaf_module(m, module_qualified_name)


class _Sizes(fx.Interpreter):
    """Note at each step of a network the shape of its result, or the result itself where it is no tensor."""

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        n.meta["value"] = value.shape if isinstance(value, Tensor) else value
        n.meta["tensor"] = isinstance(value, Tensor)
        return value


def _rewrite(form: fx.GraphModule, node: fx.Node, axes: int) -> None:
    """Put what slides in place of one step, where that step needs a fixed size. axes: of the input."""
    module = form.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(module, nn.RNNBase):
        raise refusal(f"{node.target} is recurrent: it would remember what came before a window")
    name = type(module).__name__ if module is not None else _name(node)
    source = node.args[0] if node.args else node.kwargs.get("input")
    if not isinstance(source, fx.Node) or not source.meta["tensor"] or not node.meta["tensor"]:
        return
    given, made = source.meta["value"], node.meta["value"]
    if name in FIXED_POOLS:
        module = _as_module(node, name)
    if name == "masked" and node.target is sequence.masked:
        node.replace_all_uses_with(source)
    elif node.target in OVER_TIME:
        _replace(form, node, source, OVER_TIME[node.target](given[2]))
    elif name in RESHAPES:
        _replace(form, node, source, reshaped(name, given, made, axes))
    elif name.startswith("Dropout"):  # so that a dense layer stands right behind the flattening
        node.replace_all_uses_with(source)
    elif name in AVERAGES | MAXIMA:
        if name in REDUCTIONS and not _over_places(node, axes):
            raise refusal(f"{name} is not over {'both axes of a picture' if axes == 2 else 'time'}")
        _replace(form, node, source, pooled(name, given, made, axes))
    elif isinstance(module, nn.Linear):
        if len(given) != 2:
            raise refusal(f"the dense layer {node.target} is given {words(given)}, not a vector")
        before = source.meta.get("flattens")
        _replace(
            form,
            node,
            before or source,
            as_convolution(module, before.meta["value"] if before else given, axes),
        )
    elif isinstance(module, nn.BatchNorm1d) and len(given) == 2 and axes == 2:
        _replace(form, node, source, norm_of_map(module))
    elif isinstance(module, SLIDING):
        _replace(form, node, source, at_every_place(module, given))


def _replace(form: fx.GraphModule, node: fx.Node, source: fx.Node, module: nn.Module) -> None:
    """Let ``module`` give what ``node`` gave."""
    form.add_submodule(f"sliding_{node.name}", module)
    with form.graph.inserting_before(node):
        new = form.graph.call_module(f"sliding_{node.name}", (source,))
    new.meta = dict(node.meta)
    if isinstance(module, Windows):
        new.meta["flattens"] = source
    node.replace_all_uses_with(new)


def _as_module(node: fx.Node, name: str) -> Sliding:
    """Give the module that a call of F.avg_pool2d or the like is; sizes that it computed are fixed."""
    args, options = fx.node.map_arg((node.args[1:], node.kwargs), lambda one: one.meta["value"])
    if len(args) > 4:  # behind them, function and module differ in their order
        raise refusal(f"a call of {name} gives its options without their names")
    kind: Any = FIXED_POOLS[name]
    pool: Sliding = kind(*args, **{k: v for k, v in options.items() if k != "input"})
    return pool


def _over_places(node: fx.Node, axes: int) -> bool:
    """Tell whether a mean or maximum is over all axes behind the channels'."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    dims = dims if isinstance(dims, (list, tuple)) else [dims]
    return all(isinstance(d, int) for d in dims) and (
        {int(str(d)) % (axes + 2) for d in dims} == set(range(2, axes + 2))
    )


def _name(node: fx.Node) -> str:
    """Name a function or method as its users write it: torch calls some by a name of its own."""
    return (node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")).lstrip("_")


def _check(model: nn.Module, form: nn.Module, x: Tensor) -> None:
    """Compare both on a picture of the training size. Raises ModelError where they differ."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.inference_mode():
            wanted, found = model.eval()(x), form.forward(x)  # a call would print a traceback where it fails
    except Exception as error:  # whatever does not go together any more
        raise refusal(f"its steps do not fit as convolutions ({_line(error)})") from error
    finally:
        for module, training in modes:
            module.training = training
    if not isinstance(wanted, Tensor):
        raise refusal(f"it gives a {type(wanted).__name__}, not a tensor")
    if found.shape != (*wanted.shape, *(1,) * (x.dim() - 2)):
        raise refusal(f"it would give {words(found.shape)} for one window")
    if not torch.allclose(found.flatten(1), wanted, rtol=0, atol=NEAR * max(1, float(wanted.abs().max()))):
        raise refusal("as convolutions it answers otherwise")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
