"""The one place where a recipe's speed settings become a step.

The plain step is :func:`striate.training.step.training_step`. Here are its fast forms: other numbers, another
layout, a compiled network, other kernels, more or fewer threads. All learn the same up to rounding.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from striate.data.batches import laid
from striate.runs.forward import computing
from striate.training import heap, optim
from striate.training.defaults import fast
from striate.training.lower import lowered
from striate.training.step import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch.optim import Optimizer

    from striate.data.batches import Batch
    from striate.runs.recipe import Recipe
    from striate.training.convolution import Plan
    from striate.training.task import Task

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
# What normalises keeps float32 weights and running statistics beside inputs of 16 bits.
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001 - no public name


@contextlib.contextmanager
def stepper(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    inputs: Tensor,
    optimiser: Optimizer | None = None,
    plans: dict[str, Plan] | None = None,
) -> Iterator[Step]:
    """Give the function that updates the weights once, as fast as the recipe's settings make it.

    model: its parameters are updated, its layout becomes the recipe's.   inputs: pictures as it will get
    them.   optimiser: the recipe's own rule without it.   plans: as :func:`.lowered` takes them.
    Threads and heap are the process's own again after the block, and so are the model's kernels. Settings
    that are None are those of :func:`.defaults.fast`.
    """
    try:
        with placed(recipe), built(model, task, recipe, inputs, optimiser, plans) as step:
            yield step
    finally:
        heap.release()


@contextlib.contextmanager
def placed(recipe: Recipe) -> Iterator[None]:
    """Set what belongs to the whole process: threads and heap."""
    threads, wanted = torch.get_num_threads(), fast(recipe)
    assert wanted.threads is not None
    if wanted.threads != threads:
        torch.set_num_threads(wanted.threads)
    try:
        with heap.held(wanted.heap or "system"):
            yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def built(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    inputs: Tensor,
    optimiser: Optimizer | None = None,
    plans: dict[str, Plan] | None = None,
) -> Iterator[Step]:
    """Do the rest of :func:`stepper`: what belongs to this network alone."""
    recipe = fast(recipe)
    lay(model, recipe)
    with contextlib.ExitStack() as stack:
        low = Low(model) if recipe.precision == "bfloat16-master" else None
        runs: Any = model if low is None else low.model
        if recipe.kernels == "striate" and not recipe.compile:  # whose compiler sees nothing of our kernels
            with computing(recipe.precision or "float32", inputs.device.type):  # plans are for these numbers
                runs = stack.enter_context(lowered(runs, inputs, plans))
        if recipe.compile:
            runs = torch.compile(runs)
        rule = optimiser or optim.optimizer(model, recipe, inputs.device)
        yield Step(model, runs, task, recipe, rule, low)


def lay(model: nn.Module, recipe: Recipe) -> None:
    """Lay the weights in memory as the recipe says; before there is an optimiser's memory beside them."""
    model.to(memory_format=LAYOUTS[fast(recipe).layout or "channels_last"])  # type: ignore[call-overload]


class Low:
    """A copy of a network whose weights have 16 bits, beside the original's of 32 (the masters).

    Cast once a step, where autocast casts at each use (Micikevicius et al. 2018, section 3.1). What
    normalises is shared with the original, and so are all buffers: running statistics stay float32.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model)
        for own, original in zip(self.model.modules(), model.modules(), strict=True):
            own._buffers = original._buffers  # noqa: SLF001 - there is no other way to share them
            if isinstance(own, NORMS):
                own._parameters = original._parameters  # noqa: SLF001
            for parameter in () if isinstance(own, NORMS) else own.parameters(recurse=False):
                parameter.data = parameter.data.bfloat16()
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        self.pairs = [(low, master) for low, master in pairs if low is not master]

    def cast(self) -> None:
        """Take over the masters."""
        lows, masters = zip(*self.pairs, strict=True) if self.pairs else ((), ())
        with torch.no_grad():
            torch._foreach_copy_(lows, masters)

    def hand_over(self) -> None:
        """Give the masters their gradients, in float32."""
        for low, master in self.pairs:
            master.grad = None if low.grad is None else low.grad.to(master.dtype)
            low.grad = None


class Step:
    """One training step on a batch: what :func:`stepper` gives.

    model: holds the weights.   runs: the form of it that computes.   optimiser: whose learning rates the
    caller sets.
    """

    def __init__(
        self,
        model: nn.Module,
        runs: nn.Module,
        task: Task,
        recipe: Recipe,
        optimiser: Optimizer,
        low: Low | None,
    ) -> None:
        self.model, self.runs, self.task, self.recipe = model, runs, task, recipe
        self.optimiser, self.low = optimiser, low
        device = next(model.parameters()).device.type
        self.precision = "float32" if low is not None else recipe.precision or "float32"
        # 16 bits with a short exponent: without a scale small gradients become 0. There are none on a CPU.
        scaled = recipe.precision == "float16" and device == "cuda"
        self.scaler = torch.amp.GradScaler(device, enabled=scaled)

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Update the weights once. Returns the sums over the batch (loss, metric), as ``forward`` does."""
        told = self.gradients(batch)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return told

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Go forward and backward: leave the gradients beside the weights; the sums as above."""
        self.optimiser.zero_grad(set_to_none=True)
        batch = dataclasses.replace(batch, inputs=self._arranged(batch.inputs))
        if self.low is not None:
            self.low.cast()
        with computing(self.precision, batch.inputs.device.type):
            total, told = forward(self.runs, self.model, self.task, batch)
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        if self.low is not None:
            self.low.hand_over()
        self.scaler.unscale_(self.optimiser)
        return told

    def _arranged(self, inputs: Tensor) -> Tensor:
        layout: Any = LAYOUTS[self.recipe.layout or "channels_last"]
        return laid(inputs.to(torch.bfloat16 if self.low else torch.float32), layout)
