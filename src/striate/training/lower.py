"""A network made ready for fast training steps on a processor: same weights, same numbers, less work.

Every plain convolution gets the fastest way of each pass (:mod:`striate.training.convolution`); batch norm,
the addition of a shortcut and the ReLU after it become one operation where torch.fx can follow the network,
and so do a ReLU and the pooling after it.
"""

from __future__ import annotations

import contextlib
import operator
import random
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from striate.native import library
from striate.native.norm import NormReLU
from striate.native.pool import LARGEST_KERNEL, ReLUMaxPool
from striate.native.winograd import LANES
from striate.ops.size import Axis
from striate.training.convolution import Convolution, Plan, known, measured, plannable, possible, signature

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def lowered(model: nn.Module, inputs: Tensor, plans: dict[str, Plan] | None = None) -> Iterator[nn.Module]:
    """Give a module that trains ``model`` faster inside the block; the network is what it was after it.

    inputs: (N, C, H, W), a batch as the network will get it.
    plans: ways of convolutions that are known; what is measured is added. A run keeps them, so that it ends
    the same when it is resumed.
    """
    if inputs.device.type != "cpu" or inputs.ndim != 4:
        yield model
        return
    plans = {} if plans is None else plans
    chosen = _planned(model, inputs, plans)
    fused = None if library.unavailable() else _fused(model)
    if fused is not None and not _alike(model, fused, inputs[:1]):
        fused = None
    try:
        for module, plan in chosen.items():
            module.plan = plan  # type: ignore[assignment]
            module.__class__ = Convolution
        yield model if fused is None else fused
    finally:
        for module in chosen:
            module.__class__ = nn.Conv2d
            del module.plan


def _planned(model: nn.Module, inputs: Tensor, plans: dict[str, Plan]) -> dict[nn.Conv2d, Plan]:
    """Plan the convolutions that another way than torch's is faster for, from the sizes they meet."""
    seen: dict[nn.Conv2d, torch.Size] = {}
    first: set[nn.Conv2d] = set()

    def look(module: nn.Module, given: tuple[Tensor, ...], _output: object) -> None:
        assert isinstance(module, nn.Conv2d)
        seen[module] = torch.Size((len(inputs), *given[0].shape[1:]))
        if given[0].data_ptr() == few.data_ptr():
            first.add(module)

    few = inputs[:1]
    hooks = [module.register_forward_hook(look) for module in model.modules() if plannable(module)]
    was_training = model.training
    model.eval()  # a look must not move the running statistics
    with torch.no_grad(), contextlib.suppress(Exception):  # a network that raises says so in the step
        model(few)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    new: dict[str, Plan] = {}
    found: dict[nn.Conv2d, Plan] = {}
    for module, shape in seen.items():
        name = signature(module, shape, dtype)
        if name not in plans:
            if name not in known().plans:
                new[name] = measured(module, shape, dtype, first=module in first)
                known().plans[name] = new[name]
            plans[name] = known().plans[name]
        if (plan := possible(plans[name])) != Plan():
            found[module] = plan
    if new:
        known().add(new)
    return found


class Normalised(nn.Module):
    """A batch norm of the network, with the shortcut and the ReLU that follow it, as one operation."""

    def __init__(self, norm: nn.BatchNorm2d, *, relu: bool) -> None:
        super().__init__()
        self.norm, self.relu = norm, relu

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        norm = self.norm
        plain = norm.training and x.dtype == torch.float32 and x.device.type == "cpu"
        plain = plain and x.numel() > x.shape[1]  # of one value torch says that it has no variance
        if not plain or (shortcut is not None and (shortcut.shape, shortcut.dtype) != (x.shape, x.dtype)):
            y = norm(x) if shortcut is None else norm(x) + shortcut
            return F.relu(y) if self.relu else y
        y, mean, variance = NormReLU.apply(  # type: ignore[no-untyped-call]
            x, shortcut, norm.weight, norm.bias, norm.eps, self.relu
        )
        with torch.no_grad():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.num_batches_tracked is not None
            assert norm.momentum is not None
            count = x.numel() // x.shape[1]
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
        return y  # type: ignore[no-any-return]


class Pooled(nn.Module):
    """A max pooling of the network and the ReLU before it, as one operation."""

    def __init__(self, pool: nn.MaxPool2d, *, relu: bool) -> None:
        super().__init__()
        self.pool, self.relu = pool, relu

    def forward(self, x: Tensor) -> Tensor:
        pool = self.pool
        if x.dtype != torch.float32 or x.device.type != "cpu" or x.ndim != 4:
            return pool(F.relu(x) if self.relu else x)  # type: ignore[no-any-return]
        kernel, stride, padding = (_one(n) for n in (pool.kernel_size, pool.stride, pool.padding))
        high, wide = (
            Axis(side, kernel, stride, (padding, padding), ceil=pool.ceil_mode).positions
            for side in x.shape[2:]
        )
        y: Tensor = ReLUMaxPool.apply(  # type: ignore[no-untyped-call]
            x, (high, wide), kernel, stride, padding, self.relu
        )
        return y


def _one(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


def _poolable(pool: nn.MaxPool2d) -> bool:
    sizes = (pool.kernel_size, pool.stride, pool.padding)
    square = all(isinstance(size, int) or len(set(size)) == 1 for size in sizes)
    return (
        square
        and pool.dilation in (1, (1, 1))
        and not pool.return_indices
        and _one(sizes[0]) <= LARGEST_KERNEL
    )


def _fused(model: nn.Module) -> nn.Module | None:
    """Put norms, shortcuts and ReLUs together; None where fx cannot follow the network or finds none."""
    tracer, was_training, before, lots = fx.Tracer(), model.training, torch.get_rng_state(), _lots()
    tracer.proxy_buffer_attributes = True
    if any(_hooked(m) and not tracer.is_leaf_module(m, name) for name, m in model.named_modules()):
        return None  # what hangs on a module of modules, such as a freeze, would not be heard any more
    model.train()
    try:
        graph = tracer.trace(model)
    except Exception:  # noqa: BLE001 - whatever a foreign network raises: it stays as it is
        return None
    finally:
        model.train(was_training)
        drew = lots != _lots()
        torch.set_rng_state(before)
    if drew:  # a decision by lot, as in stochastic depth, would be the same for ever
        return None
    if any(node.op == "get_attr" for node in graph.nodes):  # what is outside of all layers
        return None
    modules = dict(model.named_modules())
    found: dict[str, nn.Module] = {}
    for node in list(graph.nodes):
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if module is None or len(node.args) != 1 or _hooked(module):
            continue
        if isinstance(module, nn.BatchNorm2d) and _fits(module):
            name = _free(f"{node.target}.normalised", node, found)
            found[name] = _replace(graph, node, module, name, modules)
        elif isinstance(module, nn.MaxPool2d) and _poolable(module):
            name = _free(f"{node.target}.pooled", node, found)
            found[name] = _replace_pool(graph, node, module, name, modules)
    if not found:
        return None
    fused = fx.GraphModule(modules | found | {"": model}, graph)  # the network's own modules, not copies
    fused.training = True
    return fused


def _alike(model: nn.Module, fused: nn.Module, few: Tensor) -> bool:
    """Compare both on a picture, norms by what they have learnt, so that nothing moves.

    Tracing does not see that a network asks for types, nor that it reads again what it added to in place.
    """
    was_training, told = model.training, list[Tensor]()
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - no public name
            module.training = False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for form in (model, fused):
                torch.manual_seed(0)
                output = form(few.clone())
                told.append(output[0] if isinstance(output, tuple) else output)
        expected, found = told
        near = 1e-3 * float(expected.abs().max())
        return torch.allclose(found, expected, rtol=0, atol=near, equal_nan=True)
    except Exception:  # noqa: BLE001 - whatever a foreign network raises: it stays as it is
        return False
    finally:
        model.train(was_training)


def _lots() -> object:
    """Tell where the generators stand that a network may draw from."""
    place = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002 - that of foreign networks
    return torch.get_rng_state().tolist(), random.getstate(), place


def _free(name: str, node: fx.Node, found: dict[str, nn.Module]) -> str:
    """Name one call of a module: of two calls only one may be followed by a ReLU."""
    return f"{name}_{node.name}" if name in found else name


def _hooked(module: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)


def _replace(
    graph: fx.Graph, node: fx.Node, norm: nn.BatchNorm2d, name: str, modules: dict[str, nn.Module]
) -> Normalised:
    """Put one node in the place of a norm, an addition and a ReLU, as far as they follow one another."""
    last, arguments = node, [node.args[0]]
    after = _only_user(last)
    if after is not None and _is_sum(after):
        other = [argument for argument in after.args if argument is not last]
        if len(other) == 1 and _is_relu(_only_user(after), modules):
            arguments.append(other[0])
            last = after
    after = _only_user(last)
    relu = after is not None and _is_relu(after, modules)
    if relu and after is not None:
        last = after
    with graph.inserting_before(last):
        new = graph.call_module(name, tuple(arguments))
    last.replace_all_uses_with(new)
    while last is not node:
        before = next(argument for argument in last.all_input_nodes if _leads_to(argument, node))
        graph.erase_node(last)
        last = before
    graph.erase_node(node)
    return Normalised(norm, relu=relu)


def _replace_pool(
    graph: fx.Graph, node: fx.Node, pool: nn.MaxPool2d, name: str, modules: dict[str, nn.Module]
) -> Pooled:
    """Put one node in the place of a pooling and, if nobody else looks at its result, the ReLU before it."""
    before = node.all_input_nodes[0]
    # In place a ReLU changes what others read of its input, too.
    relu = _is_relu(before, modules) and len(before.users) == 1
    relu = relu and len(before.args) > 0 and len(before.all_input_nodes[0].users) == 1
    with graph.inserting_before(node):
        new = graph.call_module(name, (before.args[0] if relu else before,))
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    if relu:
        graph.erase_node(before)
    return Pooled(pool, relu=relu)


def _leads_to(node: fx.Node, start: fx.Node) -> bool:
    return node is start or (_is_sum(node) and start in node.args)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_sum(node: fx.Node) -> bool:
    sums = {operator.add, operator.iadd, torch.add}
    plain = len(node.args) == 2 and not node.kwargs
    return (
        node.op == "call_function"
        and node.target in sums
        and plain
        and all(isinstance(argument, fx.Node) for argument in node.args)
    )


def _is_relu(node: fx.Node | None, modules: dict[str, nn.Module]) -> bool:
    if node is None:
        return False
    if node.op == "call_module":
        module = modules.get(str(node.target))
        return type(module) is nn.ReLU and not _hooked(module)
    return node.op == "call_function" and node.target in {F.relu, F.relu_, torch.relu, torch.relu_}


def _fits(norm: nn.BatchNorm2d) -> bool:
    return (
        norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and norm.weight.dtype == torch.float32
        and norm.num_features % LANES == 0
    )
