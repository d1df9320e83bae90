"""Figures as SVG: text stays text, colours are CSS variables, and matplotlib's global state is left alone.

matplotlib is imported on the first figure (about a second); a figure then takes some 30 ms.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report.markup import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from striate.training.metrics import Classified

# Colours nobody would choose, each standing for a variable of page.css until the SVG is written.
INK, QUIET, LINE, ACCENT, SECOND = "#010101", "#010102", "#010103", "#010104", "#010105"
VARIABLES = {INK: "--ink", QUIET: "--quiet", LINE: "--line", ACCENT: "--accent", SECOND: "--second"}
POINTS = 400  # a curve has no more than this many, a scatter three times as many
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "striate",
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.usetex": False,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "path.sketch": None,
}


def drawn(draw: Any, alt: str, *, width: float = 3.7, height: float = 2.5) -> str:
    """Let ``draw(axes)`` fill one figure of width x height inches; ``alt`` says what it shows."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        _quieten(axes)
        draw(axes)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return _inline(buffer.getvalue(), alt)


def _quieten(axes: Axes) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    axes.tick_params(colors=QUIET, length=0, pad=5)
    axes.grid(visible=True, axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    axes.xaxis.label.set_color(QUIET)
    axes.yaxis.label.set_color(QUIET)


def _inline(svg: str, alt: str) -> str:
    """Strip what only a file of its own needs, and turn the stand-in colours into variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r' id="(?:figure|axes|patch|line2d|text|matplotlib\.axis|xtick|ytick|[A-Z]\w*Collection)_\d+"',
        "",
        svg,
    )
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    body = re.sub(r">\s+<", "><", svg[svg.index(">") + 1 :]).strip()
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{alt}">{body}'


def curve(
    epochs: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    alt: str,
    *,
    share: bool = False,
    log: bool = False,
    from_zero: bool = False,
) -> str:
    """Draw quantities over epochs, the last one in the accent colour. share: 0..1, shown as percentages."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    keep = _thinned(len(epochs), POINTS)
    x = np.asarray(epochs, float)[keep]

    def draw(axes: Axes) -> None:
        for i, values in enumerate(lines.values()):
            y = np.array([np.nan if v is None else v for v in values], float)[keep]
            known = ~np.isnan(y)  # validation may not be measured every epoch
            main = i == len(lines) - 1
            marker = "o" if known.sum() == 1 else ""
            colour, width = (ACCENT, 1.8) if main else (SECOND, 1.3)
            axes.plot(x[known], y[known], color=colour, linewidth=width, marker=marker, markersize=4)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(which="minor", length=0)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5))
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda v, _: f"{100 * v:.4g} %" if share else f"{v:.6g}")
        )

    return drawn(draw, alt)


def _thinned(n: int, limit: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(np.int64))


def calibration(scores: Classified) -> str:
    """Draw accuracy against confidence; a dot's area follows its pictures, the diagonal is honesty."""
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    bins = [b for b in scores.bins if b["n"]]
    x, y, n = (np.array([b[key] for b in bins], float) for key in ("confidence", "accuracy", "n"))
    alt = (
        f"Accuracy against confidence in {len(bins)} bins: on average they differ by "
        f"{percent(scores.calibration_error)}; the network is {leaning(scores)}."
    )

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, dashes=(3, 3))
        axes.vlines(x, np.minimum(x, y), np.maximum(x, y), color=SECOND, linewidth=2)
        axes.scatter(x, y, s=14 + 220 * n / n.max(), color=ACCENT, linewidths=0, zorder=3)
        axes.set(xlim=(0, 1.04), ylim=(-0.04, 1.06), xlabel="confidence", ylabel="accuracy")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(0.2))
            axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))

    return drawn(draw, alt, width=4.6, height=3.4)


def leaning(scores: Classified) -> str:
    """Say in words to which side confidence errs."""
    confidence = sum((b["confidence"] or 0.0) * (b["n"] or 0) for b in scores.bins) / scores.n
    if abs(confidence - scores.accuracy) < 0.01:
        return "about as sure as it is right"
    return "surer than it is right" if confidence > scores.accuracy else "less sure than it is right"


def scatter(predicted: NDArray[Any], true: NDArray[Any], alt: str) -> str:
    """Draw predictions against the truth with the line they should lie on."""
    keep = _thinned(len(true), 3 * POINTS)

    def draw(axes: Axes) -> None:
        both = np.concatenate([predicted[keep], true[keep]])
        ends = [float(both.min()), float(both.max())]
        axes.plot(ends, ends, color=QUIET, linewidth=1, dashes=(3, 3))
        axes.scatter(true[keep], predicted[keep], s=9, color=ACCENT, alpha=0.45, linewidths=0)
        axes.set(xlabel="true", ylabel="predicted")

    return drawn(draw, alt, width=4.6, height=3.7)
