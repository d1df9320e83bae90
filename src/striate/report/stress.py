"""A page of where a network breaks: the verdict, a curve for each distortion, the corruptions, the places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate import __version__, files
from striate.report.contents import Shown
from striate.report.layout import laid_out
from striate.report.markup import duration, number, percent, scroll, text
from striate.report.robustness import legend, name_of, panel, title
from striate.report.sprite import Sprite
from striate.stress.verdict import at_its_worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from striate.stress.measure import Curves, Point
    from striate.stress.result import Robustness, Stressed

DRAWN_TOO = ("brightness", "contrast")  # published corruptions that are curves of the decks as well


def write(path: Path, found: Stressed) -> None:
    """Write the page, whole or not at all. Raises StriateError when the disk is full."""
    files.write_text(path, page(found))


def page(found: Stressed) -> str:
    """Lay out the whole page as HTML."""
    shown = {(one.name, one.level): Shown(one.picture, title(one.name)) for one in found.examples}
    sprite = Sprite(list(shown.values()))
    parts = [
        ("curves", "Curves", "How fast it falls", _curves(found, shown, sprite)),
        ("corruptions", "Corruptions", "Fifteen corruptions", _corruptions(found, shown, sprite)),
        ("places", "Places", "Where it must not be covered", _places(found.own)),
    ]
    name = name_of(found.own.name)
    return laid_out(
        title=f"{name} – Striate stress",
        kicker="Striate stress",
        name=name,
        lead=_lead(found),
        result=_result(found),
        parts=[part for part in parts if part[-1]],
        sprite=sprite,
        versions={"striate": __version__},
    )


def _lead(found: Stressed) -> str:
    n = found.own.measured.clean.n
    of = f" of {found.total:,}" if n < found.total else ""
    split = f", {text(found.split)}" if found.split else ""
    beside = f"; beside {text(found.other.name, 60)}" if found.other else ""
    return (
        f"{n:,}{of} {found.noun}s of {text(found.data, 60)}{split}{beside}; seed {found.seed}, "
        f"{duration(found.seconds)}"
    )


def _result(found: Stressed) -> str:
    clean = found.own.measured.clean
    low, high = map(percent, clean.interval)
    sentences = "".join(f"<p>{text(line, 600)}</p>" for line in found.verdict)
    return (
        '<section class="result" id="result" aria-label="Result">'
        f'<p class="figure">{percent(clean.accuracy)}</p>'
        f'<p class="what">of the {found.noun}s right as they are</p>'
        f'<p class="interval">95\xa0% interval {low} to {high}</p>'
        f'<div class="words">{sentences}</div>{_steady(found)}</section>'
    )


def _steady(found: Stressed) -> str:
    """Say how often an answer stays when the picture is moved, and how many errors another makes."""
    said = []
    if found.own.consistency is not None:
        beside = found.other.consistency if found.other else None
        said.append(
            f"Shift consistency {_with_interval(found.own.consistency)}"
            + (f", compared {_with_interval(beside)}" if beside else "")
            + ": how often two places of a picture, each within an eighth of its side, get the same answer."
        )
    if found.relative is not None and found.relative.mean is not None and found.other is not None:
        more = "" if found.relative.relative is None else f", relative {found.relative.relative:.2f}"
        said.append(
            f"Mean corruption error (CE) {found.relative.mean:.2f}{more}: above 1 is more errors than "
            f"{text(name_of(found.other.name))} makes."
        )
    return "".join(f'<p class="note" style="margin-top:18px">{line}</p>' for line in said)


def _with_interval(point: Point) -> str:
    low, high = point.interval
    return f"{percent(point.accuracy)} ({percent(low)} to {percent(high)})"


def _curves(found: Stressed, shown: dict[tuple[str, float], Shown], sprite: Sprite) -> str:
    own, other = found.own.measured, found.other.measured if found.other else None
    panels = []
    for name, curve in own.curves.items():
        if curve.published and name not in DRAWN_TOO:
            continue
        levels = [curve.points[len(curve.points) // 2].level, curve.points[-1].level]
        panels.append(panel(curve, own, other, _thumbs(name, levels, shown, sprite)))
    left_out = "".join(f"<p>Left out: {title(key)}: {text(why)}.</p>" for key, why in own.skipped.items())
    if not panels:
        return left_out
    lead = f"The band is the 95\xa0% interval; below, a {found.noun} at the curve's middle and last level."
    return f'<p>{lead}</p>{legend(found.other)}<div class="panels">{"".join(panels)}</div>{left_out}'


def _thumbs(name: str, levels: Sequence[float], shown: dict[tuple[str, float], Shown], sprite: Sprite) -> str:
    found = [
        sprite.thumb(shown[name, level], f"{title(name)} at {level:g}")
        for level in levels
        if (name, level) in shown
    ]
    return f'<div class="after">{"".join(found)}</div>' if found else ""


def _corruptions(found: Stressed, shown: dict[tuple[str, float], Shown], sprite: Sprite) -> str:
    own = found.own.measured
    names = [name for name, curve in own.curves.items() if curve.published]
    if not names:
        return ""
    lead = (
        "The corruptions of Hendrycks and Dietterich (2019) at five severities: accuracy in per cent, the "
        "stronger the colour, the more of it is lost. Computed here, on these pictures, "
        "not the official files: the numbers cannot be compared with published ones."
    )
    tables = [_table(own, names, found.relative.each if found.relative else {}, "This run")]
    if found.other is not None:
        tables.append(_table(found.other.measured, names, {}, text(name_of(found.other.name))))
    items = "".join(
        f"<li>{sprite.thumb(shown[name, 3], f'{title(name)} at severity 3')}{title(name)}</li>"
        for name in names
        if (name, 3) in shown
    )
    gallery = f'<h3>At severity 3</h3><ul class="gallery">{items}</ul>' if items else ""
    return f'<p>{lead}</p><div class="beside">{"".join(tables)}</div>{gallery}'


def _table(found: Curves, names: Iterable[str], errors: dict[str, float | None], caption: str) -> str:
    head = [*"12345", *(["CE"] if errors else [])]
    rows = []
    for name in names:
        if name not in found.curves:
            continue
        cells = [_cell(point.accuracy, found.clean.accuracy) for point in found.curves[name].points]
        if errors:
            value = errors.get(name)
            cells.append(f"<td>{'–' if value is None else number(round(value, 2))}</td>")
        rows.append((title(name), cells))
    return _heat(head, rows, caption)


def _cell(accuracy: float, clean: float) -> str:
    lost = min(1.0, max(0.0, 1 - accuracy / clean)) if clean else 0.0
    return f"<td style=--a:{lost:.2f}>{100 * accuracy:.0f}</td>"


def _heat(head: Sequence[str], rows: Iterable[tuple[str, list[str]]], caption: str) -> str:
    top = "".join(f'<th scope="col">{word}</th>' for word in head)
    body = "".join(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>' for name, cells in rows)
    return scroll(
        f'<table class="matrix"><caption>{caption}</caption><thead><tr><td></td>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table>",
        caption,
    )


def _places(own: Robustness) -> str:
    places = own.places
    if places is None:
        return ""
    clean = own.measured.clean
    lead = (
        f"A square of {places.share:.0%} of the side, in the picture's mean colour, at each of 25 places; "
        "the table lies as the picture does. Accuracy in per cent."
    )
    worst = at_its_worst(clean, places, own.classes) or "No place costs more than the sample can tell."
    rows = [("", [_cell(float(value), clean.accuracy) for value in line]) for line in places.accuracy]
    grid = _heat([""] * len(rows), rows, "Accuracy with the place covered")
    return f'<p>{lead}</p><div class="beside">{grid}<div><p>{text(worst, 300)}</p></div></div>'
