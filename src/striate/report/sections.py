"""The sections below the result. Each takes the story and gives HTML, or nothing where there is nothing to say."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report import figures
from striate.report.markup import duration, facts, number, percent, plural, scroll, table, text
from striate.report.result import SPLITS
from striate.training.metrics import Classified, Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from striate.report.sprite import Sprite
    from striate.report.contents import Story
    from striate.training.metrics import ClassScores, Interval

MISTAKES, SAMPLES, VARIANTS = 24, 5, 5  # pictures shown
NUMBERED, DRAWN = 20, 100  # classes up to which a confusion matrix shows its numbers, and is shown at all
ROWS = 100  # of a table; the page says what it leaves out


def mistakes(story: Story, sprite: Sprite) -> str:
    """Show where the network is wrong and most sure of it."""
    if not story.mistakes:
        return ""
    items = "".join(
        f"<li>{sprite.thumb(s, f'{s.caption}. {s.detail}')}{text(s.caption)}<small>{text(s.detail, 60)}</small></li>"
        for s in story.mistakes[:MISTAKES]
    )
    lead = (
        "The largest errors."
        if isinstance(story.headline, Measured)
        else "Wrong, and most sure of it. Look for labels that are wrong before blaming the network."
    )
    return f'<p>{lead}</p><ul class="gallery">{items}</ul>'


def confusion(story: Story, _sprite: Sprite) -> str:
    """Show which classes are taken for which."""
    scores = story.headline
    if not isinstance(scores, Classified):
        return ""
    counts = np.array(scores.confusion)
    labels = [s.label for s in scores.per_class]
    pairs = _confused(counts, labels)
    body = f"<p>{pairs}</p>" if pairs else "<p>Every picture was named rightly.</p>"
    if len(labels) > DRAWN:
        return body + (
            f'<p class="note">With {len(labels):,} classes the matrix would fill the page; '
            "<code>striate evaluate --json</code> prints it whole.</p>"
        )
    return body + _matrix(counts, labels)


def _confused(counts: np.ndarray[Any, Any], labels: list[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    worst = [(int(i) // len(labels), int(i) % len(labels)) for i in order]
    said = [
        f"{text(labels[i], 40)} for {text(labels[j], 40)} ({wrong[i, j]} of {counts[i].sum()})"
        for i, j in worst
        if wrong[i, j]
    ]
    return f"Most often taken for another: {'; '.join(said)}." if said else ""


def _matrix(counts: np.ndarray[Any, Any], labels: list[str]) -> str:
    numbered = len(labels) <= NUMBERED
    shares = (counts / np.maximum(counts.sum(1, keepdims=True), 1)) ** 0.6  # lifts the rare errors into view
    top = "".join(f'<th scope="col"><span>{text(label, 40)}</span></th>' for label in labels)
    rows = []
    for i, label in enumerate(labels):
        cells = "".join(
            f"<td{' class=d' if i == j else ''}{f' style=--a:{shares[i, j]:.2f}' if n else ''}>{n or ''}</td>"
            for j, n in enumerate(counts[i].tolist())
        )
        rows.append(f'<tr><th scope="row">{text(label, 40)}</th>{cells}</tr>')
    caption = "Rows: what it is. Columns: what the network says. Colour: share of the row."
    css = "matrix" if numbered else "matrix dense"
    return scroll(
        f'<table class="{css}"><caption>{caption}</caption><thead><tr><th scope="col">true \\ said</th>{top}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>",
        "Confusion matrix",
    )


def classes(story: Story, _sprite: Sprite) -> str:
    """List the classes from hardest to easiest."""
    scores = story.headline
    if not isinstance(scores, Classified):
        return ""
    ranked = sorted(scores.per_class, key=lambda s: (s.f1 is None, s.f1))
    rows = [_class_row(s) for s in ranked[:ROWS]]
    left = len(ranked) - len(rows)
    more = f" The {left:,} easiest are left out." if left > 0 else ""
    lead = (
        f"Macro F1 {percent(scores.macro_f1)}, balanced accuracy {percent(scores.balanced_accuracy)}, "
        f"accuracy {percent(scores.accuracy)}."
    )
    if any(not s.n for s in scores.per_class):
        lead += " A class without a picture in this split has no recall and no F1, and is left out of the averages."
    caption = f"From hardest to easiest, with 95\xa0% intervals.{more}"
    return f"<p>{lead}</p>" + table(
        ("Class", "Pictures", "Precision", "Recall", "F1", ""), rows, caption=caption, css="names"
    )


def _class_row(s: ClassScores) -> list[str]:
    bar = ""
    if s.f1 is not None and s.f1_interval is not None:
        low, high = s.f1_interval
        bar = (
            f'<span class="range" aria-hidden="true"><i style="left:{100 * low:.1f}%;right:{100 - 100 * high:.1f}%"></i>'
            f'<b style="left:{100 * s.f1:.1f}%"></b></span>'
        )
    cells = [
        _bounded(v, i)
        for v, i in (
            (s.precision, s.precision_interval),
            (s.recall, s.recall_interval),
            (s.f1, s.f1_interval),
        )
    ]
    return [text(s.label, 60), f"{s.n:,}", *cells, bar]


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
    bins = table(
        ("Confidence", "Pictures", "Mean confidence", "Accuracy"),
        rows,
        caption="Bins of equal width; empty ones are left out",
    )
    return (
        f'<div class="two"><div><p>The network is {figures.leaning(scores)}: its confidence is off by '
        f"<b>{percent(scores.calibration_error)}</b> on average (expected calibration error, {len(scores.bins)} bins).</p>"
        '<p class="note">A dot on the dashed line means that of the pictures it was, say, 80\xa0% sure of, 80\xa0% were right. '
        "Below the line it promises too much. Larger dots hold more pictures.</p>"
        f"<details><summary>The bins as a table</summary>{bins}</details></div>"
        f"<figure>{figures.calibration(scores)}</figure></div>"
    )


def regression(story: Story, _sprite: Sprite) -> str:
    """Show predictions against the truth."""
    scores = story.headline
    if not isinstance(scores, Measured):
        return ""
    low, high = (number(v) for v in scores.rmse_interval)
    r2 = "not defined, as all true values are equal" if scores.r2 is None else f"{scores.r2:.3f}"
    values = facts(
        {
            "Mean absolute error": number(scores.mae),
            "Root mean squared error": f"{number(scores.rmse)} ({low} to {high})",
            "R²": r2,
        }
    )
    if story.predicted is None or story.true is None or not len(story.true):
        return values
    alt = f"Predicted against true for {plural(len(story.true), 'picture')}: R² {r2}, mean absolute error {number(scores.mae)}."
    return (
        f'<div class="two"><div><p>Every dot is a picture; on the dashed line the prediction is exact.</p>{values}</div>'
        f"<figure>{figures.scatter(np.asarray(story.predicted, float), np.asarray(story.true, float), alt)}</figure></div>"
    )


def curves(story: Story, _sprite: Sprite) -> str:
    """Show how training went: loss, what a person follows, learning rate."""
    if not story.history:
        return ""
    epochs = [line["epoch"] for line in story.history]
    names = list(
        dict.fromkeys(n for line in story.history for part in ("train", "val") for n in line.get(part) or {})
    )
    panels = [_panel(story, epochs, name) for name in sorted(names, key=lambda n: n != "loss")]
    rates = [line.get("lr") for line in story.history]
    known = [r for r in rates if r is not None]
    if known:
        alt = f"The learning rate peaks at {number(max(known))} and ends at {number(known[-1])}."
        panels.append(
            f"<figure><figcaption>Learning rate</figcaption>{figures.curve(epochs, {'lr': rates}, alt)}</figure>"
        )
    keys = '<span class="key second">training</span> <span class="key">validation</span>'
    lead = f"<p>{plural(len(epochs), 'epoch')}. {keys if any(line.get('val') for line in story.history) else ''}</p>"
    return f'{lead}<div class="panels">{"".join(panels)}</div>'


def _panel(story: Story, epochs: list[int], name: str) -> str:
    lines = {part: [(line.get(part) or {}).get(name) for line in story.history] for part in ("train", "val")}
    lines = {part: values for part, values in lines.items() if any(v is not None for v in values)}
    share = name == "accuracy"
    write: Callable[[float], str] = percent if share else number
    known = [v for values in lines.values() for v in values if v is not None]
    said = []
    for part, values in lines.items():
        measured = [(e, v) for e, v in zip(epochs, values, strict=True) if v is not None]
        best = (max if share else min)(measured, key=lambda pair: pair[1])
        said.append(
            f"{SPLITS[part]} {name} goes from {write(measured[0][1])} to {write(measured[-1][1])}, best {write(best[1])} in epoch {best[0]}"
        )
    log = not share and min(known) > 0 and max(known) > 25 * min(known)
    title = {"mae": "Mean absolute error"}.get(name, name.replace("_", " ").capitalize())
    alt = text("; ".join(said).capitalize() + ".", 400)
    return f"<figure><figcaption>{text(title)}{' <small>(log scale)</small>' if log else ''}</figcaption>{figures.curve(epochs, lines, alt, share=share, log=log)}</figure>"


def data(story: Story, _sprite: Sprite) -> str:
    """Say what the check of the data found."""
    check = story.check
    if not check:
        return ""
    parts = []
    warnings = [text(w, 300) for w in check.get("warnings") or []]
    if warnings:
        parts.append(f'<ul class="warn">{"".join(f"<li>{w}</li>" for w in warnings[:ROWS])}</ul>')
    parts.append(_counts(check.get("classes") or {}))
    unreadable = check.get("unreadable") or []
    if unreadable:
        rows = [[text(u["file"]), text(u["reason"])] for u in unreadable[:30]]
        parts.append(f"<h3>{plural(len(unreadable), 'unreadable file')}, left out</h3>")
        parts.append(table(("File", "Reason"), rows, caption=_shown(30, len(unreadable)), css="names"))
    duplicates = check.get("duplicates") or []
    if duplicates:
        rows = [[_files(d["files"]), text(", ".join(map(str, d["splits"])))] for d in duplicates[:30]]
        parts.append(f"<h3>{plural(len(duplicates), 'group')} of the same or nearly the same picture</h3>")
        parts.append(table(("Files", "Splits"), rows, caption=_shown(30, len(duplicates)), css="names"))
    if not unreadable and not duplicates:
        parts.append("<p>Every file could be read, and no picture occurs twice.</p>")
    parts.append(
        facts(
            {"sizes": check.get("sizes"), "kinds of file": check.get("modes")} | (story.run.get("data") or {})
        )
    )
    return "".join(parts)


def _counts(counts: dict[str, Any]) -> str:
    if not counts:
        return ""
    splits = [s for s in ("train", "val", "test") if any(row.get(s) for row in counts.values())]
    rows = [
        [text(name, 60), *(f"{row.get(s) or 0:,}" for s in splits)]
        for name, row in list(counts.items())[:ROWS]
    ]
    head = ("Class", *(SPLITS[s].capitalize() for s in splits))
    inner = table(head, rows, caption=f"Pictures a class and split. {_shown(ROWS, len(counts))}", css="names")
    return (
        inner
        if len(rows) <= 12
        else f"<details><summary>{plural(len(counts), 'class', 'classes')}</summary>{inner}</details>"
    )


def _shown(limit: int, n: int) -> str:
    return f"The first {limit} of {n:,}; <code>striate data</code> lists all." if n > limit else ""


def _files(names: Iterable[Any]) -> str:
    listed = list(names)
    return "<br>".join(text(n) for n in listed[:4]) + (
        f"<br>and {len(listed) - 4:,} more" if len(listed) > 4 else ""
    )


def augmentation(story: Story, sprite: Sprite) -> str:
    """Show training pictures before and after augmentation."""
    if not story.augmented:
        return ""
    rows = "".join(
        f'<div class="after">{sprite.thumb(before, f"{before.caption}, as it is")}<span class="arrow" aria-hidden="true">→</span>'
        + "".join(sprite.thumb(shown, f"{before.caption}, augmented") for shown in after[:VARIANTS])
        + "</div>"
        for before, after in story.augmented[:SAMPLES]
    )
    lead = "What the network sees of a picture: on the left as it is, on the right as it is drawn anew every epoch."
    return f"<p>{lead}</p>{scroll(rows, 'Augmented pictures')}"


def choices(story: Story, _sprite: Sprite) -> str:
    """List what was chosen for the user, and why."""
    if not story.choices:
        return ""
    rows = [[text(name), text(value), text(reason, 300)] for name, value, reason in story.choices]
    return "<p>Not asked for, so chosen from the data and this machine.</p>" + table(
        ("Setting", "Value", "Because"), rows, caption="", css="choices"
    )


def recipe(story: Story, _sprite: Sprite) -> str:
    """Print the recipe and where it ran."""
    run = story.run
    body = ""
    if story.recipe:
        body = (
            "<p>Everything that was asked, settled. <code>striate train --recipe recipe.toml</code> repeats it.</p>"
            f"<details><summary>recipe.toml</summary><pre>{text(story.recipe, 20_000)}</pre></details>"
        )
    where = (
        dict(run.get("hardware") or {})
        if isinstance(run.get("hardware"), dict)
        else {"hardware": run.get("hardware")}
    )
    seconds = run.get("seconds")
    where["time"] = duration(seconds) if isinstance(seconds, (int, float)) else None
    return (
        body
        + "<h3>Machine and versions</h3>"
        + facts(where | {"versions": run.get("versions")})
        + "<h3>From file to network</h3>"
        + facts(run.get("preprocess") or {})
    )


def usage(story: Story, _sprite: Sprite) -> str:
    """Say how to use the network, in commands that can be copied."""
    run = str(story.run.get("run") or "RUN")
    where = shlex.quote(run)
    python = f'import striate\n\nrun = striate.load({run!r})\nrun.predict(["picture.jpg"])'
    return (
        f"<p>In a terminal:</p><pre>{text(f'striate predict {where} picture.jpg', 2000)}\n"
        f"{text(f'striate predict {where} folder/ --csv answers.csv', 2000)}\n"
        f"{text(f'striate evaluate {where} DATA', 2000)}</pre>"
        f"<p>In Python:</p><pre>{text(python, 2000)}</pre>"
        "<p>The run's own preprocessing is applied; give it the files as they are.</p>"
    )
