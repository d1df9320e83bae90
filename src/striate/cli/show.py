"""Three ways to show the one stream of events: a terminal, a pipe, JSON lines. And tables of text.

Progress and notes go to stderr; stdout carries results only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, Self

from striate.events import Choice, Epoch, Event, Note, Step, Tuned, Warned, Working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.progress import TaskID

    from striate.events import Emit

SECONDS_BETWEEN_LINES = 10.0  # of progress into a pipe
SPLITS = {"train": "on the training {}s", "val": "on validation", "test": "on the test {}s"}
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "nll": "NLL",
    "squared_error": "squared error",
    "mse": "MSE",
    "loss": "loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}
SHARES = {"accuracy", "balanced_accuracy"}  # shown in per cent

NUMBER = re.compile(r"[\d.,%-]*")


@contextlib.contextmanager
def stream(*, json: bool = False) -> Iterator[Emit]:
    """Give the function that shows events here: JSON lines, a progress bar, or plain lines."""
    if json:
        yield json_line
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Terminal() as terminal:
            yield terminal
    else:
        yield Lines()


def json_line(event: Event) -> None:
    """Print an event as one line of JSON on stdout, at once; ASCII, which every pipe can take."""
    print(json.dumps(event.json(), allow_nan=False), flush=True)


class Lines:
    """Plain lines on stderr: choices, warnings, epochs, and progress every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._epochs = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        line = text(event, self._epochs)
        if isinstance(event, Step):
            self._epochs = event.epochs
        if isinstance(event, (Step, Working)):
            if self._clock() - self._last < SECONDS_BETWEEN_LINES:
                return
            line = f"{title(event)}  {detail(event)}"
        if line:
            self._last = self._clock()
            print(line, file=sys.stderr, flush=True)


class Terminal:
    """A progress bar on stderr under the lines that stay."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
            expand=True,
        )
        self._bars: dict[str, TaskID] = {}
        self._epochs = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Step):
            self._epochs = event.epochs
            self._bar("training", title(event), event.step, event.steps, detail(event))
        elif isinstance(event, Working):
            self._bar(event.what, title(event), event.done, event.total, detail(event))
        elif line := text(event, self._epochs):
            style = "yellow" if isinstance(event, Warned) else None
            indent, columns = 25 if isinstance(event, Choice) else 2, self._progress.console.width
            for part in line.splitlines() if "\n" in line else wrap(line, columns, indent):
                self._progress.console.print(part, style=style, markup=False, soft_wrap=True)

    def _bar(self, what: str, name: str, done: int, total: int | None, details: str) -> None:
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(name, total=total, detail=details)
        self._progress.update(self._bars[what], description=name, completed=done, total=total, detail=details)
        if done == total:
            self._progress.remove_task(self._bars.pop(what))


def text(event: Event, epochs: int = 0) -> str:
    """Say an event in a line, or as a table of them; "" for progress, which is no line."""
    match event:
        case Note():
            return event.text
        case Warned():
            return f"Warning: {event.text}"
        case Choice():
            return f"{event.name:<13} {event.value:<10} {event.reason}"
        case Tuned():
            return "\n".join(tuning(event))
        case Epoch():
            of = f"/{epochs}" if epochs else ""
            lines = [f"epoch {event.epoch:>{len(str(epochs))}}{of}", metrics(event.train)]
            if event.val:
                lines.append(f"val {metrics(event.val)}")
            return "  ".join([*lines, f"{event.seconds:.1f} s"])
    return ""


def tuning(event: Tuned) -> list[str]:
    """Lay out what was measured to make a step faster, within 80 columns."""
    rows: list[tuple[object, ...]] = [("setting", "tried", "ms a step", "times", "off by", "")]
    for tried in event.tries:
        cost = "" if tried.seconds is None else f"{tried.seconds * 1e3:.1f}"
        times = "" if tried.times is None else f"{tried.times:.2f}"
        error = "" if tried.error is None else f"{tried.error:.0e}"
        rows.append((tried.setting, tried.value, cost, times, error, tried.verdict))
    return [*table(rows), f"{event.times:.2f} times as fast, found in {event.seconds:.1f} s."]


def title(event: Step | Working) -> str:
    """Say what is going on."""
    return f"epoch {event.epoch}/{event.epochs}" if isinstance(event, Step) else event.what


def detail(event: Step | Working) -> str:
    """Say how far it is, in at most 60 characters."""
    if isinstance(event, Working) and event.unit == "bytes":
        return f"{event.done / 1e6:.1f}{f'/{event.total / 1e6:.1f}' if event.total else ''} MB"
    if isinstance(event, Working):
        return f"{event.done}{f'/{event.total}' if event.total else ''} {event.unit}"
    parts = [f"loss {event.loss:.3f}"]
    if event.accuracy is not None:
        parts.append(f"accuracy {event.accuracy:.1%}")
    return "  ".join(
        [*parts, f"{event.images_per_second:.0f} {event.noun}/s", f"{clock(event.seconds_left)} left"]
    )


def metrics(values: Mapping[str, Any]) -> str:
    """Put the first two known metrics in words.

    >>> metrics({"loss": 0.25, "accuracy": 0.9312})
    'accuracy 93.1%  loss 0.250'
    """
    known = [name for name in METRICS if values.get(name) is not None][:2]
    return "  ".join(
        f"{METRICS[name]} {values[name]:.1%}" if name in SHARES else f"{METRICS[name]} {values[name]:.3f}"
        for name in known
    )


def clock(seconds: float) -> str:
    """Write a duration as minutes and seconds.

    >>> clock(133), clock(3723)
    ('2:13', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def width() -> int | None:
    """Give the columns of the terminal, or None when stdout is a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Sequence[Sequence[object]], *, within: int | None = None) -> list[str]:
    """Align rows in columns: the first to the left, numbers to the right.

    within: columns that a line may take; the first cell is shortened at its front to fit.

    >>> table([("class", "train"), ("cat", 12)])
    ['class  train', 'cat       12']
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    if within is not None:
        widths[0] = max(8, min(widths[0], within - sum(widths[1:]) - 2 * len(widths[1:])))
    right = [i > 0 and all(NUMBER.fullmatch(row[i]) for row in cells[1:]) for i in range(len(widths))]
    return [
        "  ".join(
            cell.rjust(size) if number else shorten(cell, size).ljust(size)
            for cell, size, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def wrap(line: str, within: int, hang: int = 4) -> list[str]:
    """Break a line that is too long; what follows hangs ``hang`` columns in."""
    if len(line) <= within:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.lstrip(), within, initial_indent=indent, subsequent_indent=" " * hang, break_on_hyphens=False
    )


def shorten(name: str, length: int) -> str:
    """Leave out the front of a name that is too long: the end of a path says more.

    >>> shorten("photos/jumper/0123.jpg", 14)
    '…mper/0123.jpg'
    """
    return name if len(name) <= length else "…" + name[len(name) - length + 1 :]
