"""Two plain answers to what comes next: what comes as often as ever, and as often as after the last step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.training.metrics import stepped

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = {
    "binary": ("Each channel as often as in training", "Each channel as often as after its last state"),
    "symbols": ("Each letter as often as in training", "Each letter as often as after the last one"),
    "values": ("Always the mean", "The last values once more"),
}


def plain_steps(
    learnt: tuple[NDArray[Any], NDArray[Any]], asked: tuple[NDArray[Any], NDArray[Any]], kind: str
) -> list[tuple[str, dict[str, float]]]:
    """Name and score both answers.

    learnt: of training sequences, and asked: of those to score: (the steps, what followed each), both
    (N, C, L), the second NaN where nothing follows.   kind: as :func:`striate.training.metrics.stepped`
    takes it. What was never seen in training counts as seen once (Laplace), so that no answer is impossible.
    """
    before, after = (x.swapaxes(1, 2).reshape(-1, x.shape[1]) for x in learnt)
    known = ~np.isnan(after).any(1)
    before, after = before[known].astype(np.float64), after[known].astype(np.float64)
    steps, followed = asked
    if kind == "values":
        always = np.broadcast_to(after.mean(0)[:, None], followed.shape)
        again = steps
    elif kind == "symbols":
        letters = after.sum(0) + 1
        always = np.broadcast_to((letters / letters.sum())[:, None], followed.shape)
        pairs = before.T @ after + 1
        again = np.einsum("nil,ij->njl", steps, pairs / pairs.sum(1, keepdims=True))
    else:
        always = np.broadcast_to(((after.sum(0) + 1) / (len(after) + 2))[:, None], followed.shape)
        on = ((before * after).sum(0) + 1) / (before.sum(0) + 2)
        off = (((1 - before) * after).sum(0) + 1) / ((1 - before).sum(0) + 2)
        again = steps * on[:, None] + (1 - steps) * off[:, None]
    answers = (always, again)
    return [
        (name, stepped(answer, followed, kind).summary())
        for name, answer in zip(NAMES[kind], answers, strict=True)
    ]
