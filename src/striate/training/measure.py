"""What only running tells about a network: the seconds and the memory of a real training step."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from striate.training.optim import RULES

if TYPE_CHECKING:
    from torch import Tensor, nn

STEPS, SECONDS = 4, 3.0  # at least so many steps, and more of them within this time


def real_step(model: nn.Module, x: Tensor, *, optimizer: str = "momentum") -> tuple[float, int]:
    """Train a network for a few steps on the spot: plain torch, float32, on the CPU.

    model: is changed; x: a batch, (N, ...); optimizer: one of striate's rules, at rate 0.
    Returns: the median seconds of a step, and the bytes by which the first two made the process grow at their
    peak (0 where the system does not tell).
    """
    model.train()
    rule, settings = RULES[optimizer]
    optimiser = rule([p for p in model.parameters() if p.requires_grad], lr=0.0, **settings)
    times: list[float] = []
    before, growth = _reset(), 0
    while len(times) < STEPS or (sum(times) < SECONDS and len(times) < 50):
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss_of(model(x)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        times.append(time.perf_counter() - started)
        if len(times) == 2:
            growth = _peak() - before if before else 0
    return statistics.median(times[1:]), growth


def loss_of(outputs: object) -> Tensor:
    """Make one number of whatever a network returns: the mean of every output, added up."""
    from torch.utils._pytree import tree_leaves

    found = [
        leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
    ]
    return torch.stack([leaf.float().mean() for leaf in found]).sum()


def _reset() -> int:
    """Forget the highest memory so far; return the present, 0 where that cannot be had."""
    if not sys.platform.startswith("linux"):
        return 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    return 0


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
