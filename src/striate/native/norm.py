"""Batch normalisation in training with the shortcut and ReLU after it, in half the passes over memory.

Source: Ioffe and Szegedy 2015, algorithm 1. float32, channels last, channels a multiple of 16.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.native.library import load


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
            ctypes.byref(shape), _at(x), _at(shortcut), _at(weight), _at(bias), ctypes.c_float(eps),
            _at(mean), _at(variance), _at(y),
        )  # fmt: skip
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
            ctypes.byref(shape), _at(g), _at(x), _at(y), _at(weight), _at(mean), _at(variance),
            ctypes.c_float(ctx.eps), _at(to_x), _at(to_shortcut), _at(to_weight), _at(to_bias),
        )  # fmt: skip
        return to_x, g if ctx.adds and not ctx.relu else to_shortcut, to_weight, to_bias, None, None


def _shape(x: Tensor, relu: bool) -> _Norm:
    return _Norm(x.numel() // x.shape[1], x.shape[1], int(relu))


def _at(x: Tensor | None) -> ctypes.c_void_p | None:
    return None if x is None else ctypes.c_void_p(x.data_ptr())
