"""What is predicted: the loss, the answer and the scores of each kind of goal.

The loop asks a task and knows none of them by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from striate.training.metrics import Classified, Measured, classified, measured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.runs.recipe import Recipe


class Task(Protocol):
    """What the loop, the evaluation and the report need to know of a goal."""

    @property
    def outputs(self) -> int:
        """Columns of the network's output."""

    @property
    def metric(self) -> str:
        """Name of the figure that a person follows."""

    @property
    def scale(self) -> dict[str, float] | None:
        """How a regression's output becomes a number again; None for classes."""

    @property
    def every(self) -> bool:
        """Whether the network has to answer at every step of a sequence."""

    def answer_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the network's output for an input of this shape, both without the batch."""

    def posed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the network is shown in training, and what it should then say."""

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        """What the answers for some rows are held against."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Training loss of each sample: (N, ...), what ``posed`` gave -> (N,)."""

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the metric averages over samples: (N, ...), what ``posed`` gave -> (N,)."""

    def answers(self, outputs: Tensor) -> Tensor:
        """The answer a user reads, float32 on the CPU: (N, K) probabilities, (N,) numbers, (N, ...)."""

    def score(self, answers: NDArray[Any], truths: NDArray[Any]) -> Scores:
        """All figures of a set of answers."""

    def loss(self, scores: Scores) -> float:
        """The training loss, without smoothing and weights, of what was scored."""


class Labelled:
    """What goals have in common whose answer is one class or one number a sample, given as its target."""

    every: bool = False
    outputs: int

    def answer_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.outputs,)

    def posed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        return np.asarray(targets[rows])


@dataclass(frozen=True)
class Classification:
    """One of K classes, by softmax and cross-entropy.

    smoothing: probability taken from the true class (Szegedy et al. 2016, section 7).
    weights: one factor a class, or () for none.
    """

    classes: tuple[str, ...]
    smoothing: float = 0.0
    weights: tuple[float, ...] = ()
    metric: str = "accuracy"
    scale: None = None

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        losses = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=self.smoothing)
        if self.weights:
            losses = losses * torch.tensor(self.weights, device=outputs.device)[targets]
        return losses

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.argmax(1) == targets).float()

    def answers(self, outputs: Tensor) -> Tensor:
        return outputs.float().softmax(1).cpu()

    def score(self, answers: NDArray[Any], targets: NDArray[Any]) -> Classified:
        return classified(answers, targets, self.classes)

    def loss(self, scores: Classified | Measured) -> float:
        assert isinstance(scores, Classified)
        return scores.loss


@dataclass(frozen=True)
class Regression:
    """A number, by squared error on targets scaled to mean 0 and deviation 1 of the training set."""

    mean: float = 0.0
    std: float = 1.0
    metric: str = "mae"
    outputs: int = 1

    @property
    def scale(self) -> dict[str, float]:
        return {"mean": self.mean, "std": self.std}

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - (targets - self.mean) / self.std).square()

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (self._numbers(outputs) - targets).abs()

    def answers(self, outputs: Tensor) -> Tensor:
        return self._numbers(outputs.float()).cpu()

    def score(self, answers: NDArray[Any], targets: NDArray[Any]) -> Measured:
        return measured(answers, targets)

    def loss(self, scores: Classified | Measured) -> float:
        assert isinstance(scores, Measured)
        return (scores.rmse / self.std) ** 2

    def _numbers(self, outputs: Tensor) -> Tensor:
        return outputs[:, 0] * self.std + self.mean


def for_training(recipe: Recipe, targets: NDArray[Any], classes: tuple[str, ...]) -> Task:
    """Make the task of a run from the targets of its training split."""
    if recipe.task == "regression":
        return Regression(float(targets.mean()), float(targets.std()) or 1.0)
    weights: tuple[float, ...] = ()
    if recipe.balance == "weights":
        counts = np.bincount(targets, minlength=len(classes))
        # Mean 1 over the training pictures, so that the learning rate keeps its meaning.
        weights = tuple((len(targets) / np.maximum(counts, 1) / (counts > 0).sum()).tolist())
    return Classification(classes, recipe.label_smoothing or 0.0, weights)


def untrained(task: str, classes: tuple[str, ...]) -> Task:
    """Make a task for trying a network out, before there are targets."""
    return Regression() if task == "regression" else Classification(classes)


def from_info(info: Mapping[str, Any]) -> Task:
    """Make the task that a run folder's run.json describes."""
    if info["task"] == "regression":
        return Regression(info["target"]["mean"], info["target"]["std"])
    return Classification(tuple(info["classes"]))
