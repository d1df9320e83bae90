"""Pictures as dots in the plane, one colour and one shape a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from striate.report.figures import INK, QUIET, drawn
from striate.report.markup import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from striate.report.inside.contents import Points

# Told apart by people with any colour vision, and on light and dark paper; after eight the shape changes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c6bb1")
SHAPES, DRAWN = "os^Dv", "●■▲◆▼"
NAMED, SHORT = 40, 16  # classes that are named; letters of a name that has room in the figure


def points(told: Points, noun: str = "picture") -> str:
    """Draw the dots."""

    def draw(axes: Axes) -> None:
        for group in np.unique(told.groups).tolist():
            x, y = told.places[told.groups == group].T
            shape = SHAPES[group // len(COLOURS) % len(SHAPES)]
            axes.scatter(x, y, s=11, color=COLOURS[group % len(COLOURS)], marker=shape, linewidths=0)
        for group in np.unique(told.groups).tolist() if told.labelled else []:
            name = told.names[group]
            if not (name.isascii() and name.isprintable() and len(name) <= SHORT):
                continue  # the font may not have it
            x, y = told.places[told.groups == group].T
            above = (np.median(x), np.quantile(y, 0.95))
            axes.text(*above, name, color=INK, ha="center", va="bottom", zorder=3)
        axes.set_title(told.title, color=QUIET, fontsize=10, loc="left")
        axes.grid(visible=False)
        axes.set(xticks=[], yticks=[])
        axes.spines["bottom"].set_visible(False)

    named = ", ".join(told.names[:NAMED])
    alt = text(f"{told.title}: {len(told.places)} {noun}s of the classes {named}", 240)
    return drawn(draw, alt, width=4.6, height=3.7)


def key(told: Points) -> str:
    """Say which dots are which class."""
    marks = "".join(
        f'<li><span style="color:{COLOURS[group % len(COLOURS)]}" aria-hidden="true">'
        f"{DRAWN[group // len(COLOURS) % len(DRAWN)]}</span> {text(told.names[group], 40)}</li>"
        for group in np.unique(told.groups).tolist()[:NAMED]
    )
    return f'<ul class="marks">{marks}</ul>'
