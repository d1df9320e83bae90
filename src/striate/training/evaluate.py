"""Score a network on pictures it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.runs.forward import outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from striate.data.preprocess import Preprocess
    from striate.training.metrics import Classified, Measured
    from striate.training.task import Task


def evaluate(
    model: nn.Module,
    task: Task,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    preprocess: Preprocess,
    *,
    precision: str,
    device: str,
    tta: str = "off",
) -> tuple[NDArray[Any], Classified | Measured]:
    """Answer for some rows of the pixels and score the answers against the targets of those rows.

    Returns: (N, K) probabilities or (N,) numbers, and their scores.
    """
    found = outputs(model, pixels, rows, preprocess, precision=precision, device=device, tta=tta)
    answers = task.answers(found).numpy()
    return answers, task.score(answers, targets[rows])
