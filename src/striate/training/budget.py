"""Minutes into steps: measure, plan, and keep the promise when the machine changes its speed."""

from __future__ import annotations

import copy
import statistics
import time
from typing import TYPE_CHECKING

from striate.events import Emit, Note
from striate.training.stepper import stepper

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from striate.data.batches import Batch
    from striate.runs.recipe import Recipe
    from striate.training.task import Task


def seconds_per_step(model: nn.Module, task: Task, make: Callable[[], Batch], recipe: Recipe) -> float:
    """Measure a training step on a copy of the network: the median of a few, in about two seconds.

    make: gives a batch; its cost counts.
    """
    copied = copy.deepcopy(model)
    times: list[float] = []
    with stepper(copied, task, recipe, make().inputs) as train:
        while len(times) < 4 or (len(times) < 10 and sum(times) < 2):
            started = time.perf_counter()
            loss, _ = train(make())
            loss.item()  # waits for the device
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])  # the first step prepares the kernels


class Budget:
    """A deadline, kept by planning the number of steps, and planning again when the speed changes.

    The number stays what it was while the predicted end is within 2 % of the time: on a steady machine a
    recipe that holds the number repeats the run exactly.
    """

    tolerance = 0.02

    def __init__(self, seconds: float, cost: float, emit: Emit) -> None:
        self.seconds, self.cost, self.emit = max(seconds, 0.0), cost, emit
        self.began = self.looked = time.monotonic()
        self.steps = self.told = max(1, int(self.seconds / cost))

    def replan(self, step: int, steps: int) -> int:
        """Take note of a finished step; return the planned number of steps, changed if need be."""
        now = time.monotonic()
        if now - self.looked < min(5.0, self.seconds / 50):
            return steps
        self.looked, elapsed = now, now - self.began
        trust = self.seconds / 20  # the first measurement counts as much as this many seconds of training
        cost = (trust + elapsed) / (trust / self.cost + step)
        left = self.seconds - elapsed
        if abs((steps - step) * cost - left) < self.tolerance * self.seconds:
            return steps
        changed = step + max(0, int(left / cost))
        if abs(changed - self.told) > 0.1 * self.told:  # less is no news
            self.emit(Note(f"The machine's speed changed: {changed} steps fit the time, not {self.told}."))
            self.told = changed
        return changed

    def seconds_left(self) -> float:
        """Time until the deadline."""
        return max(0.0, self.seconds - (time.monotonic() - self.began))
