"""A run's health, written down while it is trained: health.jsonl in the run folder."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import events
from striate.data.batches import plain
from striate.training.health import matrices_of, measure, number
from striate.training.step import drawing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.events import Emit
    from striate.training.checkpoint import State
    from striate.training.health import LayerHealth
    from striate.training.loop import Job

SECONDS, PERCENT = 1.0, 0.01  # that all records may take, and of the time since the first: the longer of both
SHARE = 0.005  # of the pictures that a whole run trains on: what looking at its health may cost
FEWEST, MOST = 16, 128  # pictures that are looked at
CHEAP, ENOUGH = 2**17, 64  # numbers of an input, all pictures together, that are cheap to look at in any run


class Diary:
    """Keeps records of a network's health: before the first step, after epochs 1, 2, 4, 8, ... and the last.

    Always the same few training pictures, without augmentation, in float32. It draws nothing and changes
    nothing, so that training is what it would be without it. A network that cannot be measured has no diary,
    and one that takes long to measure has fewer records between the first and the last.
    """

    def __init__(self, job: Job, per_epoch: int, state: State, emit: Emit) -> None:
        """Begin, or go on: records after the state's step have not happened yet."""
        self.job, self.per_epoch, self.emit = job, per_epoch, emit
        self.records = [record for record in job.run.health if record["step"] <= state.step]
        self.rows = _few(job, job.recipe.steps or state.steps, per_epoch)
        self._before: dict[str, list[Tensor]] = {}
        self._able = len(self.rows) > 0
        self._began, self._spent, self._cost = time.monotonic(), 0.0, 0.0
        if state.step == 0:
            self.records = []
            self._write(0)

    def before(self, state: State) -> None:
        """Remember the weights where the coming step is the last one before a record."""
        if self._due(state.step + 1, state.steps):
            self._before = {name: [p.clone() for p in parts] for name, parts in self._weights().items()}

    def after(self, state: State) -> None:
        """Write a record where one is due."""
        if self._due(state.step, state.steps):
            self._write(state.step)

    def _write(self, step: int) -> None:
        started = time.monotonic()
        try:
            layers = self._measured()
        except Exception as error:  # noqa: BLE001 - whatever a foreign network raises: training goes on
            self._able = False
            why = " ".join(str(error).split())[:120]
            self.emit(events.Note(f"The network's health is not recorded: {type(error).__name__}: {why}"))
            return
        record = {
            "epoch": math.ceil(step / self.per_epoch),
            "step": step,
            "pictures": len(self.rows),
            "layers": [asdict(replace(layer, update=self._update(layer.name))) for layer in layers],
        }
        self.records.append(record)
        self._before = {}
        self.job.run.write_health(self.records)
        self._cost = time.monotonic() - started
        self._spent += self._cost

    def _measured(self) -> tuple[LayerHealth, ...]:
        job, rows = self.job, self.rows
        x = torch.cat(list(plain(job.pixels, rows, job.preprocess, len(rows), job.device)))
        kind = torch.float32 if job.targets.dtype.kind == "f" else torch.int64
        with drawing(job.recipe.seed, 0):  # what a denoising one is shown: the same in every record and run
            x, said = job.task.posed(x, torch.as_tensor(job.targets[rows], dtype=kind, device=job.device))

        def loss(output: Any, part: slice) -> Tensor:
            return job.task.losses(output.float(), said[part]).sum()

        return measure(job.model, x, loss, as_trained=True)

    def _due(self, step: int, steps: int) -> bool:
        epoch, rest = divmod(step, self.per_epoch)
        if not self._able or (step < steps and (rest or epoch.bit_count() != 1)):
            return False
        allowed = max(SECONDS, PERCENT * (time.monotonic() - self._began))
        return step == steps or self._spent + self._cost <= allowed

    def _weights(self) -> dict[str, list[Tensor]]:
        parameters = dict(self.job.model.named_parameters())
        layers = matrices_of(self.job.model).items()
        return {name: [parameters[part].detach() for part in parts] for name, parts in layers}

    def _update(self, name: str) -> float | None:
        """Give the length of the last step of a layer's weights as a share of their length before it."""
        if name not in self._before:
            return None
        old, new = self._before[name], self._weights()[name]
        moved = sum(float((b - a).square().sum()) for a, b in zip(old, new, strict=True))
        length = sum(float(a.square().sum()) for a in old)
        return number(math.sqrt(moved / length)) if length else None


def _few(job: Job, steps: int, per_epoch: int) -> NDArray[np.int64]:
    """Choose training pictures from all over the list, so few that they cost nothing beside the training."""
    rows, trained = job.split["train"], steps * (job.recipe.batch or 1)
    records = 3 + math.log2(max(1.0, steps / per_epoch))
    cheap = min(ENOUGH, CHEAP // job.pixels[0].size)
    count = min(len(rows), MOST, max(FEWEST, cheap, int(trained * SHARE / records)))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]
