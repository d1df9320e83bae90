"""What a command reports while it works: one stream of small records.

The terminal, a pipe and ``--json`` are three ways of showing the same stream (``striate.cli.show``);
in Python it goes to whoever passes ``emit``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all records; ``kind`` is the class name in lower case."""

    def json(self) -> dict[str, Any]:
        """Give the record as one JSON object."""
        return {"event": type(self).__name__.lower()} | asdict(self)


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something worth knowing: ``text`` is one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the user should look at; work goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Choice(Event):
    """A setting that followed from the data or the machine, and why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A setting that was measured.

    seconds: of a step.   times: as fast as the best before it.   error: of its gradient, relative to
    float32's.   verdict: "taken", why it was dropped, or "" where it was no gain. None is "not measured".
    """

    setting: str
    value: str
    seconds: float | None
    times: float | None
    error: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Tuned(Event):
    """What was tried to make a step faster; ``times`` as fast as the start is what was chosen."""

    tries: tuple[Tried, ...]
    times: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Working(Event):
    """Progress of anything countable that is not training (reading, downloading)."""

    what: str
    done: int
    total: int | None
    unit: str = "files"


@dataclass(frozen=True, slots=True)
class Step(Event):
    """Progress of training after an update."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float | None
    images_per_second: float
    seconds_left: float
    noun: str = "images"


@dataclass(frozen=True, slots=True)
class Epoch(Event):
    """One finished epoch: the line that also goes to history.jsonl."""

    epoch: int
    step: int
    lr: float
    train: dict[str, float]
    val: dict[str, float] | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Profiled(Event):
    """Where the time of a step goes: what profile.json holds."""

    profile: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The end of a run."""

    run: str
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread(Event):
    """The end of several runs: what several.json says of the figures on ``split``."""

    path: str
    split: str | None
    spread: dict[str, dict[str, Any]]
    out_of_fold: dict[str, Any] | None = None


Emit = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Report to nobody."""
