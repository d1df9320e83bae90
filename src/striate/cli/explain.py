"""``striate explain``: why a network answers as it does, and what it has learned."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust
from striate.cli.paths import check_folder, check_page

if TYPE_CHECKING:
    from striate.api.explain import Explained


def explain(
    run: Path,
    /,
    *images: str,
    html: Path | None = None,
    out: Path | None = None,
    data: str | None = None,
    layer: str | None = None,
    unit: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    target: Annotated[str | None, Parameter(name="--class")] = None,
    versus: str | None = None,
    method: Annotated[
        tuple[
            Literal["grad-cam", "occlusion", "integrated-gradients", "saliency", "deconvnet", "guided"], ...
        ],
        Parameter(negative=""),
    ] = (),
    seed: int = 0,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Look inside a run: why it answers as it does, and what it has learned.

    Writes a page: with pictures or sequences about the answers to them, without about the network itself. A
    file that cannot be read is named on stderr and the others are explained.

    Parameters
    ----------
    run
        The run folder.
    images
        What ``striate predict`` takes; without any, the network itself is looked into.
    html
        The page; by default explain.html here, or in the folder of --out.
    out
        Write the page's pictures into this folder, too, as PNG files.
    data
        Labelled data for patches, neighbours and health, whatever striate train takes; by default the
        run's own.
    layer
        Look at this layer; by default at the first and the last convolution.
    unit
        Look at this unit of --layer; by default at its most active ones.
    target
        Explain this class; by default the network's answer.
    versus
        Compare it with this class; by default with the next best.
    method
        Make this map, and others when given again; by default all that apply.
    seed
        Of everything that is drawn by lot.
    json
        Print one JSON document.
    """
    from striate import api

    if html is not None:
        check_page(html, "explain.html")
    if out is not None:
        check_folder(out)
    with show.stream() as emit:
        found = api.explain(
            api.load(run, trust=trust),
            images,
            data=data,
            layer=layer,
            unit=unit,
            target=target,
            versus=versus,
            methods=method,
            html=html,
            out=out,
            seed=seed,
            offline=offline,
            emit=emit,
        )
    for file, reason in found.unreadable:
        print(f"Left out {file}: {reason}", file=sys.stderr)
    print(jsonlib.dumps(found.json(), allow_nan=False) if json else "\n".join(lines(found)))


def lines(found: Explained) -> list[str]:
    """Lay out each picture's answer, what is abnormal in the network, and what was written."""
    within = show.width()
    told: list[str] = []
    if found.images:
        rows = [("file", "class", "probability", "next best")]
        for one in found.images:
            second = "" if len(one.top) < 2 else f"{one.top[1][0]} {_share(one.top[1][1])}"
            rows.append((one.name, one.top[0][0], _share(one.top[0][1]), second))
        if found.images[0].top[0][1] is None:
            rows = [("file", "number"), *((name, label) for name, label, *_ in rows[1:])]  # type: ignore[list-item]
        told = [*show.table(rows, within=within), ""]
    for sentence in found.network.health.sentences if found.network.health else ():
        told += show.wrap(sentence, within, 2) if within else [sentence]
    page, *pictures = found.files
    also = f" and {len(pictures)} pictures beside it" if pictures else ""
    return [*told, f"wrote {page}{also}"]


def _share(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.1%}"
