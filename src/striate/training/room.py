"""Sequences may be too long for any memory: told before one is decoded, not by a process that is killed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from striate.data.cache import free_memory
from striate.errors import DataError, StriateError

if TYPE_CHECKING:
    from striate.data.sequence import Sequences
    from striate.training.task import Task

ENOUGH = 2**16  # steps that tell what a step takes
SECONDS = 2  # of sound: more than the least that any network of ours takes
LARGE = 2**24  # values in a batch, below which memory is not what fails


def check(name: str, task: Task, plan: Sequences, *, batch: int, noun: str) -> None:
    """Make sure that a training step of a network of ours fits the processor's free memory.

    name: the network.   plan: how the sequences are stored.   noun: what a person calls them.
    Nothing is computed: the network is gone through on the meta device.   Raises DataError.
    """
    if batch * int(np.prod(plan.shape)) < LARGE:
        return
    needed, free = _needed(name, task, plan, batch), free_memory()
    if needed is None or needed <= free:
        return
    length, example = f"{plan.length:,} steps", "--length 1000"
    if plan.modality == "sound":
        length, example = f"{plan.length / plan.rate:,.0f} s", "--length 10 (seconds)"
    raise DataError(
        f"A step of {name} on {batch} {noun} of {length} takes about {needed / 2**30:,.0f} GiB of memory, "
        f"and {free / 2**30:,.1f} are free.",
        f"See less of each with {example}, or lower --batch" + (" or --rate." if plan.rate else "."),
    )


def _needed(name: str, task: Task, plan: Sequences, batch: int) -> int | None:
    """Give about the bytes of a step; None for a network that cannot be gone through without being run.

    A shorter sequence is gone through where it is long: what a step takes grows with the length.
    """
    import torch

    from striate.runs.load import offered, own
    from striate.summary.inspect import inspect

    short = dataclasses.replace(plan, length=min(plan.length, max(ENOUGH, SECONDS * plan.rate)))
    try:
        with torch.device("meta"):
            model = own(name, classes=task.outputs, every=task.every, **offered(short))  # type: ignore[arg-type]
        memory = inspect(model, short.shape, batch=batch).memory
    except (StriateError, RuntimeError, NotImplementedError):  # what is wrong is told where it is run
        return None
    return max(memory.inference, memory.training or 0) * plan.length // short.length
