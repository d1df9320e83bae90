"""What a report tells: plain values, gathered by whoever ran the training."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from striate.report.markup import noun_of
from striate.training.metrics import Classified, Measured, Rebuilt, Stepped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.report.inside.contents import Network
    from striate.report.rebuilt import Rebuilding
    from striate.stress.result import Robustness
    from striate.training.baseline import Answer

Scores = Classified | Measured | Stepped | Rebuilt


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown small, a caption, and a quieter second line.

    picture: (H, W, 1 or 3) uint8, or the drawing of a sequence as HTML.
    """

    picture: NDArray[np.uint8] | str
    caption: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Story:
    """Everything the page shows.

    run: what run.json holds.   recipe: TOML text.   history: the records of history.jsonl.
    choices: name, value and reason of each setting that was chosen.   check: ``Check.json()``.
    scores: by split; the first is the headline, and ``answers`` are scored on the same split.
    augmented: a training picture and what augmentation made of it.   predicted, true: (N,) for regression.
    inside: its kernels and explained mistakes.   stress: what shift and occlusion cost.
    rebuilt: of a reconstruction, samples beside what came back of them.
    """

    run: dict[str, Any]
    recipe: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    choices: list[tuple[str, str, str]] = field(default_factory=list)
    check: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Scores] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    mistakes: list[Shown] = field(default_factory=list)
    augmented: list[tuple[Shown, list[Shown]]] = field(default_factory=list)
    predicted: NDArray[Any] | None = None
    true: NDArray[Any] | None = None
    inside: Network | None = None
    stress: Robustness | None = None
    rebuilt: Rebuilding | None = None

    @property
    def split(self) -> str | None:
        """Name the split of the headline; None where every picture was trained on."""
        return next(iter(self.scores), None)

    @property
    def headline(self) -> Scores | None:
        """Give the scores of that split."""
        return next(iter(self.scores.values()), None)

    @property
    def noun(self) -> str:
        """Say what one of the run's data is called."""
        return noun_of(self.run)

    def chosen_by_validation(self) -> str:
        """Say what the validation pictures decided, or nothing; such a figure is no test."""
        try:
            asked = tomllib.loads(self.recipe)
        except tomllib.TOMLDecodeError:
            return ""
        decided = []
        if asked.get("patience"):
            decided.append("the epoch whose weights were kept")
        if asked.get("schedule") == "plateau":
            decided.append("when the learning rate fell")
        return " and ".join(decided)
