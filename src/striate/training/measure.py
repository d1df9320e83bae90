"""What only running tells about a network: the seconds and the memory of a real training step."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from striate.data.cache import free_memory
from striate.errors import ModelError
from striate.summary.failure import words
from striate.summary.result import Measured
from striate.training.optim import RULES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from striate.summary.result import Inspected

STEPS, MOST, SECONDS = 4, 50, 3.0  # at least and at most so many steps, and no new one after this time
WITHOUT_DATA = 1000  # pictures of an epoch, where no data are known


def measured(inspected: Inspected, model: nn.Module, pictures: int = 0) -> Inspected:
    """Add what a few real training steps on this machine show.

    model: the inspected network, with numbers; it is changed.   pictures: in an epoch; 0 if that is unknown.
    Raises ModelError where it cannot be trained, or needs more memory than there is.
    """
    needed, free = inspected.memory.training or 0, free_memory()
    if needed > free:
        raise ModelError(
            f"A step at batch {inspected.batch} needs {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
            "Give a smaller --batch or --input, or leave --measure away.",
        )
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError(f"{inspected.model} has no numbers, only shapes.", "Leave --measure away.")
    shape = (inspected.batch, *inspected.input)
    dtype: torch.dtype = getattr(torch, inspected.dtype)
    x = torch.randn(shape).to(dtype) if dtype.is_floating_point else torch.zeros(shape, dtype=dtype)
    try:
        seconds, growth = real_step(model.to("cpu"), x, optimizer=inspected.optimizer)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{inspected.model} cannot be trained at batch {inspected.batch}: {words(error)}",
            "Leave --measure away, or try another --batch.",
        ) from error
    epoch = pictures or WITHOUT_DATA
    return replace(
        inspected,
        measured=Measured(
            seconds_per_step=seconds,
            pictures_per_second=inspected.batch / seconds,
            seconds_per_epoch=epoch * seconds / inspected.batch,
            epoch=epoch,
            peak_growth=growth,
            predicted_growth=inspected.memory.resident,
            device="cpu",
            of_run=pictures > 0,
        ),
    )


def real_step(model: nn.Module, x: Tensor, *, optimizer: str = "momentum") -> tuple[float, int]:
    """Train a network for a few steps on the spot: plain torch, on the CPU, at rate 0.

    model: is changed; x: a batch, (N, ...); optimizer: one of striate's rules.
    Returns: the median seconds of a step, and the bytes by which the first made the process grow at its peak
    (0 where the system does not tell).
    """
    model.train()
    if any(is_lazy(parameter) for parameter in model.parameters()):
        with torch.no_grad():
            model(x)  # makes them
    rule, settings = RULES[optimizer]
    optimiser = rule([p for p in model.parameters() if p.requires_grad], lr=0.0, **settings)
    times: list[float] = []
    before, growth = _reset(), 0
    while len(times) < STEPS or (sum(times) < SECONDS and len(times) < MOST):
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss_of(model(x)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        times.append(time.perf_counter() - started)
        if len(times) == 1 and before:
            growth = max(0, _status("VmHWM") - before)
    return statistics.median(times[1:]), growth


def loss_of(outputs: object) -> Tensor:
    """Make one number of whatever a network returns: as if each output held the scores of classes, axis 1."""
    found = [
        leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
    ]
    losses = [-F.log_softmax(leaf, 1).mean() if leaf.dim() > 1 else leaf.mean() for leaf in found]
    return torch.stack([loss.float() for loss in losses]).sum()


def _reset() -> int:
    """Forget the highest memory so far; return the present, 0 where that cannot be had."""
    if not sys.platform.startswith("linux"):
        return 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    return 0


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
