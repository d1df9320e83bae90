"""``striate train``: from pictures to a run folder with a network and its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from cyclopts import Parameter

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust, settings

if TYPE_CHECKING:
    from striate.runs.folder import Run


def train(
    data: Annotated[str | None, Parameter(show_default=lambda _: "digits")] = None,
    /,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    recipe: Path | None = None,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
    **asked: Any,
) -> None:
    """Train a network on your pictures.

    What you do not set follows from the data and this machine; each choice is explained in a line.

    Parameters
    ----------
    data
        A folder with a folder for each class, a zip or tar of one, an IDX, npz or CSV file, a CIFAR archive,
        or digits, mnist, fashion-mnist, cifar10, cifar100.
    out
        Folder for the run; by default a new one under runs/.
    resume
        Continue the run in this folder from where it stopped.
    recipe
        Take the settings from this recipe, by name (docs/recipes.md) or by file; flags override it.
    json
        Print each event as a line of JSON.
    """
    from striate import api

    with show.stream(json=json) as emit:
        run = api.train(
            data, recipe=recipe, out=out, resume=resume, offline=offline, trust=trust, emit=emit, **asked
        )
    if not json:
        print("\n".join(summary(run)) if sys.stdout.isatty() else run.path)


train.__annotations__["asked"] = Unpack[settings()]  # made from the recipe, so not known to a type checker


def summary(run: Run) -> list[str]:
    """Say what came out and what to do next."""
    split = next((name for name in ("test", "val", "train") if name in run.metrics), None)
    lines = []
    if split:
        lines = [f"{run.info['model']}, {show.SPLITS[split]}: {show.metrics(run.metrics[split])}"]
    return [
        *lines,
        f"report     {run.path / 'report.html'}",
        f"predict    striate predict {run.path} FILE",
        f"evaluate   striate evaluate {run.path} DATA",
    ]
