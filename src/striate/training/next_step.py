"""What comes next in a sequence: at every step the network says what the following step is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from striate.data.batches import plain
from striate.errors import ModelError
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

        NaN where nothing follows, or a letter that is not known: no answer could be right. Padding that the
        whole batch has teaches nothing and takes time, so it is left away (on a GPU, looking costs more).
        """
        ends = lengths(inputs)
        if inputs.device.type == "cpu":
            inputs = inputs[..., : int(ends.max())]
        following = F.pad(inputs[..., 1:], (0, 1))
        nothing = ~true_steps(ends - 1, inputs.shape[2])
        if self.kind == "binary":
            following = (following > 0.5).to(inputs.dtype)
        elif self.kind == "symbols":
            nothing = nothing | (following.amax(1, keepdim=True) < 1)
        return inputs, following.masked_fill(nothing, torch.nan)

    def truths(
        self, pixels: NDArray[Any], targets: NDArray[Any], rows: NDArray[Any], preprocess: Prepared
    ) -> NDArray[Any]:
        found = []
        for inputs in plain(pixels, rows, preprocess, 256):
            wanted = self.posed(inputs, inputs)[1]
            found.append(F.pad(wanted, (0, inputs.shape[2] - wanted.shape[2]), value=torch.nan).numpy())
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


def check_causal(model: nn.Module, shape: tuple[int, ...]) -> None:
    """Make sure that what a network answers at a step is the same without the steps after it.

    shape: of its input, (C, L).   The network is run in evaluation mode on a sequence and on its first half.
    Raises ModelError where an answer changes, or the half is no length for it.
    """
    whole = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) + 0.5
    half = whole[..., : max(1, shape[1] // 2)]
    model.eval()
    try:
        with torch.no_grad():
            seen, alone = model(whole)[..., : half.shape[2]], model(half)
    except Exception as error:
        why = " ".join(str(error).split())[:120]
        raise ModelError(
            f"The model raised {type(error).__name__} for a shorter sequence: {why}",
            "To foretell the next step it must take a sequence of any length.",
        ) from error
    finally:
        model.train()
    if not torch.allclose(seen, alone, rtol=1e-3, atol=1e-5 * float(seen.abs().max())):
        raise ModelError(
            "The model's answer at a step changes with the steps after it, which it is to foretell.",
            "Take one that only looks back: tcn, rnn, gru or lstm.",
        )
