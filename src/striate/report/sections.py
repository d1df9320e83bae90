"""What went in and how to go on: pictures, the data check, choices, recipe, commands.

A section takes the story and gives HTML, or nothing where there is nothing to say.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from striate.report.markup import facts, plural, scroll, table, text
from striate.report.result import SPLITS
from striate.training.metrics import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.report.contents import Shown, Story
    from striate.report.sprite import Sprite

MISTAKES, SAMPLES, VARIANTS = 24, 5, 5  # pictures shown
CLASSES, FILES = 100, 30  # rows shown
EXAMPLES = {"sound": "recording.wav", "symbols": "sequences.txt", "series": "series.csv"}  # of a file


def mistakes(story: Story, sprite: Sprite) -> str:
    """Show where the network is wrong and most sure of it."""
    if not story.mistakes:
        return ""
    items = "".join(
        f"<li>{sprite.thumb(s, f'{s.caption}. {s.detail}')}{text(s.caption)}"
        f"<small>{text(s.detail, 44)}</small></li>"
        for s in story.mistakes[:MISTAKES]
    )
    lead = "Wrong, and most sure of it. Some of these labels may themselves be wrong."
    if isinstance(story.headline, Measured):
        lead = "Furthest off first. Some of these labels may themselves be wrong."
    return f'<p>{lead}</p><ul class="gallery">{items}</ul>'


def augmentation(story: Story, sprite: Sprite) -> str:
    """Show training pictures before and after augmentation."""
    if not story.augmented:
        return ""
    rows = "".join(_row(before, after, sprite, story.noun) for before, after in story.augmented[:SAMPLES])
    lead = f"Left, a {story.noun} as it is; right, as the network sees it, drawn anew every epoch."
    return f"<p>{lead}</p>{scroll(rows, f'Augmented {story.noun}s')}"


def _row(before: Shown, after: list[Shown], sprite: Sprite, noun: str) -> str:
    name = before.caption or f"training {noun}"
    variants = "".join(sprite.thumb(shown, f"{name}, augmented") for shown in after[:VARIANTS])
    arrow = '<span class="arrow" aria-hidden="true">→</span>'
    return f'<div class="after">{sprite.thumb(before, f"{name}, as it is")}{arrow}{variants}</div>'


def data(story: Story, _sprite: Sprite) -> str:
    """Say what the check of the data found."""
    check = story.check
    if not check:
        return ""
    warnings = "".join(f"<li>{text(line, 300)}</li>" for line in (check.get("warnings") or [])[:FILES])
    unreadable, duplicates = check.get("unreadable") or [], check.get("duplicates") or []
    broken = [[text(entry["file"]), text(entry["reason"])] for entry in unreadable[:FILES]]
    twins = [
        [_files(entry), "the same" if entry.get("exact") else "nearly the same"]
        for entry in duplicates[:FILES]
    ]
    clean = (
        ""
        if unreadable or duplicates
        else f"<p>Every file could be read, and no {story.noun} occurs twice.</p>"
    )
    sizes = {
        what + (", pixels" if what in {"width", "height"} else ""): f"{low:,} to {high:,}, median {middle:,}"
        for what, (low, middle, high) in (check.get("sizes") or {}).items()
    }
    data = dict(story.run.get("data") or {})
    parts = {data.pop("noun", "pictures"): data.pop("pictures", None)}
    about = sizes | {"kinds of file": check.get("modes")} | data | parts
    return (
        (f'<ul class="warn">{warnings}</ul>' if warnings else "")
        + clean
        + _counts(check.get("classes") or {}, story.noun)
        + _listed(
            f"{plural(len(unreadable), 'unreadable file')}, left out", ("File", "Reason"), broken, unreadable
        )
        + _listed(
            plural(len(duplicates), "group") + f" of equal or nearly equal {story.noun}s",
            ("Files", "How equal"),
            twins,
            duplicates,
        )
        + facts(about)
    )


def _counts(counts: dict[str, dict[str, int]], noun: str) -> str:
    if not counts:
        return ""
    splits = [split for split in SPLITS if any(row.get(split) for row in counts.values())]
    splits.sort(key=["train", "val", "test"].index)
    rows = [
        [text(name, 60), *(f"{row.get(split) or 0:,}" for split in splits)]
        for name, row in list(counts.items())[:CLASSES]
    ]
    head = ("Class", *(SPLITS[split].capitalize() for split in splits))
    inner = table(head, rows, caption=f"{noun.capitalize()}s per class and split. {_first(CLASSES, counts)}")
    if len(rows) <= 12:
        return inner
    return f"<details><summary>{noun.capitalize()}s of the {len(counts):,} classes</summary>{inner}</details>"


def _listed(title: str, head: Sequence[str], rows: list[list[str]], everything: Sequence[Any]) -> str:
    return f"<h3>{title}</h3>{table(head, rows, caption=_first(FILES, everything))}" if rows else ""


def _first(limit: int, everything: Sequence[Any] | dict[str, Any]) -> str:
    n = len(everything)
    return f"The first {limit} of {n:,}; <code>striate data</code> lists all." if n > limit else ""


def _files(entry: dict[str, Any]) -> str:
    names, splits = entry["files"], entry["splits"]
    more = f"<br>and {len(names) - 4:,} more" if len(names) > 4 else ""
    pairs = list(zip(names, splits, strict=True))[:4]
    return "<br>".join(f"{text(name)} <small>{text(split)}</small>" for name, split in pairs) + more


def choices(story: Story, _sprite: Sprite) -> str:
    """List what was chosen for the user, and why."""
    if not story.choices:
        return ""
    rows = [[text(name), text(value), text(reason, 300)] for name, value, reason in story.choices]
    lead = "Settings that nobody asked for, so that they follow from the data and this machine."
    return f"<p>{lead}</p>{table(('Setting', 'Value', 'Because'), rows, caption='', css='')}"


def recipe(story: Story, _sprite: Sprite) -> str:
    """Print the recipe and where it ran."""
    run = story.run
    asked = (
        "<p>Everything that was asked. <code>striate train --recipe recipe.toml</code> repeats it.</p>"
        f"<details><summary>recipe.toml</summary><pre>{text(story.recipe, 20_000)}</pre></details>"
    )
    tables = {
        "From file to network": run.get("preprocess"),
        "Machine": run.get("hardware"),
        "Versions": run.get("versions"),
    }
    return asked + "".join(f"<h3>{title}</h3>{facts(values)}" for title, values in tables.items() if values)


def usage(story: Story, _sprite: Sprite) -> str:
    """Say how to use the network, in commands that can be copied."""
    run = str(story.run.get("run") or "RUN")
    name = shlex.quote(run)
    file = EXAMPLES.get(str((story.run.get("data") or {}).get("modality")), "picture.jpg")
    shell = (
        f"striate predict {name} {file}\n"
        f"striate predict {name} folder/ --csv answers.csv\n"
        f"striate evaluate {name} DATA"
    )
    python = f"import striate\n\nrun = striate.load({run!r})\nrun.predict([{file!r}])"
    if story.run.get("task") == "reconstruction":
        shell = (
            f"striate encode {name} folder/ --out codes.npz --html codes.html\n"
            f"striate reconstruct {name} folder/ --html reconstruct.html\n"
            f"striate evaluate {name} DATA"
        )
        python = (
            f'import striate\n\nrun = striate.load({run!r})\ncodes = striate.encode(run, "folder/").codes'
        )
    if story.run.get("task") == "next-step":  # which predicts no class and no number
        shell = f"striate evaluate {name} DATA\nstriate encode {name} DATA --out codes.npz"
        python = f"import striate\n\nrun = striate.load({run!r})\nscores = striate.evaluate(run, 'DATA')"
    return (
        "<p>Give it files as they are: the run's own preprocessing is applied.</p>"
        f"<pre>{text(shell, 4000)}</pre><p>The same from Python:</p><pre>{text(python, 4000)}</pre>"
    )
