"""Everything a user can cause to go wrong, as one small tree.

    StriateError        message: what and where; hint: what to do
    ├── DataError       files, folders, archives, labels
    │   └── DownloadError
    ├── RecipeError     a flag or a recipe key
    ├── ModelError      a model that cannot be built or does not fit
    │   └── DoesNotFit
    ├── RunError        a run folder that cannot be opened
    ├── Diverged        the loss became NaN or infinite
    └── Interrupted     Ctrl-C: everything is saved (exit code 130)

The command line prints message and hint, two lines at most, and exits with 2.
Any other exception is our bug.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StriateError(Exception):
    """A mistake of the input, not of the program."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class DataError(StriateError):
    """Files, folders, archives or labels that cannot be used."""


class DownloadError(DataError):
    """A data set that could not be fetched whole."""


class RecipeError(StriateError):
    """A flag or a recipe key that is unknown or out of range."""


class ModelError(StriateError):
    """A model that cannot be built or does not fit the data."""


class DoesNotFit(ModelError):  # noqa: N818 - names what happened
    """A kernel whose windows do not fill their input."""


class RunError(StriateError):
    """A run folder that cannot be opened."""


class Diverged(StriateError):  # noqa: N818 - names what happened
    """The loss became NaN or infinite; the last good weights are kept."""


class Interrupted(StriateError):  # noqa: N818 - names what happened
    """The user stopped a run, which is saved and can go on."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list them all.

    >>> did_you_mean("epohcs", ["epochs", "batch"])
    'Did you mean epochs?'
    >>> did_you_mean("zzz", ["epochs", "batch"])
    'Known: epochs, batch.'
    """
    choices = list(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(choices)}."
