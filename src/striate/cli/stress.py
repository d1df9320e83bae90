"""``striate stress``: where a run breaks, as curves over what is done to its pictures."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust
from striate.cli.paths import check_page
from striate.errors import RecipeError

if TYPE_CHECKING:
    from striate.stress.measure import Curve, Curves, Point
    from striate.stress.result import Stressed


def stress(
    run: Path,
    data: str | None = None,
    /,
    *,
    split: Literal["train", "val", "test"] | None = None,
    sample: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    full: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    compare: Path | None = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    html: Path | None = None,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Say where a run breaks: accuracy when its pictures or sequences are moved, hidden or damaged.

    Parameters
    ----------
    run
        The run folder.
    data
        Whatever ``striate train`` takes; by default what the run held back.
    split
        Only this split; without it the test split where there is one, else validation or everything.
    sample
        Pictures or sequences that are drawn and measured; by default 500.
    full
        Measure all of them.
    only
        Only these distortions, such as shift occlusion gaussian_noise; of sequences time_shift gap.
    compare
        Another run folder with the same classes, on the same pictures and draws.
    seed
        Of the sample and of every draw.
    html
        Draw the curves into this file.
    json
        Print one JSON document.
    """
    from striate import api
    from striate.api.stress import SAMPLE

    _check(sample=sample, full=full, html=html)
    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        other = None if compare is None else api.load(compare, trust=trust)
        found = api.stress(
            opened,
            data,
            split=split,
            sample=None if full else sample or SAMPLE,
            only=only,
            seed=seed,
            compare=other,
            offline=offline,
            emit=emit,
        )
    if html is not None:
        from striate.report import stress as page

        page.write(html, found)
    if json:
        print(jsonlib.dumps(found.json(), allow_nan=False))
        return
    print("\n".join(lines(found, show.width())))
    if html is not None:
        print(f"wrote {html}")


def _check(*, sample: int | None, full: bool, html: Path | None) -> None:
    """Tell what is wrong before time is spent."""
    if full and sample is not None:
        raise RecipeError("--full measures all pictures, --sample some.", "Give one of them.")
    if html is not None:
        check_page(html, "stress.html")


def lines(found: Stressed, within: int | None = None) -> list[str]:
    """Lay out the sample, a row a distortion with its middle and its last level, and the verdict."""
    own, other = found.own.measured, found.other.measured if found.other else None
    n, of = own.clean.n, f" of {found.total:,}" if own.clean.n < found.total else ""
    part = f", {found.split}" if found.split else ""
    told = [
        f"{n:,}{of} {found.noun}s of {found.data}{part}; in brackets the 95 % interval",
        f"clean              {_accuracy(own.clean)}  confidence {own.clean.confidence:.1%}",
    ]
    if other is not None:
        assert found.other is not None
        told.append(f"compared           {_accuracy(other.clean)}  {found.other.name}")
    agreed = found.own.consistency
    if agreed is not None:
        beside = found.other.consistency if found.other else None
        more = f"; compared {beside.accuracy:.1%}" if beside else ""
        told.append(f"shift consistency  {_accuracy(agreed)}{more}")
    told += ["", *show.table(_rows(own, other), within=within)]
    told += ["", "half: the smallest level that leaves less than half of the clean accuracy."]
    if found.noun != "picture":
        told.append("left out: the published corruptions, places and mCE, which are of pictures.")
    told += [f"left out: {name}: {why}" for name, why in own.skipped.items()]
    if found.relative is not None and found.relative.mean is not None:
        told.append(_relative(found))
    told += ["", *found.verdict]
    return told if within is None else [part for line in told for part in show.wrap(line, within, 2) or [""]]


def _rows(own: Curves, other: Curves | None) -> list[tuple[str, ...]]:
    head = ("distortion", "level", "accuracy", "level", "accuracy", "half", "unit")
    rows: list[tuple[str, ...]] = [head]
    if other is not None:
        rows = [(*head[:3], "compared", *head[3:5], "compared", "half")]
    for name, curve in own.curves.items():
        middle, last = len(curve.points) // 2, len(curve.points) - 1
        breaks = curve.breaks(own.clean)
        half = "-" if breaks is None else f"{breaks:g}"
        if other is None:
            rows.append((name, *_at(curve, middle), *_at(curve, last), half, curve.unit.split(",")[0]))
        else:
            beside = other.curves.get(name)
            cells = [(*_at(curve, i), _at(beside, i)[1] if beside else "-") for i in (middle, last)]
            rows.append((name, *cells[0], *cells[1], half))
    return rows


def _at(curve: Curve, i: int) -> tuple[str, str]:
    return f"{curve.points[i].level:g}", f"{curve.points[i].accuracy:.1%}"


def _accuracy(point: Point) -> str:
    low, high = point.interval
    return f"{point.accuracy:.1%}  ({low:.1%} to {high:.1%})"


def _relative(found: Stressed) -> str:
    assert found.relative is not None
    assert found.other is not None
    more = "" if found.relative.relative is None else f", relative {found.relative.relative:.2f}"
    return (
        f"mean corruption error {found.relative.mean:.2f}{more}: above 1 is more errors than "
        f"{found.other.name}. Computed here, not on the official files."
    )
