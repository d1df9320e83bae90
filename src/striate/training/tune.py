"""The fastest settings, chosen by measuring: this network, this batch, this machine.

One setting is changed at a time; what makes a step clearly faster stays, and the next is tried on top of it.
Steps of both are timed in turn, so that a machine that changes its speed changes it for both. A choice may
not change what is learnt: the loss and the gradient of one step must be float32's up to a bound, or the
candidate is dropped, however fast it is.
"""

from __future__ import annotations

import contextlib
import copy
import math
import statistics
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import nn

from striate.data.cache import free_memory
from striate.events import Choice, Tried, Tuned
from striate.training import convolution, heap
from striate.training.defaults import fast
from striate.training.optim import FUSED
from striate.training.step import drawing
from striate.training.stepper import Step, built, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from striate.data.batches import Batch
    from striate.runs.recipe import Recipe
    from striate.training.task import Task

MARGIN = 1.03  # times as fast; less may be chance, and is not worth another setting
# Seconds at most. A step that takes long is allowed a few of them, but all is a small share of the run.
SECONDS, STEPS, SHARE = {"auto": 3.0, "full": 60.0}, 16, 0.02
LEAST, MOST, CLEAR = 2, 9, 1.15  # turns in a comparison; what is clear after the least needs no more
TURN = 0.02  # seconds at least in a turn, where steps are short
COMPILE_FROM = 600.0  # seconds of a predicted run: compiling takes a minute or more
# How far a gradient may be from float32's: the norm of the difference over its norm, all weights together;
# and the loss. Rounding of 24 bits, added up in another order, and of the 8 or 11 bits of a short number.
BOUNDS = {
    "float32": (0.02, 1e-4),
    "bfloat16": (0.1, 0.02),
    "bfloat16-master": (0.1, 0.02),
    "float16": (0.02, 0.005),
}


class Lab(Protocol):
    """Where candidates are tried."""

    def errors(self, recipe: Recipe) -> tuple[float, float]:
        """Give the errors of gradient and loss of one step; may raise anything where it cannot be done."""

    def preparing(self, recipe: Recipe) -> float:
        """Give the seconds until the first step was done, compiling included."""

    def turn(self, recipe: Recipe) -> float:
        """Give the seconds of a step now."""

    def forget(self, recipe: Recipe) -> None:
        """Let go of a candidate that lost."""


def tuned(
    model: nn.Module,
    task: Task,
    batch: Batch,
    recipe: Recipe,
    *,
    steps: int | None,
    seconds: float | None = None,
) -> tuple[Recipe, Tuned | None, list[Choice]]:
    """Fill the settings of speed that are None with the fastest, as far as the time for it goes.

    model: stays as it is.   batch: one of the training's.   steps: planned, None where ``seconds`` are.
    Returns the recipe, what was tried (None where the run is too short for it), and what was chosen.
    """
    start, began = fast(recipe), time.monotonic()
    known = candidates(recipe, batch.inputs.device)
    short = steps is not None and steps * SHARE < 3  # steps: not even one comparison
    # Three copies at a time, each with its gradients and an optimiser's memory.
    heavy = 12 * sum(p.nbytes for p in model.parameters()) > free_memory()
    if recipe.tune == "off" or not known or heavy or (short and recipe.tune == "auto"):
        return start, None, []
    if recipe.tune == "full":
        convolution.forget()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), Bench(model, task, batch) as bench:
        start, first = started(start, recipe, bench)  # what a run needs once anyway
        ready = time.monotonic()
        step = bench.turn(start)
        run = seconds or step * (steps or 0)
        limit, share = SECONDS[recipe.tune], math.inf
        if recipe.tune == "auto":
            limit, share = max(limit, STEPS * step), SHARE
        if run < COMPILE_FROM or recipe.tune != "full":
            known = [(name, value) for name, value in known if name != "compile"]
        limit -= time.monotonic() - ready
        best, tries = search(start, known, bench, seconds=limit, share=share, step=step, left=run / step)
    if not tries:
        return start, None, []
    gain = math.prod(tried.times or 1.0 for tried in tries if tried.verdict == "taken")
    chosen = [
        Choice(tried.setting, tried.value, f"{tried.times:.2f} times as fast, measured")
        for tried in tries
        if tried.verdict == "taken"
    ]
    return best, Tuned((first, *tries), gain, time.monotonic() - began), chosen


def candidates(recipe: Recipe, device: torch.device) -> list[tuple[str, Any]]:
    """List what is worth trying on a device, the most promising first; never what the recipe has decided."""
    usual, able = fast(recipe), torch.cpu.get_capabilities()
    cpu = device.type == "cpu"
    short: tuple[str, ...] = ()
    if device.type == "cuda":
        short = ("bfloat16", "bfloat16-master") if torch.cuda.is_bf16_supported() else ("float16",)
    elif cpu and any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16")):
        short = ("bfloat16", "bfloat16-master")  # elsewhere bfloat16 is computed a number at a time
    threads = usual.threads or 1
    values: dict[str, tuple[Any, ...]] = {
        "threads": (threads // 2, 1) if cpu and threads > 1 else (),  # other work may hold the cores
        "precision": (*short, "float32"),
        "kernels": () if recipe.compile else ("library",),
        "layout": ("contiguous",),
        "heap": heap.kinds() if cpu else (),
        "fused": (False,) if recipe.optimizer in FUSED else (),
        "compile": (True,),
    }
    return [
        (name, value)
        for name, tries in values.items()
        if getattr(recipe, name) is None
        for value in dict.fromkeys(tries)
        if value != getattr(usual, name)
    ]


def started(start: Recipe, asked: Recipe, lab: Lab) -> tuple[Recipe, Tried]:
    """Check the settings to start from; what changes what is learnt gives way to what cannot."""
    wrong, error = _wrong(start, lab)
    for name, safe in (("precision", "float32"), ("kernels", "library")):
        if wrong and getattr(asked, name) is None and getattr(start, name) != safe:
            lab.forget(start)
            start = start.replace(**{name: safe})
            wrong, error = _wrong(start, lab)
    return start, Tried("start", str(start.precision), None, None, error, wrong)


def search(
    start: Recipe,
    known: Sequence[tuple[str, Any]],
    lab: Lab,
    *,
    seconds: float,
    share: float,
    step: float,
    left: float,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Recipe, list[Tried]]:
    """Try one setting after the other on top of the best so far.

    seconds, share: for all, the latter of the run that is left, which becomes shorter with each gain.
    step: what one takes.   left: steps of the run, which compiling has to pay for.
    """
    best, tries, began = start, list[Tried](), clock()
    for number, (name, value) in enumerate(known):
        ends = began + min(seconds, share * left * step)
        turns = (ends - clock()) / (len(known) - number)
        if ends - clock() < (2 + 2 * LEAST) * step:  # the check, and the fewest turns that tell something
            break
        challenger = best.replace(**{name: value})
        wrong, error = _wrong(challenger, lab)
        if wrong:
            tries.append(Tried(name, _said(value), None, None, error, wrong))
            lab.forget(challenger)
            continue
        cost, ratios = _compared(best, challenger, lab, turns, clock)
        times, verdict = statistics.median(ratios), ""
        if times > MARGIN:  # and most turns agree
            verdict = "taken" if sorted(ratios)[len(ratios) // 4] > 1 else "may be chance"
        if verdict == "taken" and name == "compile" and (times - 1) * cost * left < lab.preparing(challenger):
            verdict = "costs more than it saves"
        tries.append(Tried(name, _said(value), cost, times, error, verdict))
        if verdict == "taken":
            best, challenger, step = challenger, best, step / times
        lab.forget(challenger)
    return best, tries


def _compared(
    best: Recipe, challenger: Recipe, lab: Lab, seconds: float, clock: Callable[[], float]
) -> tuple[float, list[float]]:
    """Time both in turn: the seconds of the challenger's step (median), and how many times as fast it was."""
    costs, ratios, ends = list[float](), list[float](), clock() + seconds
    while len(ratios) < LEAST or (len(ratios) < MOST and clock() < ends):
        old, new = lab.turn(best), lab.turn(challenger)
        costs.append(new)
        ratios.append(old / new)
        if len(ratios) == LEAST and (max(ratios) < 1 / CLEAR or min(ratios) > CLEAR):
            break
    return statistics.median(costs), ratios


def _wrong(recipe: Recipe, lab: Lab) -> tuple[str, float | None]:
    """Say why a candidate is dropped ("" if it is not), and its gradient's error."""
    try:
        gradient, loss = lab.errors(recipe)
    except Exception:  # noqa: BLE001 - whatever it is, a candidate that raises is none
        return "fails", None
    most, most_loss = BOUNDS[recipe.precision or "float32"]
    # Not "greater than": an error that is no number is too large.
    return ("" if gradient <= most and loss <= most_loss else "wrong"), gradient


def _said(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


class Bench:
    """The lab: copies of the network, each with its settings, all from the same weights."""

    def __init__(self, model: nn.Module, task: Task, batch: Batch) -> None:
        self.model, self.task, self.batch = model, task, batch
        self.kept: dict[Recipe, tuple[Step, contextlib.ExitStack]] = {}
        self.first: dict[Recipe, float] = {}
        self.reference: tuple[Tensor, float] | None = None
        self.place: object = None

    def __enter__(self) -> Self:
        """Nothing is built before it is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of all copies."""
        for recipe in list(self.kept):
            self.forget(recipe)
        heap.release()

    def errors(self, recipe: Recipe) -> tuple[float, float]:
        """Compare with float32, eager and by the library, on the same weights and pictures."""
        if self.reference is None:
            plain = recipe.replace(precision="float32", kernels="library", compile=False, heap="system")
            self.reference = self._gradient(plain)
            self.forget(plain)
        expected, loss = self.reference
        found, own = self._gradient(recipe)
        norm = expected.norm().clamp_min(1e-30)
        return float((found - expected).norm() / norm), abs(own - loss) / max(abs(loss), 1e-30)

    def preparing(self, recipe: Recipe) -> float:
        """Give the seconds of building and of the first step."""
        return self.first[recipe]

    def turn(self, recipe: Recipe) -> float:
        """Time a few steps."""
        with placed(recipe):
            train = self._built(recipe)
            place = recipe.threads, recipe.heap
            if place != self.place:  # a first step wakes the threads and touches the memory
                self._done(train(self.batch))
                self.place = place
            started, steps = time.perf_counter(), 0
            while steps == 0 or time.perf_counter() - started < TURN:
                told, steps = train(self.batch), steps + 1
            self._done(told)
            return (time.perf_counter() - started) / steps

    def forget(self, recipe: Recipe) -> None:
        """Let go of a copy."""
        if recipe in self.kept:
            self.kept.pop(recipe)[1].close()

    def _built(self, recipe: Recipe) -> Step:
        if recipe not in self.kept:
            stack = contextlib.ExitStack()
            step = stack.enter_context(built(copy.deepcopy(self.model), self.task, recipe, self.batch.inputs))
            for group in step.optimiser.param_groups:
                group["lr"] = 0.0  # the weights stay, and an update costs the same
            self.kept[recipe] = step, stack
        return self.kept[recipe][0]

    def _gradient(self, recipe: Recipe) -> tuple[Tensor, float]:
        """Give the gradient of all weights, flat, and the loss."""
        began = time.monotonic()
        with placed(recipe):
            step = self._built(recipe)
            with drawing(0, 0), _undropped(step.runs):
                loss, _ = step.gradients(self.batch)
        flat = [
            torch.zeros_like(p).flatten() if p.grad is None else p.grad.detach().contiguous().flatten()
            for p in step.model.parameters()
        ]
        found = torch.cat(flat), float(loss)
        self.first[recipe] = time.monotonic() - began
        return found

    def _done(self, told: tuple[Tensor, Tensor]) -> None:
        told[0].item()  # a GPU is waited for


@contextlib.contextmanager
def _undropped(model: nn.Module) -> Iterator[None]:
    """Keep all of dropout's inputs: which are dropped depends on how they lie in memory.

    Dense layers know no difference but for the dropout that --dropout hooks before the last one.
    """
    off = (nn.modules.dropout._DropoutNd, nn.Linear)  # noqa: SLF001 - no public name
    changed = [module for module in model.modules() if isinstance(module, off) and module.training]
    for module in changed:
        module.training = False
    try:
        yield
    finally:
        for module in changed:
            module.training = True
