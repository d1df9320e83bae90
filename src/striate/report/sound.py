"""The page of a recording that was scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from striate.runs.folder import Run
    from striate.scan.heard import Heard


def write(path: Path, found: Heard, run: Run) -> None:
    """Write the page, whole or not at all."""
    raise NotImplementedError
