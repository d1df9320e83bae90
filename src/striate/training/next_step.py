"""What comes next in a sequence: at every step the network says what the following step is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from striate.ops.sequence import lengths, true_steps
from striate.training.metrics import Stepped, stepped

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.training.task import Prepared, Scores


@dataclass(frozen=True)
class NextStep:
    """The step that follows, at each step; every step of a batch weighs the same.

    kind: "binary" (channels that are on or off, independent of each other), "symbols" (one letter of the
    channels) or "values" (numbers, in units of each channel's deviation).
    Source: Bai, Kolter and Koltun 2018, section 3.1.
    """

    kind: str
    outputs: int
    every: bool = True

    @property
    def metric(self) -> str:
        return "mse" if self.kind == "values" else "nll"

    @property
    def scale(self) -> dict[str, Any]:
        return {"kind": self.kind, "channels": self.outputs}

    def answer_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def posed(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Give the sequences and what follows each step: (N, C, L).

        NaN where nothing follows, or a letter that is not known: no answer could be right.
        """
        following = F.pad(inputs[..., 1:], (0, 1))
        nothing = ~true_steps(lengths(inputs) - 1, inputs.shape[2])
        if self.kind == "binary":
            following = (following > 0.5).to(inputs.dtype)
        elif self.kind == "symbols":
            nothing = nothing | (following.amax(1, keepdim=True) < 1)
        return inputs, following.masked_fill(nothing, torch.nan)

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        found = []
        for start in range(0, len(rows), 256):
            raw = torch.from_numpy(np.asarray(pixels[rows[start : start + 256]]))
            inputs = preprocess.tensor(raw.movedim(-1, 1))
            found.append(self.posed(inputs, inputs)[1].numpy())
        return np.concatenate(found)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        known = ~targets[:, 0].isnan()
        wanted = targets.nan_to_num()
        if self.kind == "binary":
            each = F.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(1)
        elif self.kind == "symbols":
            each = -(outputs.log_softmax(1) * wanted).sum(1)
        else:
            each = (outputs - wanted).square().mean(1)
        # A long sequence counts as many times as it has steps.
        return torch.where(known, each, 0.0).sum(1) * (len(outputs) / known.sum().clamp_min(1))

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)

    def answers(self, outputs: Tensor) -> Tensor:
        outputs = outputs.float()
        if self.kind == "binary":
            return outputs.sigmoid().cpu()
        return (outputs.softmax(1) if self.kind == "symbols" else outputs).cpu()

    def score(self, answers: NDArray[Any], truths: NDArray[Any]) -> Stepped:
        return stepped(answers, truths, self.kind)

    def loss(self, scores: Scores, answers: NDArray[Any], truths: NDArray[Any]) -> float:
        assert isinstance(scores, Stepped)
        return scores.loss


def looks_ahead(model: nn.Module, shape: tuple[int, ...]) -> bool:
    """Say whether what a network answers at a step changes with the steps after it, which it is to foretell.

    shape: of its input, (C, L).   The network is run twice, in evaluation mode, on two sequences that part in
    the middle.
    """
    draw = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 1, *shape, generator=draw) + 0.5
    part = max(1, shape[1] // 2)
    other[..., :part] = one[..., :part]
    model.eval()
    with torch.no_grad():
        before, after = (model(x)[..., :part] for x in (one, other))
    model.train()
    return not torch.allclose(before, after, rtol=1e-3, atol=1e-5 * float(before.abs().max()))
