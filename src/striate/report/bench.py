"""A page about this machine: our step beside PyTorch's as a picture, and every figure in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate import files
from striate.report import figures
from striate.report.figures import ACCENT, INK, LINE, QUIET, SECOND
from striate.report.layout import laid_out
from striate.report.markup import number, table, text
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from striate.training.bench import Bench, Compared


def write(path: Path, found: Bench) -> None:
    """Write the page, whole or not at all."""
    files.write_text(path, page(found))


def page(found: Bench) -> str:
    """Lay out the whole page as HTML."""
    about, limits = found.machine, found.limits
    rates = (
        f"{limits.float32 / 1e9:,.0f} GFLOP/s in float32, {limits.bfloat16 / 1e9:,.0f} in bfloat16, "
        f"{limits.bandwidth / 1e9:,.1f} GB/s of memory"
    )
    parts = (
        ("step", "A step", "A training step", f"<figure>{picture(found)}</figure>{_steps(found.step)}"),
        *(
            (f"operators-{row.network}", row.network, f"The operators of {row.network}", _operators(row))
            for row in found.step
        ),
    )
    return laid_out(
        title="Striate bench",
        kicker="Striate bench",
        name=f"{about['processor']}, {about['cores']} cores",
        lead=text(f"{rates}; torch {about['torch']}", 240),
        result="",
        parts=parts,
        sprite=Sprite([]),
        versions={},
    )


def picture(found: Bench) -> str:
    """Draw images a second as a multiple of the plain loop's: PyTorch's best setting, and ours."""
    names = [row.network for row in found.step]
    ours = [row.ratio_to_plain for row in found.step]
    best = [row.ratio_to_plain / row.ratio_to_best for row in found.step]
    places = range(len(names))

    def draw(axes: Axes) -> None:
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=LINE, linewidth=0.8)
        for ratios, shift, colour in ((ours, -0.19, ACCENT), (best, 0.19, SECOND)):
            axes.barh([place + shift for place in places], ratios, height=0.34, color=colour)
            for place, ratio in zip(places, ratios, strict=True):
                axes.text(ratio, place + shift, f" {ratio:.2f}", va="center", color=INK)
        axes.axvline(1, color=QUIET, linewidth=1, dashes=(3, 3))
        axes.set_yticks(list(places), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(*ours, *best, 1.0))
        axes.set_xlabel("images a second, plain PyTorch = 1: striate (above), PyTorch's best setting (below)")

    said = ", ".join(f"{name} {ratio:.2f}" for name, ratio in zip(names, ours, strict=True))
    alt = f"Images a second of our step as a multiple of the plain PyTorch loop's: {said}."
    return figures.drawn(draw, alt, width=8.0, height=0.8 + 0.5 * len(names))


def _steps(rows: Sequence[Compared]) -> str:
    head = ("network", "batch", "pixels", "striate", "plain", "best", "times plain", "times best", "setting")
    cells = [
        (
            text(row.network),
            str(row.batch),
            str(row.size),
            *(f"{rate:,.0f}" for rate in (row.images_per_second, row.plain, row.best)),
            f"{row.ratio_to_plain:.2f}",
            f"{row.ratio_to_best:.2f}",
            text(row.best_setting),
        )
        for row in rows
    ]
    return table(head, cells, caption="Images a second; ratios are medians over rounds in turn")


def _operators(row: Compared) -> str:
    head = ("operator", "input", "output", "layers", "forward ms", "backward ms", "GFLOP/s", "of the limit")
    cells = [
        (
            text(each.what),
            "×".join(map(str, each.input)),
            "×".join(map(str, each.output)),
            str(each.count),
            number(1000 * each.forward),
            number(1000 * each.backward),
            f"{each.flops / 1e9:,.0f}" if each.flops else "",
            f"{each.share:.0%}",
        )
        for each in row.operators
    ]
    return table(head, cells, caption=f"On torch's own kernels, each alone, batch {row.batch}")
