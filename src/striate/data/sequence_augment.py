"""What may be changed about a training sequence, as one small value with a short written form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.errors import RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.sequence import Sequences


@dataclass(frozen=True, kw_only=True)
class SequenceAugment:
    """The kinds of change and their strength; 0 is off."""

    def __str__(self) -> str:
        return "off"

    def apply(
        self, x: Tensor, seed: int, epoch: int, samples: NDArray[np.int64], preprocess: Sequences
    ) -> Tensor:
        """Change raw sequences (N, C', L); a sample's draws follow from (seed, epoch, its number) alone."""
        return x


def parse(text: str, modality: str) -> SequenceAugment:
    """Read ``off`` or a list of kinds. Raises RecipeError."""
    if text != "off":
        raise RecipeError(f"--augment: {text!r} is not known for {modality}.", "off is.")
    return SequenceAugment()
