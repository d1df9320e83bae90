"""How the layers do: what is abnormal in sentences, the course of the training, spectra, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report.figures import ACCENT, QUIET, SECOND, drawn
from striate.report.markup import number, plural, table, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from striate.explain.health import Health

ROWS = 12  # of the table, beyond which it is folded away
HEAD = ("layer", "kind", "units", "dead", "saturated", "gradient", "weights", "largest", "rank", "directions")


def health(told: Health, noun: str = "picture") -> str:
    """Lay out the health of a network."""
    found = "".join(f"<li>{text(line, 300)}</li>" for line in told.sentences)
    lead = f'<ul class="warn">{found}</ul>' if found else "<p>Nothing abnormal was found.</p>"
    figures = "".join(
        f"<figure><figcaption>{title}{key}</figcaption>{svg}</figure>"
        for title, key, svg in (_gradients(told, noun), _steps(told), *_spectra(told))
        if svg
    )
    return f'{lead}<div class="two">{figures}</div>{_table(told, noun)}'


def _gradients(told: Health, noun: str) -> tuple[str, str, str]:
    """Draw the gradient of each layer, before the training and after it."""
    from matplotlib.ticker import MaxNLocator

    lines: dict[str, Sequence[Any]] = {}
    if told.records:
        lines["before"] = [layer["gradient"] for layer in told.records[0]["layers"]]
    lines["now"] = [layer.gradient for layer in told.layers]

    def draw(axes: Axes) -> None:
        for values, colour in zip(lines.values(), (SECOND, ACCENT)[-len(lines) :], strict=True):
            y = np.array([value or np.nan for value in values], float)
            axes.plot(np.arange(1, len(y) + 1), y, color=colour, marker="o", markersize=3, linewidth=1.4)
        axes.set(xlabel=f"layer, from the {noun} on")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _logarithmic(axes)

    key = '<br><small><span class="key second">before training</span><span class="key">now</span></small>'
    alt = "Root mean square of the gradient of each layer's weights"
    return "Gradient of each layer", key if told.records else "", drawn(draw, alt)


def _steps(told: Health) -> tuple[str, str, str]:
    """Draw how long a step is beside the weights, over the training."""
    known = [(record["epoch"], _updates(record)) for record in told.records]
    known = [(epoch, updates) for epoch, updates in known if updates]
    if len(known) < 2:
        return "", "", ""

    def draw(axes: Axes) -> None:
        epochs = [epoch for epoch, _ in known]
        axes.fill_between(
            epochs, [min(u) for _, u in known], [max(u) for _, u in known], color=ACCENT, alpha=0.18, lw=0
        )
        axes.plot(epochs, [np.median(u) for _, u in known], color=ACCENT, linewidth=1.8)
        axes.axhline(1e-3, color=QUIET, linewidth=1, dashes=(3, 3))
        axes.set(xlabel="epoch")
        _logarithmic(axes)

    key = "<br><small>a share of the weights; median and range of the layers; dashed: usual</small>"
    return "Length of a step", key, drawn(draw, "Length of a step as a share of the weights, over the epochs")


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)


def _updates(record: Mapping[str, Any]) -> list[float]:
    return [layer["update"] for layer in record["layers"] if layer.get("update")]


def _spectra(told: Health) -> list[tuple[str, str, str]]:
    """Draw how many directions the first and the last layer use: weights, and what they put out."""
    known = [spectra for spectra in told.spectra.values() if spectra.weights and spectra.activations]
    if not known:
        return []
    ends = {SECOND: known[0], ACCENT: known[-1]}

    def weights(axes: Axes) -> None:
        for colour, one in ends.items():
            values = np.array(one.weights) / (one.weights[0] or 1.0)
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.6)
        axes.set(xlabel="direction", ylabel="singular value / largest", ylim=(0, 1.05))

    def activations(axes: Axes) -> None:
        for colour, one in ends.items():
            values = np.cumsum(one.activations)
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.6)
        axes.set(xlabel="direction", ylabel="share of the variance", ylim=(0, 1.05))

    names = [name for name, one in told.spectra.items() if one in (known[0], known[-1])]
    first, last = text(names[0], 30), text(names[-1], 30)
    key = f'<br><small><span class="key second">{first}</span><span class="key">{last}</span></small>'
    return [
        ("Weights", key, drawn(weights, f"Singular values of the weights of {first} and {last}")),
        ("What they put out", key, drawn(activations, f"Variance of what {first} and {last} put out")),
    ]


def _table(told: Health, noun: str) -> str:
    rows = [
        [
            text(one.name, 60),
            text(one.kind),
            f"{one.units:,}",
            "-" if one.dead is None else f"{len(one.dead)}",
            "-" if one.saturated is None else f"{len(one.saturated)}",
            *map(_figure, (one.gradient, one.weight, one.largest, one.rank)),
            f"{told.spectra[one.name].participation:.1f}" if one.name in told.spectra else "-",
        ]
        for one in told.layers
    ]
    caption = (
        f"On {plural(told.pictures, f'held-out {noun}')}. Dead: units whose ReLU is 0 everywhere. Saturated: "
        "units whose tanh or sigmoid is at its ends. Gradient, weights: root mean square. Largest: singular "
        "value. Rank: directions that the weights use. Directions: that the layer’s answers vary in."
    )
    inner = table(HEAD, rows, caption=caption, css="")
    if len(rows) <= ROWS:
        return inner
    return f"<details><summary>The {len(rows)} layers</summary>{inner}</details>"


def _figure(value: float | None) -> str:
    return "-" if value is None else number(float(f"{value:.3g}"))
