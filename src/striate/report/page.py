"""One self-contained page about a run: no script, nothing loaded from elsewhere, under 3 MB."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from striate import files
from striate.report import classification, course, sections
from striate.report.markup import duration, number, percent, text
from striate.report.result import SPLITS, result
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from pathlib import Path

    from striate.report.contents import Story

# Anchor, the word in the list of contents, heading, and the function that writes the section.
ORDER = (
    ("confusion", "Confusion", "What is taken for what", classification.confusion),
    ("classes", "Classes", "Class by class", classification.classes),
    ("regression", "Predictions", "Predicted against true", course.regression),
    ("mistakes", "Mistakes", "Worst mistakes", sections.mistakes),
    ("calibration", "Calibration", "Can its confidence be believed?", classification.calibration),
    ("training", "Training", "How training went", course.curves),
    ("data", "Data", "What the data check found", sections.data),
    ("augmentation", "Augmentation", "Before and after augmentation", sections.augmentation),
    ("choices", "Choices", "What was chosen, and why", sections.choices),
    ("recipe", "Recipe", "Recipe and machine", sections.recipe),
    ("usage", "Use it", "How to use it", sections.usage),
)


def write(path: Path, story: Story) -> None:
    """Write the report of a run, whole or not at all.

    Raises StriateError when the disk is full or the folder cannot be written.
    """
    files.write_text(path, page(story))


def page(story: Story) -> str:
    """Lay out the whole page as HTML."""
    shown = story.mistakes[: sections.MISTAKES]
    for before, after in story.augmented[: sections.SAMPLES]:
        shown = [*shown, before, *after[: sections.VARIANTS]]
    sprite = Sprite(shown)
    told = [(key, word, title, section(story, sprite)) for key, word, title, section in ORDER]
    parts = [part for part in told if part[-1]]
    name = _name(story.run)
    return Template(_template("page.html")).substitute(
        title=text(f"{name} – Striate run report"),
        style=_template("page.css"),
        sprite=sprite.css(),
        name=text(name),
        lead=_lead(story.run),
        result=result(story),
        contents="".join(f'<a href="#{key}">{word}</a>' for key, word, _, _ in parts),
        sections="\n".join(
            f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{title}</h2>{body}</section>'
            for key, _, title, body in parts
        ),
        footer=text(
            f"Written by striate {(story.run.get('versions') or {}).get('striate', '')}".strip() + "."
        ),
    )


def snippet(run: dict[str, Any]) -> str:
    """Show a run in a notebook: its figures on one small card, in the notebook's own colours.

    run: what run.json holds.
    """
    scores = run.get("metrics") or {}
    split = next((name for name in ("test", "val") if scores.get(name)), None)
    cells = {"model": text(run.get("model", "?"), 60)}
    for key, value in (scores[split] if split else {}).items():
        share = "accuracy" in key or key in {"macro_f1", "calibration_error"}
        cells[key.replace("_", " ")] = percent(value) if share else number(value)
    if run.get("seconds"):
        cells["time"] = duration(run["seconds"])
    shown = "".join(
        f'<div><div style="opacity:.7;font-size:12px">{text(label)}</div>{value}</div>'
        for label, value in cells.items()
    )
    on = f' <span style="opacity:.7">on {SPLITS[split]} pictures</span>' if split else ""
    return (
        '<div style="display:inline-block;max-width:100%;border:1px solid #8886;border-radius:8px;'
        f'padding:12px 16px"><strong>{text(_name(run))}</strong>{on}'
        f'<div style="display:flex;flex-wrap:wrap;gap:8px 24px;margin-top:8px">{shown}</div></div>'
    )


def _name(run: dict[str, Any]) -> str:
    return str(run.get("run") or "run").replace("\\", "/").rstrip("/").rpartition("/")[2] or "run"


def _lead(run: dict[str, Any]) -> str:
    data = run.get("data")
    source = data.get("name") if isinstance(data, dict) else data
    words = [text(word) for word in (run.get("model"), f"trained on {source}" if source else "") if word]
    created = text(str(run.get("created") or "").replace("T", " ")[:16])
    return " ".join(words) + (f", {created}" if created else "")


def _template(name: str) -> str:
    return (resources.files("striate.report") / "templates" / name).read_text(encoding="utf-8")
