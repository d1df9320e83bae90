"""``striate scan``: is one of a run's classes anywhere in a larger picture, and where."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli import show
from striate.cli.flags import Json, Trust
from striate.cli.paths import check_page

if TYPE_CHECKING:
    from striate.scan.found import Scanned

SHOWN = 10  # boxes, and classes without one


def scan(
    run: Path,
    image: Path,
    /,
    *,
    name: Annotated[str | None, Parameter(name="--class")] = None,
    threshold: float = 0.95,
    scales: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    stride: int | None = None,
    approximate: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    html: Path | None = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Find a run's classes in a larger picture.

    The network slides over the picture at several sizes of it. A network without padding inside is made
    fully convolutional, which is exact and fast; any other is given windows, one by one.

    Parameters
    ----------
    run
        The run folder.
    image
        The picture.
    name
        Look for this class only.
    threshold
        The least probability of a box, 0 to 1. A classifier has no class for "nothing here" unless its data
        have one: a folder "nothing", which is then not looked for.
    scales
        Sizes of the picture to look at, as shares of its own, such as 1 0.5 0.25. By default from 1 down to
        where a window covers the picture's shorter side.
    stride
        Pixels between windows; by default the network's own, or an eighth of a window.
    approximate
        Make a network that pads inside fully convolutional, too, and say how far that is off.
    html
        Write a page with the picture, its boxes and a map of each class to this file.
    json
        Print one JSON document.
    """
    from striate import api

    if html is not None:
        check_page(html, "scan.html")
    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        found = api.scan(
            opened, image, name=name, threshold=threshold, scales=scales, stride=stride,
            approximate=approximate, html=html, emit=emit,
        )  # fmt: skip
    if json:
        print(jsonlib.dumps(found.json(), allow_nan=False))
    else:
        lines = [line for told in said(found) for line in show.wrap(told, show.width() or 80)]
        print("\n".join([*lines, *([f"page: {html}"] if html else [])]))


def said(found: Scanned) -> list[str]:
    """Say how the picture was looked at, what is where, and the answer."""
    height, width = found.picture.shape[:2]
    sizes = "1 size" if len(found.scales) == 1 else f"{len(found.scales)} sizes"
    lines = [
        f"{found.file}: {width} × {height} pixels, {sizes}, a window of {found.window} every {found.stride}",
        found.how,
        "",
    ]
    rows: list[tuple[object, ...]] = [("class", "probability", "left", "top", "width", "height")]
    for one in found.classes:
        rows += [
            (
                one.name, f"{box.score:.1%}", f"{box.left:.0f}", f"{box.top:.0f}",
                f"{box.right - box.left:.0f}", f"{box.bottom - box.top:.0f}",
            )
            for box in one.boxes
        ]  # fmt: skip
    rows = [rows[0], *sorted(rows[1:], key=lambda row: -float(str(row[1])[:-1]))]
    if len(rows) > 1:
        lines += show.table(rows[: SHOWN + 1], within=show.width())
        lines += [f"and {len(rows) - 1 - SHOWN} more: --json lists them all"] * (len(rows) - 1 > SHOWN)
        lines.append("")
    return [*lines, found.verdict]
