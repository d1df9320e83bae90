"""``striate scan``: is one of a run's classes anywhere in a larger picture or a recording, and where."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli import show
from striate.cli.flags import Json, Trust
from striate.cli.paths import check_page

if TYPE_CHECKING:
    from striate.scan.found import Scanned
    from striate.scan.heard import Heard

SHOWN = 10  # boxes, and classes without one
LISTED = 40  # detections


def scan(
    run: Path,
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    name: Annotated[str | None, Parameter(name="--class")] = None,
    threshold: float | None = None,
    alarms: float | None = None,
    scales: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    stride: float | None = None,
    approximate: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    html: Path | None = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Find a run's classes in a larger picture, or in a long recording.

    The network slides over the picture at several sizes of it, or along the recording. A network without
    padding inside is made fully convolutional, which is exact and fast; any other is given windows.

    Parameters
    ----------
    run
        The run folder.
    file
        The picture; for a run of sounds a recording, or - for a stream of WAV on standard input.
    name
        Look for this class only.
    threshold
        The least probability of a box or a detection, 0 to 1; by default 0.95. A classifier has no class for
        "nothing here" unless its data have one: a folder "nothing", which is then not looked for.
    alarms
        False alarms a minute of a recording: the threshold is chosen on the run's validation recordings.
    scales
        Sizes of the picture to look at, as shares of its own, such as 1 0.5 0.25. By default from 1 down to
        where a window covers the picture's shorter side.
    stride
        Pixels between windows, or milliseconds; by default the network's own, or an eighth of a window, of a
        recording a twentieth.
    approximate
        Make a network that pads inside fully convolutional, too, and say how far that is off.
    html
        Write a page to this file: the picture with its boxes and a map of each class, or the recording's
        wave, spectrogram and scores.
    json
        Print one JSON document.
    """
    from striate import api
    from striate.scan.heard import Heard

    if html is not None:
        check_page(html, "scan.html")
    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        found = api.scan(
            opened, sys.stdin.buffer if str(file) == "-" else file, name=name, threshold=threshold,
            alarms=alarms, scales=scales, stride=stride, approximate=approximate, html=html, emit=emit,
        )  # fmt: skip
    if json:
        print(jsonlib.dumps(found.json(), allow_nan=False))
    else:
        lines = told(found) if isinstance(found, Heard) else said(found)
        broken = [part for line in lines for part in show.wrap(line, show.width() or 80)]
        print("\n".join([*broken, *([f"page: {html}"] if html else [])]))


def told(found: Heard) -> list[str]:
    """Say how the recording was listened to, what is when, and the answer."""
    windows = f"a window of {found.window:.2f} s every {1000 * found.hop:.3g} ms"
    lines = [
        f"{found.file}: {show.clock(found.seconds)} at {found.rate:,} Hz, {windows}",
        found.how,
        *found.thresholds,
        "",
    ]
    heard = [(one.name, place) for one in found.classes for place in one.detections]
    rows: list[tuple[object, ...]] = [("class", "probability", "at, s", "window, s")]
    rows += [
        (name, f"{place.score:.2%}", f"{place.time:.2f}", f"{place.start:.2f} to {place.end:.2f}")
        for name, place in sorted(heard, key=lambda one: one[1].time)
    ]
    if len(rows) > 1:
        lines += show.table(rows[: LISTED + 1], within=show.width())
        total = sum(one.count for one in found.classes)
        lines += [f"and {total - LISTED:,} more: --json lists them"] * (total > LISTED)
        lines.append("")
    return [*lines, found.verdict]


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
