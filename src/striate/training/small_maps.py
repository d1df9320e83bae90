"""Convolution as a matrix product where feature maps are small, as in the last stages of a ResNet.

The library's convolution kernels are made for large maps: on 2x2 maps with 512 channels they run at a fifth
of the processor's rate. There the windows are few, so copying them side by side (im2col) costs little and the
rest is one large product, forward and for each gradient (Chellapilla, Puri and Simard 2006). Same numbers up
to rounding; a ResNet-18 step at 64 pixels becomes about 1.4 times as fast (benchmarks/small_maps.py).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the product was faster on the processor it was tried on (AVX-512 without AMX; docs/decisions/0003).
LARGEST_MAP, FEWEST_CHANNELS = 16, 128


class MatrixConv2d(nn.Conv2d):
    """A convolution that computes by matrix product in training; otherwise the one it was."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.is_meta:  # shapes alone are asked for on the meta device
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
        y: Tensor = _Product.apply(x, weight, self.stride[0], self.padding[0])  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias.to(y.dtype).view(-1, 1, 1)


class _Product(torch.autograd.Function):
    """y = columns(x) W^T, and its two gradients; channels last throughout, so that no weight is copied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.stride, ctx.padding, ctx.shape = stride, padding, x.shape
        columns, rows = _columns(x, weight.shape[2], stride, padding), _rows(weight)
        ctx.save_for_backward(columns, weight)
        n, height, width, _ = columns.shape
        return (columns.flatten(0, 2) @ rows.t()).view(n, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        columns, weight = ctx.saved_tensors
        channels, inputs, kernel, _ = weight.shape
        g = gradients[0].permute(0, 2, 3, 1).reshape(-1, channels)
        to_weight = (g.t() @ columns.flatten(0, 2)).view(channels, kernel, kernel, inputs).permute(0, 3, 1, 2)
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None, None
        to_columns = (g @ _rows(weight)).view(*columns.shape[:3], kernel, kernel, inputs)
        return _from_columns(to_columns, ctx.shape, ctx.stride, ctx.padding), to_weight, None, None


def _rows(weight: Tensor) -> Tensor:
    """(O, C, k, k) -> (O, k k C), a view where the weight lies channels last."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _columns(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Lay the windows side by side: (N, C, H, W) -> (N, H', W', k k C)."""
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    windows = padded.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (N, H', W', C, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3)


def _from_columns(to_columns: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """Add each window's gradient back where it was taken from: (N, H', W', k, k, C) -> (N, C, H, W)."""
    n, channels, height, width = shape
    _, high, wide, kernel, _, _ = to_columns.shape
    padded = to_columns.new_zeros(n, height + 2 * padding, width + 2 * padding, channels)
    for i in range(kernel):
        for j in range(kernel):
            place = padded[:, i : i + stride * high : stride, j : j + stride * wide : stride]
            place += to_columns[:, :, :, i, j]
    return padded[:, padding : padding + height, padding : padding + width].permute(0, 3, 1, 2)


@contextlib.contextmanager
def matrix_products(model: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Compute small maps by matrix product inside the block; the network is what it was after it.

    inputs: pictures as the network will get them; one forward pass on one of them shows the maps' sizes.
    """
    chosen: list[nn.Conv2d] = []

    def look(module: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        if output.shape[2] * output.shape[3] <= LARGEST_MAP:
            chosen.append(module)

    fitting = [module for module in model.modules() if _fits(module)] if inputs.device.type == "cpu" else []
    hooks = [module.register_forward_hook(look) for module in fitting]
    was_training = model.training
    model.eval()  # a look must not move the running statistics
    with torch.no_grad():
        model(inputs[:1])
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    try:
        for module in chosen:
            module.__class__ = MatrixConv2d
        yield
    finally:
        for module in chosen:
            module.__class__ = nn.Conv2d


def _fits(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.padding_mode == "zeros"
        and module.in_channels >= FEWEST_CHANNELS
        and not isinstance(module.padding, str)
        and all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
        and set(module.dilation) == {1}
    )
