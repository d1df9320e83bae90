"""``striate bench``: what this machine can do, and what a training step makes of it."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.cli import show
from striate.cli.flags import Json
from striate.cli.paths import check_page

if TYPE_CHECKING:
    from striate.training.bench import Bench, Compared

TOP = 8  # operators with a row of their own, where one network is measured


def bench(
    *,
    network: str | None = None,
    minutes: Annotated[float, Parameter(validator=Number(gt=0))] = 14.0,
    compile: Annotated[bool, Parameter(negative="", show_default=False)] = False,  # noqa: A002 - the flag's name
    html: Path | None = None,
    json: Json = False,
) -> None:
    """Measure this machine, and a training step against bare PyTorch.

    Five networks, on made-up pictures. Three take turns: our step, as train would choose it; PyTorch's as
    most loops are written (plain); and PyTorch's in its fastest setting here (best).

    Parameters
    ----------
    network
        Only this one: lenet5, resnet20, resnet18, alexnet, googlenet; with its operators, one by one.
    minutes
        Time for all of it, about.
    compile
        Let PyTorch compile its fastest setting, too: minutes more.
    html
        Draw the result into this file.
    json
        Print one JSON document.
    """
    from striate import api

    if html is not None:
        check_page(html, "bench.html")
    with show.stream() as emit:
        found = api.bench(network, minutes=minutes, compiled=compile, emit=emit)
    if html is not None:
        from striate.report import bench as page

        page.write(html, found)
    if json:
        print(jsonlib.dumps(found.json(), allow_nan=False))
        return
    print("\n".join(lines(found, show.width())))
    if html is not None:
        print(f"wrote {html}")


def lines(found: Bench, within: int | None) -> list[str]:
    """Lay out the machine, its limits, the step of each network, and the operators of a single one."""
    limits, about = found.limits, found.machine
    compiled = any("compile" in setting for row in found.step for setting in row.tried)
    rates = (
        f"limits  float32 {limits.float32 / 1e9:,.0f} GFLOP/s  bfloat16 {limits.bfloat16 / 1e9:,.0f} GFLOP/s"
        f"  memory {limits.bandwidth / 1e9:,.1f} GB/s"
    )
    told = [
        f"{about['processor']}, {about['cores']} cores, {about['instructions']}, torch {about['torch']}",
        rates,
        "",
        *show.table(
            [("network", "images/s", "plain", "best", "x plain", "x best", "best PyTorch setting")]
            + [_step(row) for row in found.step]
        ),
        "",
    ]
    if len(found.step) > 1:
        to_plain, to_best = (found.mean(f"ratio_to_{side}") for side in ("plain", "best"))
        told.append(f"geometric means  {to_plain:.2f} times plain, {to_best:.2f} times the best.")
    told += [
        (
            "images/s is ours; plain is float32 with nothing set; best is PyTorch's fastest of channels_last,"
            f" bfloat16 autocast and fused, on or off{', or compiled' if compiled else '; nothing compiled'}."
            f" Ratios are medians of {min(row.rounds for row in found.step)} rounds or more in turn."
        )
    ]
    if len(found.step) == 1:
        row = found.step[0]
        told += [
            "",
            f"The operators of {row.network}, each alone, on torch's own kernels, in milliseconds a batch:",
        ]
        told += operators(row)
    return told if within is None else [part for line in told for part in show.wrap(line, within, 2) or [""]]


def _step(row: Compared) -> tuple[str, ...]:
    rates = (f"{rate:,.0f}" for rate in (row.images_per_second, row.plain, row.best))
    ratios = (f"{ratio:.2f}" for ratio in (row.ratio_to_plain, row.ratio_to_best))
    return row.network, *rates, *ratios, row.best_setting


def operators(row: Compared) -> list[str]:
    """Lay out the operators that take most, the rest in one line."""
    table = [("operator", "input", "output", "layers", "forward", "back", "GFLOP/s", "limit")]
    table += [
        (
            each.what,
            "x".join(map(str, each.input)),
            "x".join(map(str, each.output)),
            str(each.count),
            f"{1000 * each.forward:,.2f}",
            f"{1000 * each.backward:,.2f}",
            f"{each.flops / 1e9:,.0f}" if each.flops else "",
            f"{each.share:.0%}",
        )
        for each in row.operators[:TOP]
    ]
    rest = row.operators[TOP:]
    seconds = sum(each.seconds for each in rest)
    more = [f"{len(rest)} more shapes: {1000 * seconds:,.1f} ms in all"] if rest else []
    return [*show.table(table), *more]
