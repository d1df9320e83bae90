"""Batch normalisation in training with the shortcut and ReLU after it, in half the passes over memory.

Source: Ioffe and Szegedy 2015, algorithm 1. float32, channels last, channels a multiple of 16.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.native.library import address, load


class _Norm(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("rows", "channels", "relu")]


class NormReLU(torch.autograd.Function):
    """y = batch_norm(x), + shortcut where there is one, ReLU where asked for.

    x, shortcut: (N, C, H, W).   weight, bias: (C,).   Returns y, the batch's mean, and its biased variance.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        relu: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)
        shortcut = None if shortcut is None else shortcut.contiguous(memory_format=torch.channels_last)
        y, mean, variance = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        shape = _shape(x, relu)
        load().norm_forward(
            ctypes.byref(shape),
            address(x),
            address(shortcut),
            address(weight),
            address(bias),
            ctypes.c_float(eps),
            address(mean),
            address(variance),
            address(y),
        )
        ctx.save_for_backward(x, y if relu else None, weight, mean, variance)
        ctx.eps, ctx.relu, ctx.adds = eps, relu, shortcut is not None
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, mean, variance = ctx.saved_tensors
        g = gradients[0].contiguous(memory_format=torch.channels_last)
        to_x = torch.empty_like(x)
        # Without a ReLU the gradient goes to the shortcut as it is.
        to_shortcut = torch.empty_like(x) if ctx.adds and ctx.relu else None
        to_weight, to_bias = torch.empty_like(weight), torch.empty_like(weight)
        shape = _shape(x, ctx.relu)
        load().norm_backward(
            ctypes.byref(shape),
            address(g),
            address(x),
            address(y),
            address(weight),
            address(mean),
            address(variance),
            ctypes.c_float(ctx.eps),
            address(to_x),
            address(to_shortcut),
            address(to_weight),
            address(to_bias),
        )
        return to_x, g if ctx.adds and not ctx.relu else to_shortcut, to_weight, to_bias, None, None


def _shape(x: Tensor, relu: bool) -> _Norm:
    return _Norm(x.numel() // x.shape[1], x.shape[1], int(relu))
