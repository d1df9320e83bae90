"""One self-contained page of the labels that cross-validation does not believe, each with its picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate import files
from striate.report.layout import laid_out
from striate.report.markup import noun_of, number, percent, plural, table, text
from striate.report.sprite import Sprite
from striate.training.metrics import Classified

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from striate.report.contents import Scores, Shown

SHOWN, PAIRS = 100, 12  # pictures, and pairs of classes
MANY = 0.2  # of all labels: more suspects than a data set has wrong labels


@dataclass(frozen=True, eq=False)
class Doubts:
    """What the page shows.

    info: the first run's run.json.   runs: name and test figures of each.   scores: of all pictures, each
    answered by a network that was not trained on it.   shown: the first suspects.   doubts: label and
    suggestion of each suspect.
    """

    name: str
    info: Mapping[str, Any]
    runs: list[tuple[str, Mapping[str, float]]]
    scores: Scores
    shown: list[Shown]
    doubts: list[tuple[str, str]]


def write(path: Path, told: Doubts) -> None:
    """Write the page, whole or not at all. Raises StriateError when the disk is full."""
    files.write_text(path, page(told))


def page(told: Doubts) -> str:
    """Lay out the whole page as HTML."""
    sprite = Sprite(told.shown[:SHOWN])
    parts = [
        ("suspects", "Suspects", "Labels to look at", _gallery(told, sprite)),
        ("pairs", "Pairs", "Which labels are doubted", _pairs(told)),
        ("folds", "Folds", "Fold by fold", _folds(told)),
    ]
    data = (told.info.get("data") or {}).get("name", "")
    return laid_out(
        title=f"{told.name} – Striate suspected labels",
        kicker="Striate suspected labels",
        name=told.name,
        lead=text(f"{told.info.get('model')} on {data}, {plural(len(told.runs), 'fold')}"),
        result=_result(told),
        parts=[part for part in parts if part[-1]],
        sprite=sprite,
        versions=told.info.get("versions") or {},
    )


def _result(told: Doubts) -> str:
    scores, count = told.scores, len(told.doubts)
    name, value = scores.headline
    figure = percent if isinstance(scores, Classified) else number
    low, high = map(figure, scores.interval)
    noun = noun_of(told.info)
    many = plural(scores.n, noun)
    why = "A label is a suspect where the network contradicts it as surely as it usually agrees."
    if not isinstance(scores, Classified):
        why = "A number is a suspect where the network is off by far more than it usually is."
    return (
        '<section class="result" id="result" aria-label="Result">'
        f'<p class="figure">{count:,}</p>'
        f'<p class="what">{"label" if count == 1 else "labels"} of {many} to look at</p>'
        f'<p class="interval">{figure(value)} {name} out of fold, 95\xa0% interval {low} to {high}</p>'
        f'<div class="words"><p>Each {noun} was answered by a network that was not trained on it. {why} '
        f"Such a label is wrong, or its {noun} is hard. Nothing was changed: only a person who looks can "
        f"tell.</p>{_weak(told)}</div></section>"
    )


def _weak(told: Doubts) -> str:
    """Warn where the doubts say more of the network than of the labels."""
    if len(told.doubts) <= MANY * told.scores.n:
        return ""
    return (
        '<p class="warn">So many doubts say more of the network than of the labels: train it longer, or '
        "start it from weights, before you trust this list.</p>"
    )


def _gallery(told: Doubts, sprite: Sprite) -> str:
    if not told.shown:
        return "<p>No label is doubted.</p>"
    shown = told.shown[:SHOWN]
    items = "".join(
        f"<li>{sprite.thumb(s, f'{s.caption} {s.detail}')}{text(s.caption)}"
        f"<small>{text(s.detail, 60)}</small></li>"
        for s in shown
    )
    rest = len(told.doubts) - len(shown)
    more = f" The other {rest:,} are in <code>suspects.csv</code>." if rest > 0 else ""
    lead = f"The most suspicious first: its label, then what the network says.{more}"
    return f'<p>{lead}</p><ul class="gallery">{items}</ul>'


def _pairs(told: Doubts) -> str:
    """Count what is doubted for what; numbers have no pairs."""
    if not isinstance(told.scores, Classified) or not told.doubts:
        return ""
    common = Counter(told.doubts).most_common(PAIRS)
    rows = [[text(label, 60), text(suggested, 60), f"{count:,}"] for (label, suggested), count in common]
    return table(("Label", "Suggested", "Suspects"), rows, caption="The most frequent first")


def _folds(told: Doubts) -> str:
    names = list(told.runs[0][1])
    heads = [text(name.replace("_", " ")) for name in names]
    rows = [[text(run), *(number(figures[name]) for name in names)] for run, figures in told.runs]
    return table(
        ("Fold", *heads), rows, caption=f"Each network on the {noun_of(told.info)}s it was not trained on"
    )
