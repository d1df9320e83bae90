"""A classifier made fully convolutional: the same numbers for a picture of the size it was trained on, and a
map of answers for a larger one.

Source: Matan, Burges, LeCun and Denker 1992, Multi-digit recognition using a space displacement neural
network; Sermanet et al. 2014, OverFeat, section 3.5; Long, Shelhamer and Darrell 2015, section 3.1.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

RESHAPES = {"Flatten", "flatten", "view", "reshape", "squeeze"}
AVERAGES = {"AdaptiveAvgPool2d", "adaptive_avg_pool2d", "mean"}
MAXIMA = {"AdaptiveMaxPool2d", "adaptive_max_pool2d", "amax"}
FIXED_POOLS = {"avg_pool2d", "max_pool2d"}
SLIDING = (nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d)
NEAR = 1e-4  # of the largest output: what rounding in another order may change
FAR = 2**7 * 3 * 5 * 7  # pixels; a multiple of every total stride that networks have


class Windows(nn.Module):
    """Lay each window's values one behind another, as a flattening does: (N, C, H, W) -> (N, C h w, ...)."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        high, wide = (n - k + 1 for n, k in zip(x.shape[2:], self.size, strict=True))
        return F.unfold(x, self.size).view(len(x), -1, high, wide)


def fully_convolutional(model: nn.Module, x: Tensor) -> nn.Module:
    """Turn every layer that needs one size of picture into a convolution or a pooling of that size.

    A flattening and the dense layer behind it become a convolution over the whole map, later dense layers 1x1
    convolutions, and pooling over everything becomes pooling over a fixed window with stride 1.
    model: (N, C, H, W) -> (N, K); it stays as it is.   x: a picture of the size it was trained on.
    Returns: a copy, in evaluation mode, that gives (N, K, H', W'); for x model's answers, as
    (1, K, 1, 1).
    Raises ModelError that says what is in the way.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 10)).eval()
    >>> wide = fully_convolutional(net, torch.zeros(1, 1, 8, 8))
    >>> tuple(wide(torch.zeros(1, 1, 8, 20)).shape)
    (1, 10, 1, 13)
    """
    try:
        form = fx.symbolic_trace(copy.deepcopy(model).eval())
        with torch.inference_mode():
            _Sizes(form).run(x[:1].repeat(2, 1, 1, 1))
    except Exception as error:  # whatever a foreign network raises
        raise _refusal(f"torch.fx cannot follow it ({_line(error)})") from error
    for node in list(form.graph.nodes):
        if node.op.startswith("call"):
            _rewrite(form, node)
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
    shadow, shape = copy.deepcopy(form).to("meta"), x.shape
    try:
        one, many = (
            shadow.forward(torch.empty(1, shape[1], shape[2] + more, shape[3] + more, device="meta")).shape
            for more in (0, FAR)
        )
    except Exception as error:  # branches that do not grow alike, or an operator without a shape
        raise _refusal(f"its parts do not grow alike ({_line(error)})") from error
    grown = [many[axis] - one[axis] for axis in (2, 3)]
    if any(n < 1 or FAR % n for n in grown):
        raise _refusal("its map of answers does not grow evenly with the picture")
    return FAR // grown[0], FAR // grown[1]


class _Sizes(fx.Interpreter):
    """Note at each step of a network the shape of its result, or the result itself where it is no tensor."""

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        n.meta["value"] = value.shape if isinstance(value, Tensor) else value
        n.meta["tensor"] = isinstance(value, Tensor)
        return value


def _rewrite(form: fx.GraphModule, node: fx.Node) -> None:
    """Put what slides in place of one step, where that step needs a fixed size."""
    module = form.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = type(module).__name__ if module is not None else _name(node)
    source = node.args[0] if node.args else node.kwargs.get("input")
    if not isinstance(source, fx.Node) or not source.meta["tensor"] or not node.meta["tensor"]:
        return
    given, made = source.meta["value"], node.meta["value"]
    if name in FIXED_POOLS:
        module = _as_module(node, name)
    if name in RESHAPES:
        _replace(form, node, source, _reshaped(name, given, made))
    elif name.startswith("Dropout"):  # so that a dense layer stands right behind the flattening
        node.replace_all_uses_with(source)
    elif name in AVERAGES | MAXIMA:
        if name in {"mean", "amax"} and not _over_places(node):
            raise _refusal(f"{name} is not over both axes of a picture")
        _replace(form, node, source, _pooled(name, given, made))
    elif isinstance(module, nn.Linear):
        if len(given) != 2:
            raise _refusal(f"the dense layer {node.target} is given {_words(given)}, not a vector")
        before = source.meta.get("flattens")
        _replace(form, node, before or source, _dense(module, before.meta["value"] if before else given))
    elif isinstance(module, nn.BatchNorm1d) and len(given) == 2:
        _replace(form, node, source, _norm(module))
    elif isinstance(module, SLIDING):
        _replace(form, node, source, _at_every_place(module, given))


def _replace(form: fx.GraphModule, node: fx.Node, source: fx.Node, module: nn.Module) -> None:
    """Let ``module`` give what ``node`` gave."""
    form.add_submodule(f"sliding_{node.name}", module)
    with form.graph.inserting_before(node):
        new = form.graph.call_module(f"sliding_{node.name}", (source,))
    new.meta = dict(node.meta)
    if isinstance(module, Windows):
        new.meta["flattens"] = source
    node.replace_all_uses_with(new)


def _reshaped(name: str, given: torch.Size, made: torch.Size) -> nn.Module:
    """Keep channels where they are: a vector of D numbers is a map of D channels from now on."""
    channels, places = given[1], given[2:]
    if made == given or (places.numel() == 1 and made[1:].numel() == channels == made[1]):
        return nn.Identity()
    if len(given) != 4 or made[1:] != (channels * places.numel(),):
        raise _refusal(f"{name} makes {_words(made)} of {_words(given)}")
    return Windows(places)


def _dense(layer: nn.Linear, given: torch.Size) -> nn.Conv2d:
    """Give the convolution over a map (N, C, h, w), or over a vector (N, D), that a dense layer is."""
    high, wide = given[2:] or (1, 1)
    conv = nn.Conv2d(given[1], layer.out_features, (high, wide), bias=layer.bias is not None, device="meta")
    conv.weight = nn.Parameter(layer.weight.detach().view(layer.out_features, given[1], high, wide))
    conv.bias = layer.bias
    return conv


def _norm(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """Norm the channels of a map as those of a vector."""
    made = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    made.__dict__.update(copy.copy(norm.__dict__))
    return made


def _pooled(name: str, given: torch.Size, made: torch.Size) -> nn.Module:
    """Pool over a window of the size that was pooled over in training."""
    sizes, counts = tuple(given[2:]), tuple(made[2:]) or (1, 1)
    if len(given) != 4 or any(size % count for size, count in zip(sizes, counts, strict=True)):
        raise _refusal(f"{name} makes {_words(made)} of {_words(given)}")
    kernel = [size // count for size, count in zip(sizes, counts, strict=True)]
    stride = [1 if count == 1 else size for size, count in zip(kernel, counts, strict=True)]
    kind = nn.MaxPool2d if name in MAXIMA else nn.AvgPool2d
    return kind((kernel[0], kernel[1]), (stride[0], stride[1]))


def _at_every_place(module: nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d, given: torch.Size) -> nn.Module:
    """Give a layer whose kernel covers its whole map stride 1: in training its stride never counted."""
    stride = module.stride if isinstance(module.stride, tuple) else (module.stride,) * 2
    shadow = copy.copy(module)
    shadow.stride = (1, 1)
    made = copy.deepcopy(shadow).to("meta")(torch.empty(given, device="meta"))
    if isinstance(made, tuple) or stride == (1, 1):
        return module
    shadow.stride = tuple(1 if n == 1 else step for n, step in zip(made.shape[2:], stride, strict=True))
    return shadow


def _as_module(node: fx.Node, name: str) -> nn.AvgPool2d | nn.MaxPool2d:
    """Give the module that a call of F.avg_pool2d or F.max_pool2d is; sizes that it computed are fixed."""
    args, options = fx.node.map_arg((node.args[1:], node.kwargs), lambda one: one.meta["value"])
    if len(args) > 4:  # behind them, function and module differ in their order
        raise _refusal(f"a call of {name} gives its options without their names")
    kind: Any = {"avg_pool2d": nn.AvgPool2d, "max_pool2d": nn.MaxPool2d}[name]
    pool: nn.AvgPool2d | nn.MaxPool2d = kind(*args, **{k: v for k, v in options.items() if k != "input"})
    return pool


def _over_places(node: fx.Node) -> bool:
    """Tell whether a mean or maximum is over the last two of four axes."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, (list, tuple)) and {int(str(d)) % 4 for d in dims} == {2, 3}


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
        raise _refusal(f"its steps do not fit as convolutions ({_line(error)})") from error
    finally:
        for module, training in modes:
            module.training = training
    if not isinstance(wanted, Tensor):
        raise _refusal(f"it gives a {type(wanted).__name__}, not a tensor")
    if found.shape != (*wanted.shape, 1, 1):
        raise _refusal(f"it would give {_words(found.shape)} for one picture")
    if not torch.allclose(found.flatten(1), wanted, rtol=0, atol=NEAR * max(1, float(wanted.abs().max()))):
        raise _refusal("as convolutions it answers otherwise")


def _refusal(reason: str) -> ModelError:
    return ModelError(
        f"The network cannot be made fully convolutional: {reason}.", "It can be scanned window by window."
    )


def _words(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:])) or "nothing"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
