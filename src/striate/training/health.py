"""The health of a network's layers: silent and saturated units, how far gradients reach, weights' spectra."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from striate import taps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TANH, SIGMOID = 0.97, (0.03, 0.97)  # beyond which a unit's slope is a seventeenth of its best, or less
SATURATED = 0.95  # share of places and pictures from which on a unit counts as saturated
WIDEST = 1024  # units, or inputs of one, up to which a layer's spectrum is worked out
NARROW = 128  # up to which it is worked out in float64
NUMBERS, LARGEST_BATCH = 2**19, 64  # of the inputs that are looked at together


@dataclass(frozen=True)
class LayerHealth:
    """How a layer with a matrix of weights does. What does not apply, or is no number, is None.

    units: channels, or features of a dense layer.
    dead: the units whose ReLU is 0 at all places of all pictures; None where no ReLU follows.
    saturated: those whose tanh or sigmoid is at its ends at 95 % of the places or more; None where none
    follows.   weight, gradient: root mean square of the weights, and of the mean loss's gradient by them.
    flow: length of the gradient of a picture's loss where it arrives at the layer's output; root mean square
    over the pictures. From the last layer to the first it neither vanishes nor explodes where all is well
    (Glorot and Bengio 2010, section 4.2).
    update: length of the last step as a share of the weights' length; 1e-3 is usual (CS231n).
    largest: singular value of the weights (O, inputs).   rank: their :func:`effective_rank`.
    """

    name: str
    kind: str
    units: int
    weight: float | None
    gradient: float | None
    flow: float | None = None
    update: float | None = None
    dead: tuple[int, ...] | None = None
    saturated: tuple[int, ...] | None = None
    largest: float | None = None
    rank: float | None = None


def measure(
    model: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor, slice], Tensor],
    *,
    as_trained: bool = False,
    note: Callable[[str, Tensor], None] | None = None,
) -> tuple[LayerHealth, ...]:
    """Measure each layer that has a matrix of weights and runs, in the order of the calls.

    x: (N, C, ...) pictures, looked at in parts.   loss: of the network's output for a slice of them, summed.
    as_trained: batch norms that are training use the batch's statistics, as a training step does; all
    else is in evaluation.   note: hears of each such layer's output.
    Nothing of the network is changed, its ``.grad`` and the random state included.

    Units are found dead or saturated where torch computes a ReLU (or ReLU6, threshold, clamp at 0), tanh,
    sigmoid or hardtanh, however the network spells it; they are counted to the layer that ran last before it.
    """
    matrices = matrices_of(model)
    watch = Watch(matrices)
    # Aliases that ask for gradients, though the network's own may be frozen, and buffers that may move.
    aliases = {name: p.detach().requires_grad_(p.is_floating_point()) for name, p in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    wanted = [name for names in matrices.values() for name in names]
    sums: dict[str, Tensor] = {}
    flows: dict[str, float] = {}
    made: list[tuple[str, Tensor]] = []
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]

    def leave(call: taps.Call) -> None:
        if call.name not in matrices or not isinstance(call.result, Tensor):
            return
        if note is not None:
            note(call.name, call.result.detach())
        if call.result.requires_grad:
            made.append((call.name, call.result))
            call.result = call.result.clone()  # the gradient is asked for by what nothing changes in place

    with (
        _measuring(model, as_trained=as_trained and len(x) > 1),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.random.fork_rng(devices),
    ):
        for part in _parts(x):
            with taps.calls(model, watch.enter, leave), watch:
                output = torch.func.functional_call(model, (aliases, buffers), (x[part],))
            total = loss(output, part) / len(x)
            given = [*(aliases[name] for name in wanted), *(output for _, output in made)]
            found = torch.autograd.grad(total, given, allow_unused=True) if total.requires_grad else ()
            for name, gradient in zip(wanted, found, strict=False):
                if gradient is not None:
                    sums[name] = gradient if name not in sums else sums[name] + gradient
            for (name, _), gradient in zip(made, found[len(wanted) :], strict=False):
                if gradient is not None:  # times N: of a picture's own loss
                    flows[name] = flows.get(name, 0.0) + len(x) * _length(gradient) ** 2
            made.clear()
    return tuple(_layer(model, name, matrices[name], sums, flows, watch) for name in watch.order)


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hears what torch computes, and keeps which units of which layer were ever alive or free."""

    def __init__(self, layers: Mapping[str, list[str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = layers
        self.order: list[str] = []
        self.units: dict[str, int] = {}
        self.alive: dict[str, Tensor] = {}  # (U,) whether a ReLU ever let a unit through
        self.full: dict[str, tuple[Tensor, int]] = {}  # (U,) values at the ends, of how many
        self._last, self._axis, self._free = "", 1, False

    def enter(self, call: taps.Call) -> None:
        """Take note that a layer runs: what comes next is counted to it."""
        if call.name in self.layers:
            self._last, self._free = call.name, True
            weight = getattr(call.module, "weight", None)
            self._axis = -1 if isinstance(weight, Tensor) and weight.dim() == 2 else 1
            if call.name not in self.order:
                self.order.append(call.name)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        kind = _ends(func, args, kwargs or {})
        if kind is not None and self._free and isinstance(out, Tensor) and out.dim() > 1:
            self._free = False  # only the first after a layer is about the layer's own units
            values = out.detach().movedim(self._axis, 0).flatten(1)
            self.units[self._last] = len(values)
            if kind == "relu":
                self._see(self.alive, values.ne(0).any(1))
            else:
                low, high = kind
                at_ends = ((values < low) | (values > high)).sum(1)
                before, count = self.full.get(self._last, (torch.zeros_like(at_ends), 0))
                if len(before) == len(at_ends):
                    self.full[self._last] = before + at_ends, count + values.shape[1]
        return out

    def _see(self, kept: dict[str, Tensor], now: Tensor) -> None:
        before = kept.get(self._last)
        kept[self._last] = now if before is None or len(before) != len(now) else before | now

    def dead(self, name: str) -> tuple[int, ...] | None:
        """Number the units of a layer that were never alive."""
        found = self.alive.get(name)
        return None if found is None else tuple((~found).nonzero()[:, 0].tolist())

    def saturated(self, name: str) -> tuple[int, ...] | None:
        """Number the units of a layer that were nearly always at their ends."""
        if name not in self.full:
            return None
        at_ends, count = self.full[name]
        return tuple((at_ends >= SATURATED * count).nonzero()[:, 0].tolist())


def _ends(func: Any, args: Any, kwargs: Any) -> Any:
    """Tell a rectifier ("relu") and a squashing function (its ends) from what else torch computes."""
    name = func.overloadpacket.__name__.removesuffix("_")
    given = [*args[1:], *kwargs.values()]
    first = given[0] if given else None
    if name == "relu" or (name in {"clamp_min", "clamp", "hardtanh", "threshold"} and first == 0):
        return "relu"
    if name == "tanh":
        return -TANH, TANH
    if name == "hardtanh":
        return args[1] * TANH if len(args) > 1 else -TANH, args[2] * TANH if len(args) > 2 else TANH
    return SIGMOID if name in {"sigmoid", "hardsigmoid"} else None


def singular_values(matrix: Tensor) -> Tensor | None:
    """Give a matrix's singular values, largest first; None where it is too wide for a moment, or no numbers.

    matrix: (O, ...), flattened to (O, inputs).
    """
    flat = matrix.detach().flatten(1)
    flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
    if not 0 < len(flat) <= WIDEST or not torch.isfinite(flat).all():
        return None
    # Rounding leaves a small value 3e-4 of the largest in float32: where many share, nobody sees it.
    flat = flat.float().cpu() if len(flat) > NARROW else flat.double().cpu()
    squares: Tensor = torch.linalg.eigvalsh(flat @ flat.T).double()
    return squares.clamp_min(0).sqrt().flip(0)


def effective_rank(values: Tensor) -> float:
    """Give exp of the entropy of singular values: as many directions as are in use (Roy and Vetterli 2007).

    >>> round(effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])), 6)
    3.0
    """
    total = values.sum()
    share = values / total if total > 0 else values
    return math.exp(-float(torch.special.xlogy(share, share).sum())) if total > 0 else 0.0


@contextmanager
def _measuring(model: nn.Module, *, as_trained: bool) -> Iterator[None]:
    """Set a network to evaluation, its training batch norms apart if asked, and back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, mode in modes:
            is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001 - no public name
            module.training = mode and is_norm and as_trained
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def matrices_of(model: nn.Module) -> dict[str, list[str]]:
    """Name each layer without layers inside that has weights of two axes or more, and those weights."""
    found: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        parametrized = parametrize.is_parametrized(module)
        if isinstance(module, parametrize.ParametrizationList) or (
            not parametrized and next(module.children(), None) is not None
        ):
            continue
        own = [f"{name}.{part}".lstrip(".") for part, p in module.named_parameters() if p.dim() > 1]
        if own and "parametrizations" not in name.split("."):
            found[name] = own
    return found


def _parts(x: Tensor) -> Iterator[slice]:
    """Cut N pictures into slices of nearly the same number, so that none is left with a single one."""
    most = max(4, min(LARGEST_BATCH, NUMBERS // max(1, x[:1].numel())))
    count = -(-len(x) // most)
    borders = [round(i * len(x) / count) for i in range(count + 1)]
    return (slice(a, b) for a, b in itertools.pairwise(borders))


def _layer(
    model: nn.Module,
    name: str,
    parts: list[str],
    gradients: Mapping[str, Tensor],
    flows: Mapping[str, float],
    watch: Watch,
) -> LayerHealth:
    module = model.get_submodule(name)
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        weight = model.get_parameter(parts[0])
    found = [gradients[part] for part in parts if part in gradients]
    values = singular_values(weight)
    return LayerHealth(
        name=name,
        kind=_kind(module),
        units=watch.units.get(name, _outputs(module, weight)),
        weight=rms([weight.detach()]),
        gradient=rms(found) if found else 0.0,
        flow=number(math.sqrt(flows.get(name, 0.0))),
        dead=watch.dead(name),
        saturated=watch.saturated(name),
        largest=None if values is None else float(values[0]),
        rank=None if values is None else effective_rank(values),
    )


def _kind(module: nn.Module) -> str:
    """Name a layer's class, and what stands on one of torch's, as our faster convolutions do, by torch's."""
    names = [
        kind.__name__ for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules.")
    ]
    return next((name for name in names if name != "Module"), type(module).__name__)


def _outputs(module: nn.Module, weight: Tensor) -> int:
    for name in ("out_channels", "out_features", "hidden_size"):
        if isinstance(count := getattr(module, name, None), int):
            return count
    return len(weight)


def rms(tensors: list[Tensor]) -> float | None:
    """Give the root mean square of the values of several tensors; None where it is no number."""
    total = sum(_length(tensor) ** 2 for tensor in tensors)
    return number(math.sqrt(total / max(1, sum(tensor.numel() for tensor in tensors))))


def _length(tensor: Tensor) -> float:
    """Give the root of the sum of squares, in float64: of a gradient of 1e-21 the square is 0 in float32."""
    there = tensor.cpu() if tensor.device.type == "mps" else tensor  # Apple's GPU has no float64
    return float(torch.linalg.vector_norm(there, dtype=torch.float64))


def number(value: float) -> float | None:
    """Give None for what is no finite number."""
    return value if math.isfinite(value) else None
