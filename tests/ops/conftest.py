"""What the operators' tests share: one comparison with torch, of values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from striate.errors import DoesNotFit

Operator = Callable[..., Tensor]


def _agree(ours: Operator, torchs: Operator, *shapes: tuple[int, ...], seed: int = 0) -> bool:
    """Hold value and all gradients of ours to torch's, in float64; where torch refuses, ours must say why.

    Returns whether there was a result to compare.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    one = [value.clone().requires_grad_() for value in inputs]
    other = [value.clone().requires_grad_() for value in inputs]
    try:
        expected = torchs(*other)
    except RuntimeError:
        with pytest.raises(DoesNotFit, match="not even one window fits"):
            ours(*one)
        return False
    y = ours(*one)
    assert y.dtype == torch.float64
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    g = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    gradients = zip(torch.autograd.grad(y, one, g), torch.autograd.grad(expected, other, g), strict=True)
    for gradient, its in gradients:
        torch.testing.assert_close(gradient, its, rtol=1e-12, atol=1e-12)
    return True


@pytest.fixture(scope="session")
def agree() -> Callable[..., bool]:
    """Two operators on the same random numbers, of these shapes and from this seed."""
    return _agree
