"""The training loop: the page to read first.

A run is a sequence of steps 0, 1, 2, ...; each depends only on the weights before it and on (seed, step).
So a checkpoint is the weights and a number, and a run that is cut off anywhere and resumed ends
bit-equal to one that was not (same machine, same threads).
"""

from __future__ import annotations

import itertools
import math
import shlex
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from striate.data.batches import Batch, Batches, ahead
from striate.data.sources import NOUNS
from striate.errors import Diverged, Interrupted
from striate.events import Emit, Epoch, Step
from striate.runs import weights
from striate.training import checkpoint, convolution, machine, optim
from striate.training.checkpoint import Pace, State, Tensors
from striate.training.defaults import fast
from striate.training.diary import Diary
from striate.training.evaluate import evaluate
from striate.training.schedule import rate, side
from striate.training.step import key
from striate.training.stepper import lay, stepper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.data.augment import Augment
    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.data.sequence_augment import SequenceAugment
    from striate.runs.folder import Run
    from striate.runs.recipe import Recipe
    from striate.training.budget import Budget
    from striate.training.task import Task
    from striate.training.transfer import Fitted


# A look at the losses waits for a device that computes on its own, so it is rare there; elsewhere it is free.
FREE_TO_LOOK, SECONDS_BETWEEN_LOOKS = {"cpu"}, 0.5


@dataclass
class Job:
    """What the loop works on: fixed for the whole run."""

    model: nn.Module
    task: Task
    pixels: NDArray[Any]  # (M, size, size, C) or (M, L, C') raw
    targets: NDArray[Any]  # (M,)
    split: dict[str, NDArray[np.int64]]
    preprocess: Preprocess | Sequences
    augment: Augment | SequenceAugment
    recipe: Recipe
    run: Run
    device: torch.device
    draw_weights: NDArray[Any] | None = None  # for --balance sampler
    note: Mapping[str, Any] = field(default_factory=dict)  # what the weights file says of itself
    begun: Fitted | None = None  # the head that starting weights were given

    @property
    def precision(self) -> str:
        """Numbers to compute with."""
        return self.recipe.precision or "float32"

    def batches(self) -> Batches:
        """Make the seeded sequence of training batches."""
        recipe = self.recipe
        assert recipe.batch is not None
        return Batches(
            self.pixels,
            self.targets,
            self.split["train"],
            self.preprocess,
            batch=recipe.batch,
            seed=recipe.seed,
            augment=self.augment,
            weights=self.draw_weights,
            device=str(self.device),
        )

    def keep(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights that are kept."""
        weights.write(self.run.path / "model.safetensors", tensors, self.note)

    def tensors(self) -> Tensors:
        """Make the optimiser and, where asked for, the running average of the weights."""
        average = None
        if self.recipe.ema:
            rule = get_ema_multi_avg_fn(self.recipe.ema)  # type: ignore[no-untyped-call]
            average = AveragedModel(self.model, multi_avg_fn=rule, use_buffers=True)
        return Tensors(self.model, optim.optimizer(self.model, self.recipe, self.device), average)


def fit(job: Job, emit: Emit, *, resume: bool = False, budget: Budget | None = None) -> nn.Module:
    """Train to the last step and return the network that is kept.

    Raises Diverged when the loss is no number any more, Interrupted after Ctrl-C; both leave a run
    that can be resumed and whose model.safetensors holds the last good weights.
    """
    recipe, batches, pace = fast(job.recipe), job.batches(), Pace()
    assert recipe.steps is not None
    assert recipe.lr is not None
    lay(job.model, recipe)
    tensors = job.tensors()
    path = job.run.path / "checkpoint" / "state.safetensors"
    resume = resume and path.exists()
    state = checkpoint.restore(path, tensors) if resume else State(steps=recipe.steps)
    began = time.monotonic() - state.seconds
    unread: list[tuple[Tensor, Tensor, int]] = []  # loss, metric and pictures of steps not looked at yet
    looked, plans = 0.0, convolution.from_json(state.plans)

    def prepare(step: int) -> Batch:
        batch = batches.at(*divmod(step, batches.steps))
        smaller = side(recipe.early_size, step / max(1, state.steps))  # a fitted head may need no step
        return batch.resized(smaller) if smaller else batch

    def read() -> None:
        sums = torch.stack([torch.stack(told) for *told, _ in unread]).tolist()  # waits for the device
        for step, ((loss, hits), (*_, pictures)) in enumerate(
            zip(sums, unread, strict=True), state.step - len(unread)
        ):
            if not math.isfinite(loss):
                raise _diverged(job, step, path)
            state.count(loss, hits, pictures)
        unread.clear()

    def save() -> None:
        started = time.monotonic()
        if not checkpoint.healthy(tensors.model):
            raise _diverged(job, state.step - 1, path)
        state.seconds = started - began
        checkpoint.save(path, state, tensors)
        pace.saved(started)

    if resume:
        job.run.write_history(state.history)  # lines after the checkpoint have not happened yet
    else:
        save()
        if job.begun is not None:  # epoch 0: the new head on the features as they are
            state.loss, state.hits, state.seen = job.begun.loss, job.begun.hits, job.begun.seen
            _end_epoch(job, state, tensors, 0.0, time.monotonic() - began, emit)
            save()
    job.model.train()
    diary = Diary(job, batches.steps, state, emit)
    with (
        _interrupts() as interrupted,
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        stepper(job.model, job.task, recipe, prepare(0).inputs, tensors.optimiser, plans) as train,
    ):
        state.plans = convolution.to_json(plans)
        if state.scaler:
            train.scaler.load_state_dict(state.scaler)
        for batch in ahead(prepare, itertools.count(state.step), workers(job.device, recipe)):
            if state.step >= state.steps or state.stopped:
                break
            lr = recipe.lr * state.plateau.factor
            lr *= rate(recipe.schedule, state.step / state.steps, recipe.warmup)
            for group in tensors.optimiser.param_groups:
                group["lr"] = lr * group["share"]

            diary.before(state)
            key(recipe.seed, state.step)
            unread.append((*train(batch), len(batch.targets)))
            state.step += 1
            if tensors.average is not None:
                tensors.average.update_parameters(job.model)

            ends = state.step % batches.steps == 0 or state.step == state.steps or interrupted.is_set()
            free = job.device.type in FREE_TO_LOOK
            if not (free or ends or time.monotonic() - looked > SECONDS_BETWEEN_LOOKS):
                continue
            read()
            looked = time.monotonic()
            if budget is not None:
                state.steps = budget.replan(state.step, state.steps)
            emit(_progress(job, state, batches.steps, time.monotonic() - began, budget))
            if state.step % batches.steps == 0 or state.step == state.steps:
                try:
                    _end_epoch(job, state, tensors, lr, time.monotonic() - began, emit)
                except Diverged as error:  # the last update broke the weights
                    raise _diverged(job, state.step - 1, path) from error
                diary.after(state)
            if pace.due() or state.step == state.steps or state.stopped or interrupted.is_set():
                state.scaler = train.scaler.state_dict()
                save()
            if interrupted.is_set():
                job.keep(tensors.kept.state_dict())
                raise Interrupted(
                    f"Stopped after step {state.step} of {state.steps}; all is saved in {job.run.path}.",
                    f"Go on with: striate train --resume {shlex.quote(str(job.run.path))}",
                )

    if tensors.best:
        tensors.kept.load_state_dict(tensors.best)
    job.keep(tensors.kept.state_dict())
    job.recipe = recipe.replace(steps=state.steps)
    return tensors.kept


def workers(device: torch.device, recipe: Recipe) -> int:
    """Count the threads that prepare batches: on cores that the step does not use."""
    assert recipe.threads is not None
    return 2 if device.type != "cpu" else max(0, min(1, machine.cores() - recipe.threads))


def _end_epoch(job: Job, state: State, tensors: Tensors, lr: float, seconds: float, emit: Emit) -> None:
    """Validate, write history, and let the plateau schedule and early stopping see the result."""
    epoch = state.history[-1]["epoch"] + 1 if state.history else int(state.step > 0)
    recipe = job.recipe
    train = {"loss": state.loss / state.seen, job.task.metric: state.hits / state.seen}
    validation = _validate(job, state, tensors, epoch)
    line = {
        "epoch": epoch,
        "step": state.step,
        "lr": lr,
        "train": train,
        "val": validation,
        "seconds": seconds,
    }
    state.loss, state.hits, state.seen = 0.0, 0.0, 0
    state.history.append(line)
    job.run.write_history(state.history)
    emit(Epoch(epoch, state.step, lr, train, validation, seconds))
    watched = (validation or train)["loss"]
    if recipe.schedule == "plateau":
        state.plateau.see(watched)
    if recipe.patience:
        if state.best is None or watched < state.best:
            state.best, state.waited = watched, 0
            tensors.best = {k: v.detach().clone() for k, v in tensors.kept.state_dict().items()}
        else:
            state.waited += 1
            state.stopped = state.waited >= recipe.patience


def _validate(job: Job, state: State, tensors: Tensors, epoch: int) -> dict[str, float] | None:
    rows = job.split.get("val")
    if rows is None or not len(rows):
        return None
    # A picture forward costs a third of a step on it: validate as often as 2 % of the training allows.
    every = math.ceil(len(rows) / 3 / len(job.split["train"]) / 0.02)
    decides = job.recipe.patience or job.recipe.schedule == "plateau"
    if epoch % every and state.step != state.steps and not decides:
        return None
    answers, scores = evaluate(
        tensors.kept, job.task, job.pixels, job.targets, rows, job.preprocess,
        precision=job.precision, device=str(job.device), tta=job.recipe.tta,
    )  # fmt: skip
    truths = job.task.truths(job.pixels, job.targets, rows, job.preprocess)
    return {
        "loss": job.task.loss(scores, answers, truths),
        job.task.metric: scores.summary()[job.task.metric],
    }


def _progress(job: Job, state: State, per_epoch: int, elapsed: float, budget: Budget | None) -> Step:
    epoch, epochs = math.ceil(state.step / per_epoch), math.ceil(state.steps / per_epoch)
    left = elapsed / state.step * (state.steps - state.step) if budget is None else budget.seconds_left()
    seen = max(1, state.seen)
    metric = state.hits / seen if job.task.metric == "accuracy" else None
    pictures = state.step * min(job.recipe.batch or 1, len(job.split["train"]))
    speed = pictures / max(elapsed, 1e-9)
    modality = getattr(job.preprocess, "modality", "")
    noun = NOUNS[modality] if modality else "images"
    return Step(state.step, state.steps, epoch, epochs, state.loss / seen, metric, speed, left, noun)


def _diverged(job: Job, step: int, path: Any) -> Diverged:
    named, note = weights.read(path)
    kept = {key.removeprefix("model/"): value for key, value in named.items() if key.startswith("model/")}
    job.keep(kept)
    return Diverged(
        f"The loss became infinite or no number at step {step + 1}; "
        f"the weights of step {note['step']} are kept in {job.run.path}.",
        f"Try a lower --lr (it was {job.recipe.lr:g}) or --clip 1.",
    )


class _interrupts:  # noqa: N801 - reads as a statement
    """Turn Ctrl-C and a polite kill into a flag that the loop looks at between two steps."""

    def __enter__(self) -> threading.Event:
        asked = threading.Event()
        self.before: dict[int, Any] = {}

        def ask(number: int, _frame: object) -> None:
            asked.set()
            signal.signal(number, self.before[number])  # the second time it does what it always did

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, ask)
        return asked

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
