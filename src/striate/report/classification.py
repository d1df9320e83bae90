"""How a classifier fares: what it takes for what, class by class, and whether to believe its confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report import figures
from striate.report.markup import percent, scroll, table, text
from striate.training.metrics import Classified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.report.contents import Story
    from striate.report.sprite import Sprite
    from striate.training.metrics import ClassScores, Interval

NUMBERED, DRAWN = 20, 100  # classes up to which the matrix shows its numbers, and up to which it is shown
ROWS, PAIRS = 100, 6


def confusion(story: Story, _sprite: Sprite) -> str:
    """Show which classes are taken for which."""
    scores = story.headline
    if not isinstance(scores, Classified):
        return ""
    counts = np.array(scores.confusion)
    labels = [s.label for s in scores.per_class]
    pairs = _pairs(counts, labels, story.noun)
    if len(labels) > DRAWN:
        note = f"With {len(labels):,} classes the matrix would fill the page; "
        return f'{pairs}<p class="note">{note}<code>striate evaluate --json</code> prints it whole.</p>'
    lead = f"A row is what a {story.noun} is, a column what the network says. Colour: share of the row."
    return f'<p class="note">{lead}</p><div class="beside">{_matrix(counts, labels)}<div>{pairs}</div></div>'


def _pairs(counts: NDArray[Any], labels: list[str], noun: str) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(place), len(labels)) for place in order]
    items = "".join(
        f"<li><b>{text(labels[i], 40)}</b> taken for <b>{text(labels[j], 40)}</b>"
        f"<small>{wrong[i, j]} of {counts[i].sum():,}</small></li>"
        for i, j in places
        if wrong[i, j]
    )
    return (
        f'<h3>Most frequent</h3><ol class="pairs">{items}</ol>' if items else f"<p>Every {noun} is right.</p>"
    )


def _matrix(counts: NDArray[Any], labels: list[str]) -> str:
    # The power lifts rare errors into view, and the constant keeps the rarest visible.
    shares = 0.12 + 0.88 * (counts / np.maximum(counts.sum(1, keepdims=True), 1)) ** 0.6
    top = "".join(f'<th scope="col"><span>{text(label, 40)}</span></th>' for label in labels)
    rows = []
    for i, label in enumerate(labels):
        cells = "".join(
            f"<td{' class=d' if i == j else ''}{f' style=--a:{shares[i, j]:.2f}' if n else ''}>{n or ''}</td>"
            for j, n in enumerate(counts[i].tolist())
        )
        rows.append(f'<tr><th scope="row">{text(label, 40)}</th>{cells}</tr>')
    css = "matrix" if len(labels) <= NUMBERED else "matrix dense"
    return scroll(
        f'<table class="{css}"><thead><tr><td></td>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>',
        "Confusion matrix",
    )


def classes(story: Story, _sprite: Sprite) -> str:
    """List the classes from hardest to easiest."""
    scores = story.headline
    if not isinstance(scores, Classified):
        return ""
    ranked = sorted(scores.per_class, key=lambda s: (s.f1 is None, s.f1))
    left = len(ranked) - ROWS
    lead = (
        f"Accuracy {percent(scores.accuracy)}, balanced accuracy {percent(scores.balanced_accuracy)}, "
        f"macro F1 {percent(scores.macro_f1)}."
    )
    if any(not s.n for s in scores.per_class):
        lead += f" A class without {story.noun}s here has no recall and no F1; the averages leave it out."
    caption = "From hardest to easiest, with 95\xa0% intervals." + (
        f" The {left:,} easiest are left out." if left > 0 else ""
    )
    head = ("Class", f"{story.noun.capitalize()}s", "F1", "", "Precision", "Recall")
    return f"<p>{lead}</p>{table(head, map(_row, ranked[:ROWS]), caption=caption, css='names classes')}"


def _row(s: ClassScores) -> list[str]:
    bar = ""
    if s.f1 is not None and s.f1_interval is not None:
        low, high = s.f1_interval
        bar = (
            f'<span class="range"><i style="left:{100 * low:.1f}%;right:{100 - 100 * high:.1f}%"></i>'
            f'<b style="left:{100 * s.f1:.1f}%"></b></span>'
        )
    f1, precision, recall = (
        _bounded(value, interval)
        for value, interval in (
            (s.f1, s.f1_interval),
            (s.precision, s.precision_interval),
            (s.recall, s.recall_interval),
        )
    )
    return [text(s.label, 60), f"{s.n:,}", f1, bar, precision, recall]


def _bounded(value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return "–"
    return f"{percent(value)} <small>{100 * interval[0]:.0f}–{100 * interval[1]:.0f}</small>"


def calibration(story: Story, _sprite: Sprite) -> str:
    """Show whether the network is as often right as it says."""
    scores = story.headline
    if not isinstance(scores, Classified):
        return ""
    rows = [
        [
            f"{percent(b['low'] or 0.0, 0)} to {percent(b['high'] or 0.0, 0)}",
            f"{b['n']:,}",
            percent(b["confidence"] or 0.0),
            percent(b["accuracy"] or 0.0),
        ]
        for b in scores.bins
        if b["n"]
    ]
    head = ("Confidence", f"{story.noun.capitalize()}s", "Mean confidence", "Accuracy")
    bins = table(head, rows, caption="Bins of equal width; empty ones are left out")
    return (
        f'<div class="two"><div><p>The network is {figures.leaning(scores)}: confidence and accuracy '
        f"differ by <b>{percent(scores.calibration_error)}</b> on average (expected calibration error, "
        f"{len(scores.bins)} bins).</p>"
        f'<p class="note">A dot on the dashed line: of the {story.noun}s it was, say, 80\xa0% sure of, '
        f"80\xa0% were right. Below the line it promises too much. Larger dots hold more {story.noun}s.</p>"
        f"<details><summary>The bins as a table</summary>{bins}</details></div>"
        f"<figure>{figures.calibration(scores)}</figure></div>"
    )
