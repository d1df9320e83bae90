"""The smallest input that a network takes, found by trying: on the meta device a try costs a millisecond."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from striate.summary import shapes
from striate.summary.rows import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from striate.summary.result import Shape

SECONDS = 3.0  # for the whole search
LARGEST = 4096  # pixels a side
USUAL = (64, 96, 128, 192, 224, 227, 256, 299, 384, 512, 1024, 8000, 16000, 22050, 44100)
CONVOLUTIONS = (
    (nn.Conv1d, nn.ConvTranspose1d),
    (nn.Conv2d, nn.ConvTranspose2d),
    (nn.Conv3d, nn.ConvTranspose3d),
)


def smallest(model: nn.Module, shape: Shape, dtype: torch.dtype) -> tuple[Shape | None, bool]:
    """Find the smallest input that a network of meta tensors takes: a square, if any square works.

    shape: what does not work; its channels are kept where some size works with them.
    Returns: an input that works, None where none was found in SECONDS; and whether it is the smallest.
    """
    stop = time.monotonic() + SECONDS
    for candidate in _by_size(model, shape, dtype):
        if works(model, candidate, dtype):
            return candidate, True
        if time.monotonic() > stop:
            break
    for candidate in _others(model, shape):
        if works(model, candidate, dtype):
            return _lowered(model, candidate, dtype), False
        if time.monotonic() > stop + 1:
            break
    return None, False


def _lowered(model: nn.Module, shape: Shape, dtype: torch.dtype) -> Shape:
    """Halve the way down from a square that works, as if every larger one did."""
    if len(set(shape[1:])) != 1:
        return shape
    low, high = 0, shape[-1]
    while high - low > 1:
        side = (low + high) // 2
        if works(model, (shape[0], *[side] * (len(shape) - 1)), dtype):
            high = side
        else:
            low = side
    return (shape[0], *[high] * (len(shape) - 1))


def works(model: nn.Module, shape: Shape, dtype: torch.dtype) -> bool:
    """Tell whether a network of meta tensors takes an input."""
    try:
        with torch.no_grad(), Shapes():  # type: ignore[no-untyped-call]
            model(torch.empty(fewest(model), *shape, dtype=dtype, device="meta"))
    except (Exception, SystemExit):  # noqa: BLE001 - anybody's forward may raise anything
        return False
    return True


def fewest(model: nn.Module) -> int:
    """Count the inputs that any batch needs: batch normalisation cannot be trained on one value a channel."""
    return 2 if model.training else 1


def axes_of(module: Any) -> int:
    """Count the axes that a convolution slides along; 0 for any other module."""
    return next((i for i, kinds in enumerate(CONVOLUTIONS, 1) if isinstance(module, kinds)), 0)


def _by_size(model: nn.Module, shape: Shape, dtype: torch.dtype) -> Iterator[Shape]:
    """Give inputs from the smallest on."""
    first = _first(model)
    if not dtype.is_floating_point:
        yield from ((n,) * len(shape) for n in range(1, LARGEST))
    elif first is None:
        yield from _without_convolution(model, shape)
    else:
        axes, channels = axes_of(first), {first.in_channels}
        if len(shape) == axes + 1:
            channels = {shape[0], first.in_channels}
        order = sorted(channels - {0}, key=lambda c: c != shape[0])  # 0: not known before the first input
        yield from ((c, *[n] * axes) for n in range(1, LARGEST) for c in order)


def _without_convolution(model: nn.Module, shape: Shape) -> Iterator[Shape]:
    """Give inputs for a network whose layers, if they say so at all, only say how many values they take."""
    features = sorted({m.in_features for m in model.modules() if isinstance(m, nn.Linear)} - {0})
    features += sorted({m.input_size for m in model.modules() if isinstance(m, nn.RNNBase)})
    rows = [(*[1] * (len(shape) - 1), n) for n in features]
    if len(shape) < 3:
        yield from rows
    if len(shape) > 1:
        yield from ((shape[0], *[n] * (len(shape) - 1)) for n in range(1, LARGEST))
    yield from rows
    yield from ((n,) for n in features)


def _others(model: nn.Module, shape: Shape) -> Iterator[Shape]:
    """Give inputs of usual sizes, and those that differ from the one given in one axis only."""
    first = _first(model)
    if first is not None:
        yield from ((first.in_channels, *[n] * axes_of(first)) for n in USUAL)
    for axis in range(1, len(shape)):
        near = sorted(range(1, 2 * shape[axis]), key=lambda n: abs(n - shape[axis]))
        yield from ((*shape[:axis], n, *shape[axis + 1 :]) for n in near)


def _first(model: nn.Module) -> Any:
    return next((module for module in model.modules() if axes_of(module)), None)


class Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers for shapes only, as fast as they can be had."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see Trace

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if len({tensor.is_meta for tensor in tensors((args, kwargs)) if tensor.dim()}) > 1:  # as Trace does
            args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        return shapes.run(func, args, kwargs)
