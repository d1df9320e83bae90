"""The input itself, from a code that is smaller or from an input that was damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from striate.data.batches import plain
from striate.errors import RecipeError
from striate.ops.sequence import lengths, masked, true_steps
from striate.training.metrics import Rebuilt, rebuilt

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.training.task import Prepared, Scores


@dataclass(frozen=True)
class Reconstruction:
    """The clean input, from itself or from a damaged copy.

    mean, std: per channel, what turns normalised inputs into values from 0 to 1.
    cross_entropy: the output is the logit of a value from 0 to 1; else a normalised value, by squared error.
    noise: deviation of the Gaussian noise that is added, in values.   mask: share of the values set to 0.
    Source: Hinton and Salakhutdinov 2006; Vincent and others 2008 (denoising).
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    cross_entropy: bool = False
    noise: float = 0.0
    mask: float = 0.0
    outputs: int = 1
    metric: str = "squared_error"
    every: bool = False

    @property
    def scale(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std), "cross_entropy": self.cross_entropy}

    def answer_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def posed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is shown, and the clean inputs: NaN in a sequence's padding, which nobody has to say."""
        return self.damaged(inputs), _without_padding(inputs, inputs)

    def damaged(self, inputs: Tensor) -> Tensor:
        """Damage normalised inputs, with draws of torch's own generator."""
        mean, std = self._scale(inputs)
        shown = inputs
        if self.noise:
            shown = shown + torch.randn_like(shown) * (self.noise / std)
        if self.mask:
            shown = torch.where(torch.rand_like(shown) < self.mask, -mean / std, shown)
        if shown is not inputs and inputs.dim() == 3:
            shown = masked(shown, lengths(inputs))
        return shown

    def values(self, inputs: Tensor) -> Tensor:
        """Turn normalised inputs back into values, of pictures from 0 to 1."""
        mean, std = self._scale(inputs)
        return inputs * std + mean

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        batches = plain(pixels, rows, preprocess, 256)
        return np.concatenate([_without_padding(self.values(x), x).numpy() for x in batches])

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        known, wanted = _known(targets)
        if self.cross_entropy:
            values = self.values(wanted).clamp(0, 1)
            each = F.binary_cross_entropy_with_logits(outputs, values, reduction="none")
        else:
            each = (outputs - wanted).square()
        return (each * known).flatten(1).sum(1) / known.flatten(1).sum(1)

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        known, wanted = _known(targets)
        return ((self._said(outputs) - self.values(wanted)).square() * known).flatten(1).sum(1)

    def answers(self, outputs: Tensor) -> Tensor:
        return self._said(outputs.float()).cpu()

    def score(self, answers: NDArray[Any], truths: NDArray[Any]) -> Rebuilt:
        return rebuilt(answers, truths)

    def loss(self, scores: Scores, answers: NDArray[Any], truths: NDArray[Any]) -> float:
        said, true = torch.from_numpy(answers), torch.from_numpy(truths)
        known, true = _known(true)
        if self.cross_entropy:
            each = F.binary_cross_entropy(said.clamp(0, 1), true.clamp(0, 1), reduction="none")
        else:
            _, std = self._scale(said)
            each = ((said - true) / std).square()
        return float(((each * known).flatten(1).sum(1) / known.flatten(1).sum(1)).mean())

    def _said(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() if self.cross_entropy else self.values(outputs)

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, *(1,) * (like.dim() - 2))
        mean, std = (torch.tensor(v, device=like.device).view(shape) for v in (self.mean, self.std))
        return mean, std


def _without_padding(values: Tensor, inputs: Tensor) -> Tensor:
    """Put NaN where a sequence of the inputs has ended; values of pictures stay."""
    if inputs.dim() != 3:
        return values
    return values.masked_fill(~true_steps(lengths(inputs), inputs.shape[2]), torch.nan)


def _known(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Tell which values there are, and give them with zeros in place of the others."""
    return ~targets.isnan(), targets.nan_to_num()


def damage(text: str) -> dict[str, float]:
    """Read the recipe's ``corrupt``: off, noise=0.5, mask=0.25 or both with a comma. Raises RecipeError.

    >>> damage("noise=0.5,mask=0.25")
    {'noise': 0.5, 'mask': 0.25}
    """
    found: dict[str, float] = {}
    for part in [] if text in {"off", ""} else text.split(","):
        name, _, value = part.strip().partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in {"noise", "mask"} or not 0 < number <= (1 if name == "mask" else 10):
            raise RecipeError(
                f"--corrupt: cannot read {part.strip()!r}.",
                "Give noise=0.5 (a deviation, values are 0 to 1), mask=0.25 (a share set to 0), or both.",
            )
        found[name] = number
    return found
