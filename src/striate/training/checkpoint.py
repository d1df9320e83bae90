"""Where to go on from: everything that the next step depends on, in one file that is whole or not there."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from striate.errors import RunError
from striate.runs import weights
from striate.training.schedule import Plateau

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.swa_utils import AveragedModel


@dataclass
class State:
    """The numbers that the next step depends on, beside the tensors."""

    steps: int  # planned updates
    step: int = 0  # updates done
    loss: float = 0.0  # sums over the current epoch
    hits: float = 0.0
    seen: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    best: float | None = None  # best validation loss (patience)
    waited: int = 0
    stopped: bool = False
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    plans: dict[str, dict[str, str]] = field(default_factory=dict)  # of convolutions, by shape
    scaler: dict[str, Any] = field(default_factory=dict)  # of float16's losses

    def count(self, loss: float, hits: float, pictures: int) -> None:
        """Take note of a batch: sums of its losses and metric."""
        self.loss += loss
        self.hits += hits
        self.seen += pictures


@dataclass
class Tensors:
    """The tensors that the next step depends on."""

    model: nn.Module
    optimiser: Optimizer
    average: AveragedModel | None = None
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def kept(self) -> nn.Module:
        """The network that is evaluated and kept: the running average where there is one."""
        return self.model if self.average is None else self.average.module


def save(path: Path, state: State, tensors: Tensors) -> None:
    """Write a checkpoint."""
    memory, numbers = weights.optimiser_state(tensors.optimiser)
    parts = {"model": tensors.model.state_dict(), "optimiser": memory, "best": tensors.best}
    if tensors.average is not None:
        parts["average"] = tensors.average.state_dict()
    named = {f"{part}/{name}": tensor for part, held in parts.items() for name, tensor in held.items()}
    note = asdict(state) | {"plateau": vars(state.plateau), "optimiser": numbers}
    weights.write(path, named, note)


def restore(path: Path, tensors: Tensors) -> State:
    """Fill the tensors from a checkpoint and return its numbers. Raises RunError where it is damaged."""
    named, note = weights.read(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "best": {}, "average": {}}
    try:
        for key, tensor in named.items():
            part, _, name = key.partition("/")
            parts[part][name] = tensor
        numbers, plateau = note.pop("optimiser"), Plateau(**note.pop("plateau"))
        state = State(**note, plateau=plateau)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is not a checkpoint of this version: {error}.", "Train again.") from error
    weights.fill(tensors.model, parts["model"], path)
    weights.fill_optimiser(tensors.optimiser, parts["optimiser"], numbers)
    if tensors.average is not None:
        weights.fill(tensors.average, parts["average"], path)
    tensors.best = parts["best"]
    return state


def healthy(model: nn.Module) -> bool:
    """Tell whether every weight and running statistic is a finite number."""
    # Other buffers, such as an attention mask, may be infinite on purpose.
    moving = (b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))
    return all(bool(torch.isfinite(tensor).all()) for tensor in (*model.parameters(), *moving))


class Pace:
    """Decide when a checkpoint is due: often, but for at most one fiftieth of the time."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.cost = 0.01

    def due(self) -> bool:
        """Tell whether enough time has passed since the last one."""
        return time.monotonic() - self.last > 50 * self.cost

    def saved(self, started: float) -> None:
        """Take note of a save that began at ``started``."""
        self.last = time.monotonic()
        self.cost = self.last - started
