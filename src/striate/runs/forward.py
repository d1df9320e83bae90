"""Run a network forward over pixels, the same way for validation, evaluation and prediction."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from striate.data.batches import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences


def computing(precision: str, device: str) -> torch.autocast | contextlib.nullcontext[None]:
    """Compute in 16 bits where it is safe to (autocast), or plainly in float32; float16 only on a GPU."""
    if precision.startswith("bfloat16"):
        return torch.autocast(device, torch.bfloat16)
    if precision == "float16" and device == "cuda":
        return torch.autocast(device, torch.float16)
    return contextlib.nullcontext()


def outputs(
    model: nn.Module,
    pixels: NDArray[Any],
    rows: NDArray[Any],
    preprocess: Preprocess | Sequences,
    *,
    precision: str,
    device: str,
    batch: int = 128,
    tta: str = "off",
) -> Tensor:
    """Give the network's outputs for some rows of the pixels, in their order.

    pixels: (M, size, size, C) or (M, L, C') raw.
    tta: the recipe's; flip averages over a picture and its mirror image.
    Returns: (len(rows), ...) float32, on the CPU.
    """
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        found = [
            answered(model, inputs, precision=precision, tta=tta).cpu()
            for inputs in plain(pixels, rows, preprocess, batch, device)
        ]
    model.train(was_training)
    return torch.cat(found)


def answered(model: nn.Module, inputs: Tensor, *, precision: str, tta: str = "off") -> Tensor:
    """Give the outputs for one batch that is prepared already; the rest as in :func:`outputs`."""
    with computing(precision, inputs.device.type):
        said: Tensor = model(inputs).float()
        if tta == "flip":
            said = (said + model(inputs.flip(3)).float()) / 2
    return said
