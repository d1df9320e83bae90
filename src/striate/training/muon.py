"""Muon: each filter bank is turned by the nearest orthogonal matrix of its gradient, whatever its size.

A step then moves all directions of a layer equally far, those with small gradients too, and few steps
suffice: what a short run is made of. Source: Jordan and others 2024, Muon: an optimizer for hidden layers in
neural networks; filters of constant length as in the public script airbench94_muon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

MOMENTUM = 0.6
ITERATIONS = 3
# Of the polynomial a s + b s^3 + c s^5, which takes singular values in (0, 1] towards 1 in few iterations.
A, B, C = 3.4445, -4.7750, 2.0315
BETAS, EPSILON = (0.9, 0.95), 1e-8


class Muon(torch.optim.Optimizer):
    """Muon for convolutions' filters (tensors of four axes), Adam for all else.

    A filter bank W (O, C, h, w) is taken as a matrix of O rows. Its step has `lr` times its own length, and
    its length stays what it was: made for filters that a norm follows, whose length says nothing.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float = 0.2, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, decay = group["lr"], group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.ndim == 4:
                    self._turn(p, lr)
                else:
                    p.mul_(1 - lr * decay)
                    self._adam(p, lr)
        return loss

    def _turn(self, p: Tensor, lr: float) -> None:
        state, gradient = self.state[p], p.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum: Tensor = state["momentum"]
        momentum.mul_(MOMENTUM).add_(gradient)
        turn = orthogonal(gradient.add(momentum, alpha=MOMENTUM).flatten(1)).view(p.shape)  # Nesterov's
        length = p.norm()
        p.sub_(turn * (lr * length / turn.norm().clamp(min=EPSILON)))  # a gradient of zeros turns nothing
        p.mul_(length / p.norm().clamp(min=EPSILON))

    def _adam(self, p: Tensor, lr: float) -> None:
        state, gradient = self.state[p], p.grad
        assert gradient is not None
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        mean, square, step = state["mean"], state["square"], state["step"]
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        size = (square / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON)
        p.addcdiv_(mean, size, value=-lr / (1 - BETAS[0] ** step))


def orthogonal(matrix: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Replace a matrix's singular values by about 1 (0.5 to 1.5), which no decomposition is needed for.

    Source: the quintic Newton-Schulz iteration of Muon. All factors are polynomials of one square matrix, and
    commute: they are multiplied first, and with the long matrix once.
    """
    x = matrix / (matrix.norm() + EPSILON)
    tall = len(x) > x.shape[1]
    square = x.T @ x if tall else x @ x.T
    one = torch.eye(len(square), dtype=x.dtype, device=x.device)
    product = one
    for _ in range(iterations):
        factor = A * one + B * square + C * square @ square
        product, square = factor @ product, factor @ square @ factor
    turned: Tensor = x @ product if tall else product @ x
    return turned
