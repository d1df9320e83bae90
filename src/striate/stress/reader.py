"""A run's pictures in 0..1, as distortions take them, and the way back to what its network is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data.batches import plain
from striate.runs.forward import answered

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.stress.measure import Answers


@dataclass(frozen=True, eq=False)
class SequenceReader:
    """Sequences of a run as its network takes them, (M, C, L), a slice at a time."""

    preprocess: Sequences
    stored: NDArray[Any]
    rows: NDArray[np.int64]
    device: str

    @property
    def batch(self) -> int:
        """Sequences at a time, so that long ones need no more memory than short ones."""
        return max(8, min(128, 128 * 96**2 // self.preprocess.length))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Tensor:
        return torch.cat(list(plain(self.stored, self.rows[part], self.preprocess, len(self), self.device)))

    def answers(self, model: nn.Module, precision: str, tta: str) -> Answers:
        """Give the function from such sequences to probabilities."""

        def answer(x: Tensor) -> Tensor:
            with torch.inference_mode():
                return answered(model, x, precision=precision, tta=tta).softmax(1).cpu()

        return answer


@dataclass(frozen=True, eq=False)
class Reader:
    """Pictures of a run in 0..1, a slice at a time, and the way back to what its network is given.

    low, span: (C, 1, 1), the raw values of 0, and of 1 less that. They are the run's own; where the pictures
    have more depth than 8 bits, widened to the values that occur, so that nothing is cut off.
    """

    preprocess: Preprocess
    pixels: NDArray[Any]
    rows: NDArray[np.int64]
    low: Tensor
    span: Tensor
    device: str

    @classmethod
    def of(cls, preprocess: Preprocess, pixels: NDArray[Any], rows: NDArray[np.int64], device: str) -> Reader:
        """Find the range of the values."""
        low, high = np.array(preprocess.low, np.float32), np.array(preprocess.high, np.float32)
        if preprocess.dtype != "uint8":
            for row in rows:
                low = np.minimum(low, pixels[row].min((0, 1)))
                high = np.maximum(high, pixels[row].max((0, 1)))
        zero, span = (torch.from_numpy(each).to(device).view(-1, 1, 1) for each in (low, high - low))
        return cls(preprocess, pixels, rows, zero, span, device)

    @property
    def batch(self) -> int:
        """Pictures at a time, so that large ones need no more memory than small ones."""
        return max(8, min(128, 128 * 96**2 // self.preprocess.size**2))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Tensor:
        raw = torch.from_numpy(self.pixels[self.rows[part]].astype(np.float32)).to(self.device)
        return ((raw.permute(0, 3, 1, 2) - self.low) / self.span).contiguous()

    def answers(self, model: nn.Module, precision: str, tta: str) -> Answers:
        """Give the function from pictures in 0..1 to probabilities, by the run's own preprocessing."""

        def answer(pictures: Tensor) -> Tensor:
            raw = pictures.contiguous(memory_format=torch.channels_last) * self.span + self.low
            if self.preprocess.dtype != "float32":  # a file holds whole numbers
                raw = raw.round_()
            with torch.inference_mode():
                inputs = self.preprocess.tensor(raw).contiguous(memory_format=torch.channels_last)
                return answered(model, inputs, precision=precision, tta=tta).softmax(1).cpu()

        return answer
