"""The fastest way to compute each convolution of a training step: chosen by measuring, pass by pass.

Three ways give the same numbers up to rounding: torch's own kernels; windows copied side by side and one
large matrix product (Chellapilla, Puri and Simard 2006), which wins where maps are small; and Winograd's
minimal filtering (Lavin and Gray 2016), which multiplies less. Which is fastest depends on the shape, the
processor and the pass.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import StriateError
from striate.files import cache_folder, write_text
from striate.native import library, winograd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PASSES = ("forward", "to_input", "to_weight")
MARGIN = 0.93  # another way than torch's must take at most this share of its time: measurements are noisy
LARGEST_MAP = 64  # pixels of an output map up to which windows are copied side by side
ROUNDS, ENOUGH = 12, 0.02  # timings of each way at most, and seconds after which no more are made


@dataclass(frozen=True)
class Geometry:
    """What a convolution does, but for its weights."""

    stride: int
    padding: int
    kernel: int


@dataclass(frozen=True)
class Plan:
    """The way of each pass, by name."""

    forward: str = "torch"
    to_input: str = "torch"
    to_weight: str = "torch"


class Way(Protocol):
    """One way to compute: x (N, C, H, W), weight (K, C, k, k), gradient (N, K, H', W'), channels last."""

    def forward(self, x: Tensor, weight: Tensor, g: Geometry) -> Tensor: ...
    def to_input(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor: ...
    def to_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor: ...


class Torch:
    """The library's convolution."""

    def forward(self, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        return F.conv2d(x, weight, stride=g.stride, padding=g.padding)

    def to_input(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        found: Tensor = self._back(gradient, x, weight, g, [True, False, False])[0]
        return found

    def to_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        found: Tensor = self._back(gradient, x, weight, g, [False, True, False])[1]
        return found

    def _back(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry, mask: list[bool]) -> Any:
        pairs = [g.stride] * 2, [g.padding] * 2, [1, 1]
        return torch.ops.aten.convolution_backward(gradient, x, weight, None, *pairs, False, [0, 0], 1, mask)


class Product:
    """Windows side by side (im2col), then one matrix product; channels last, so that no weight is copied."""

    def forward(self, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        columns = _columns(x, g)
        n, height, width, _ = columns.shape
        # Written into a tensor of its own: autograd lets no layer after it change a view in place.
        y = torch.empty((n, len(weight), height, width), dtype=x.dtype, memory_format=torch.channels_last)
        torch.mm(columns.flatten(0, 2), _rows(weight).t(), out=y.permute(0, 2, 3, 1).flatten(0, 2))
        return y

    def to_input(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        n, channels, height, width = gradient.shape
        flat = gradient.permute(0, 2, 3, 1).reshape(-1, channels)
        to_columns = (flat @ _rows(weight)).view(n, height, width, g.kernel, g.kernel, weight.shape[1])
        return _from_columns(to_columns, x.shape, g)

    def to_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        channels, inputs, kernel, _ = weight.shape
        flat = gradient.permute(0, 2, 3, 1).reshape(-1, channels)
        found = flat.t() @ _columns(x, g).flatten(0, 2)
        return found.view(channels, kernel, kernel, inputs).permute(0, 3, 1, 2)


class Winograd:
    """Fewer multiplications, in float32 whatever comes in; channels are filled up to a multiple of 16."""

    def forward(self, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        y = winograd.forward(_filled(x, 1), _filled(weight, 0, 1), g.padding)
        return _first(y, 1, len(weight)).to(x.dtype)

    def to_input(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        found = winograd.to_input(_filled(gradient, 1), _filled(weight, 0, 1), g.padding)
        return _first(found, 1, x.shape[1]).to(x.dtype)

    def to_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, g: Geometry) -> Tensor:
        found = winograd.to_weight(_filled(x, 1), _filled(gradient, 1), g.kernel, g.padding)
        return _first(_first(found, 0, len(weight)), 1, x.shape[1]).to(weight.dtype)


WAYS: dict[str, Way] = {
    "torch": Torch(),
    "product": Product(),
    "winograd": Winograd(),
}


def ways(weight: Tensor, g: Geometry, pixels: int) -> list[str]:
    """Name the ways that are worth a try; torch's is the first.

    pixels: of an output map. Copying windows never pays where they are many.
    """
    found = ["torch"]
    if g.kernel == 1 or pixels <= LARGEST_MAP:
        found.append("product")
    whole = _filled(weight.detach(), 0, 1)
    if winograd.fits(whole, g.stride, g.padding) and not library.unavailable():
        found.append("winograd")
    return found


class Convolution(nn.Conv2d):
    """A convolution that computes each pass in its planned way in training; otherwise the one it was.

    Not made but become: ``module.__class__ = Convolution`` and a plan beside it, so that weights keep names.
    """

    plan: Plan

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.is_meta or x.device.type != "cpu":
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        y: Tensor = _Planned.apply(x, weight, bias, geometry(self), self.plan)  # type: ignore[no-untyped-call]
        return y


class _Planned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, g: Geometry, plan: Plan) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.plan, ctx.biased = g, plan, bias is not None
        y = WAYS[plan.forward].forward(x, weight, g)
        return y if bias is None else y.add_(bias.view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient, g, plan = gradients[0], ctx.geometry, ctx.plan
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        to_input = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_input = WAYS[plan.to_input].to_input(gradient, x, weight, g)
        if ctx.needs_input_grad[1]:
            to_weight = WAYS[plan.to_weight].to_weight(gradient, x, weight, g)
        if ctx.biased and ctx.needs_input_grad[2]:
            to_bias = gradient.sum((0, 2, 3))
        return to_input, to_weight, to_bias, None, None


def geometry(module: nn.Conv2d) -> Geometry:
    """Read stride, padding and kernel off a module that :func:`plannable` accepts."""
    assert not isinstance(module.padding, str)
    return Geometry(module.stride[0], module.padding[0], module.kernel_size[0])


def plannable(module: nn.Module) -> bool:
    """Whether there is more than one way: a plain square convolution without groups or gaps."""
    return (
        type(module) in {nn.Conv2d, Convolution}
        and isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
        and set(module.dilation) == {1}
    )


def possible(plan: Plan) -> Plan:
    """Leave to torch what cannot be done here: a run's plan may come from a machine with a compiler."""
    gone = {"winograd"} if library.unavailable() else set()
    ways = WAYS.keys() - gone
    return Plan(**{name: way if way in ways else "torch" for name, way in asdict(plan).items()})


def signature(module: nn.Conv2d, shape: torch.Size, dtype: torch.dtype) -> str:
    """Name what a plan depends on: sizes, kind of number, threads."""
    g, sizes = geometry(module), "x".join(str(n) for n in shape)
    kind = str(dtype).removeprefix("torch.")
    return f"{sizes}-{module.out_channels}k{g.kernel}s{g.stride}p{g.padding}-{kind}-{torch.get_num_threads()}"


def measured(module: nn.Conv2d, shape: torch.Size, dtype: torch.dtype, *, first: bool) -> Plan:
    """Time every way of every pass on random numbers and give the fastest.

    shape: (N, C, H, W) of the input.   first: no gradient is asked for its input.
    """
    g = geometry(module)
    generator = torch.Generator().manual_seed(0)
    last = torch.channels_last
    x = torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=last)
    weight = module.weight.detach().to(dtype)
    y = F.conv2d(x, weight, stride=g.stride, padding=g.padding)
    gradient = torch.randn(y.shape, generator=generator).to(dtype).contiguous(memory_format=last)
    plan: dict[str, str] = {}
    for name in PASSES:
        if first and name == "to_input":
            continue
        calls: dict[str, Callable[[], Tensor]] = {}
        for way in ways(weight, g, y.shape[2] * y.shape[3]):
            call = getattr(WAYS[way], name)
            given = (x, weight, g) if name == "forward" else (gradient, x, weight, g)
            calls[way] = functools.partial(call, *given)
        plan[name] = fastest(_timed(calls))
    return Plan(**plan)


def fastest(seconds: Mapping[str, float]) -> str:
    """Name the fastest way; torch's where no other is clearly faster.

    >>> fastest({"torch": 1.0, "product": 0.97}), fastest({"torch": 1.0, "product": 0.5})
    ('torch', 'product')
    """
    best = min(seconds, key=lambda way: seconds[way])
    return best if seconds[best] < MARGIN * seconds["torch"] else "torch"


def _timed(calls: Mapping[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Give the least seconds of each call, in turn; what is far behind at once is not tried again."""
    least: dict[str, float] = {}
    with torch.no_grad():
        for way, call in calls.items():
            call()  # prepares the kernels
            least[way] = _seconds(call)
        hopeful = [way for way in calls if least[way] < 2 * min(least.values())]
        began = time.perf_counter()
        for _ in range(ROUNDS - 1):
            for way in hopeful:
                least[way] = min(least[way], _seconds(calls[way]))
            if time.perf_counter() - began > ENOUGH:
                break
    return least


def _seconds(call: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class Known:
    """The plans that were measured on this machine, by signature.

    Kept on disk: nothing is measured twice, and a run that is made again goes the same way. A file that
    cannot be read or written is no file.
    """

    def __init__(self) -> None:
        self.path = cache_folder() / "native" / f"plans-{library.identity()}.json"
        self.plans: dict[str, Plan] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            self.plans = from_json(json.loads(self.path.read_text(encoding="utf-8")))

    def add(self, plans: Mapping[str, Plan]) -> None:
        """Keep what was measured now."""
        self.plans |= plans
        with contextlib.suppress(OSError, StriateError):
            write_text(self.path, json.dumps(to_json(self.plans), indent=1, sort_keys=True) + "\n")


@functools.cache
def known() -> Known:
    """Give this machine's plans, read once."""
    return Known()


def forget() -> None:
    """Let everything be measured anew, for whoever asks for it: a busy moment may have chosen badly."""
    with contextlib.suppress(OSError):
        known().path.unlink(missing_ok=True)
    known.cache_clear()


def to_json(plans: Mapping[str, Plan]) -> dict[str, dict[str, str]]:
    """Give plans the form that a run keeps."""
    return {signature: asdict(plan) for signature, plan in plans.items()}


def from_json(values: Mapping[str, Mapping[str, str]]) -> dict[str, Plan]:
    """Read back :func:`to_json`."""
    return {signature: Plan(**ways) for signature, ways in values.items()}


def _filled(x: Tensor, *axes: int) -> Tensor:
    """Add zeros behind the given axes, the first two or one of them, up to a multiple of the lanes."""
    shape = list(x.shape)
    for axis in axes:
        shape[axis] += -shape[axis] % winograd.LANES
    if shape == list(x.shape):
        return x.float()
    filled = torch.zeros(shape).contiguous(memory_format=torch.channels_last)
    filled[: x.shape[0], : x.shape[1]] = x
    return filled


def _first(x: Tensor, axis: int, count: int) -> Tensor:
    """Leave away what :func:`_filled` led to."""
    if x.shape[axis] == count:
        return x
    return x.narrow(axis, 0, count).contiguous(memory_format=torch.channels_last)


def _rows(weight: Tensor) -> Tensor:
    """(O, C, k, k) -> (O, k k C), a view where the weight lies channels last."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _columns(x: Tensor, g: Geometry) -> Tensor:
    """Lay the windows side by side: (N, C, H, W) -> (N, H', W', k k C)."""
    pixels = x.permute(0, 2, 3, 1)
    if g.kernel == 1 and not g.padding:
        return pixels[:, :: g.stride, :: g.stride]
    padded = F.pad(pixels, (0, 0, g.padding, g.padding, g.padding, g.padding))
    windows = padded.unfold(1, g.kernel, g.stride).unfold(2, g.kernel, g.stride)  # (N, H', W', C, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3)


def _from_columns(to_columns: Tensor, shape: torch.Size, g: Geometry) -> Tensor:
    """Add each window's gradient back where it was taken from: (N, H', W', k, k, C) -> (N, C, H, W)."""
    n, channels, height, width = shape
    _, high, wide, kernel, _, _ = to_columns.shape
    if kernel == 1 and g.stride == 1 and not g.padding:
        return to_columns.reshape(n, height, width, channels).permute(0, 3, 1, 2)
    padded = to_columns.new_zeros(n, height + 2 * g.padding, width + 2 * g.padding, channels)
    for i in range(kernel):
        for j in range(kernel):
            place = padded[:, i : i + g.stride * high : g.stride, j : j + g.stride * wide : g.stride]
            place += to_columns[:, :, :, i, j]
    return padded[:, g.padding : g.padding + height, g.padding : g.padding + width].permute(0, 3, 1, 2)
