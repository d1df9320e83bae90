"""What is predicted: the loss, the answer and the scores of each kind of goal.

The loop asks a task and knows none of them by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from striate.data.preprocess import Preprocess
from striate.data.sequence import Sequences
from striate.errors import RecipeError
from striate.training.metrics import Classified, Measured, Rebuilt, Stepped, classified, measured
from striate.training.next_step import NextStep
from striate.training.reconstruction import Reconstruction, damage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.runs.recipe import Recipe


Prepared = Preprocess | Sequences
Scores = Classified | Measured | Stepped | Rebuilt


class Task(Protocol):
    """What the loop, the evaluation and the report need to know of a goal."""

    @property
    def outputs(self) -> int:
        """Columns of the network's output."""

    @property
    def metric(self) -> str:
        """Name of the figure that a person follows."""

    @property
    def scale(self) -> dict[str, Any] | None:
        """What turns outputs into answers again; None for classes."""

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

    def loss(self, scores: Scores, answers: NDArray[Any], truths: NDArray[Any]) -> float:
        """The training loss, without smoothing and weights, of what was scored."""


class _Labelled:
    """What goals have in common whose answer is one class or one number a sample, given as its target."""

    @property
    def outputs(self) -> int:
        raise NotImplementedError

    @property
    def every(self) -> bool:
        return False

    def answer_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.outputs,)

    def posed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        return np.asarray(targets[rows])


@dataclass(frozen=True)
class Classification(_Labelled):
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

    def score(self, answers: NDArray[Any], truths: NDArray[Any]) -> Classified:
        return classified(answers, truths, self.classes)

    def loss(self, scores: Scores, answers: NDArray[Any], truths: NDArray[Any]) -> float:
        assert isinstance(scores, Classified)
        return scores.loss


@dataclass(frozen=True)
class Regression(_Labelled):
    """A number, by squared error on targets scaled to mean 0 and deviation 1 of the training set."""

    mean: float = 0.0
    std: float = 1.0
    metric: str = "mae"

    @property
    def outputs(self) -> int:
        return 1

    @property
    def scale(self) -> dict[str, float]:
        return {"mean": self.mean, "std": self.std}

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - (targets - self.mean) / self.std).square()

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (self._numbers(outputs) - targets).abs()

    def answers(self, outputs: Tensor) -> Tensor:
        return self._numbers(outputs.float()).cpu()

    def score(self, answers: NDArray[Any], truths: NDArray[Any]) -> Measured:
        return measured(answers, truths)

    def loss(self, scores: Scores, answers: NDArray[Any], truths: NDArray[Any]) -> float:
        assert isinstance(scores, Measured)
        return (scores.rmse / self.std) ** 2

    def _numbers(self, outputs: Tensor) -> Tensor:
        return outputs[:, 0] * self.std + self.mean


def for_training(
    recipe: Recipe,
    targets: NDArray[Any],
    classes: tuple[str, ...],
    preprocess: Prepared | None = None,
) -> Task:
    """Make the task of a run from the targets of its training split.

    preprocess: of the run; what learns without labels needs it.
    """
    if recipe.task in {"next-step", "reconstruction"}:
        assert preprocess is not None
        return unlabelled(recipe, preprocess)
    if recipe.task == "regression":
        return Regression(float(targets.mean()), float(targets.std()) or 1.0)
    weights: tuple[float, ...] = ()
    if recipe.balance == "weights":
        counts = np.bincount(targets, minlength=len(classes))
        # Mean 1 over the training pictures, so that the learning rate keeps its meaning.
        weights = tuple((len(targets) / np.maximum(counts, 1) / (counts > 0).sum()).tolist())
    return Classification(classes, recipe.label_smoothing or 0.0, weights)


def unlabelled(recipe: Recipe, preprocess: Prepared) -> Task:
    """Make the task of a run that learns from the inputs alone. Raises RecipeError."""
    if recipe.task == "next-step":
        if not isinstance(preprocess, Sequences) or preprocess.modality == "sound":
            what = preprocess.modality if isinstance(preprocess, Sequences) else "pictures"
            raise RecipeError(
                f"--task next-step is for series and letters, and the data are {what}.",
                "For codes without labels there is --task reconstruction.",
            )
        kind = "symbols" if preprocess.modality == "symbols" else "binary" if preprocess.binary else "values"
        return NextStep(kind, preprocess.channels)
    if isinstance(preprocess, Sequences) and preprocess.modality == "symbols":
        mean, std = (0.0,) * preprocess.channels, (1.0,) * preprocess.channels
    else:
        mean, std = preprocess.mean, preprocess.std
    shares = not isinstance(preprocess, Sequences) or preprocess.modality == "symbols" or preprocess.binary
    if recipe.loss == "cross-entropy" and not shares:
        raise RecipeError(
            "--loss cross-entropy is for values from 0 to 1, and these are not.",
            "Leave --loss away; it is then squared.",
        )
    damages = damage(recipe.corrupt)
    return Reconstruction(
        mean,
        std,
        recipe.loss == "cross-entropy",
        noise=damages.get("noise", 0.0),
        mask=damages.get("mask", 0.0),
    )


def untrained(task: str, classes: tuple[str, ...], preprocess: Prepared | None = None) -> Task:
    """Make a task for trying a network out, before there are targets. Raises RecipeError."""
    if task == "next-step":
        assert preprocess is not None
        if isinstance(preprocess, Sequences) and preprocess.length < 2:
            raise RecipeError(
                "--task next-step: the sequences have one step each, and nothing follows it.",
                "Give longer sequences, or --length 2 or more.",
            )
        return NextStep("values", preprocess.channels)
    if task == "reconstruction":
        return Reconstruction()
    return Regression() if task == "regression" else Classification(classes)


def from_info(info: Mapping[str, Any]) -> Task:
    """Make the task that a run folder's run.json describes."""
    target: Any = info.get("target")
    if info["task"] == "regression":
        return Regression(target["mean"], target["std"])
    if info["task"] == "next-step":
        return NextStep(target["kind"], target["channels"])
    if info["task"] == "reconstruction":
        return Reconstruction(tuple(target["mean"]), tuple(target["std"]), target["cross_entropy"])
    return Classification(tuple(info["classes"]))
