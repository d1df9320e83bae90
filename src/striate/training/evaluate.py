"""Score a network on pictures it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.runs.forward import outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.training.task import Scores, Task


def evaluate(
    model: nn.Module,
    task: Task,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    preprocess: Preprocess | Sequences,
    *,
    precision: str,
    device: str,
    tta: str = "off",
) -> tuple[NDArray[Any], Scores]:
    """Answer for some rows of the pixels and score the answers against what is true of those rows.

    Returns: (N, K) probabilities, (N,) numbers or (N, ...), and their scores.
    """
    found = outputs(model, pixels, rows, preprocess, precision=precision, device=device, tta=tta)
    answers = task.answers(found).numpy()
    return answers, task.score(answers, task.truths(pixels, targets, rows, preprocess))
