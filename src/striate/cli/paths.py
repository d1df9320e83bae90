"""Where a command writes: what is wrong with a path is told before time is spent.

``os.path`` has an answer for impossible names, too, where Path raises; to write there then fails in words.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from striate.errors import RecipeError

if TYPE_CHECKING:
    from pathlib import Path


def check_page(html: Path, name: str, *, flag: str = "--html") -> None:
    """Raise RecipeError for a file that is a folder, or whose folder is missing. name: of a file, to try."""
    if os.path.isdir(html):  # noqa: PTH112
        raise RecipeError(f"{flag} {html} is a folder.", f"Name a file, such as {html / name}.")
    if not os.path.isdir(html.parent):  # noqa: PTH112
        raise RecipeError(f"The folder {html.parent} does not exist.", "Make it first, or name another.")


def check_folder(out: Path) -> None:
    """Raise RecipeError where a folder cannot be made: a file has its name, or that of its parent."""
    taken = next((path for path in (out, *out.parents) if os.path.exists(path)), out)  # noqa: PTH110
    if not os.path.isdir(taken):  # noqa: PTH112
        raise RecipeError(f"--out {out}: {taken} is a file.", "Name a folder.")
