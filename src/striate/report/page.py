"""One self-contained page about a run: no script, nothing loaded from elsewhere, under 3 MB."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from striate import files
from striate.report import sections
from striate.report.markup import duration, number, percent, text
from striate.report.result import result
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from pathlib import Path

    from striate.report.contents import Story

ORDER = (
    ("confusion", "What is taken for what", sections.confusion),
    ("classes", "Class by class", sections.classes),
    ("regression", "Predicted against true", sections.regression),
    ("mistakes", "Worst mistakes", sections.mistakes),
    ("calibration", "Can its confidence be believed?", sections.calibration),
    ("training", "How training went", sections.curves),
    ("data", "What the data check found", sections.data),
    ("augmentation", "Augmentation", sections.augmentation),
    ("choices", "What was chosen, and why", sections.choices),
    ("recipe", "Recipe and machine", sections.recipe),
    ("usage", "How to use it", sections.usage),
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
    parts = [(key, title, section(story, sprite)) for key, title, section in ORDER]
    name = _name(story.run)
    return Template(_template("page.html")).substitute(
        title=text(f"{name} – Striate run report"),
        style=_template("page.css"),
        sprite=sprite.css(),
        name=text(name),
        lead=_lead(story.run),
        result=result(story),
        contents="".join(f'<a href="#{key}">{title}</a>' for key, title, body in parts if body),
        sections="\n".join(
            f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{body}</section>'
            for key, title, body in parts
            if body
        ),
        footer=text(
            f"Written by striate {(story.run.get('versions') or {}).get('striate', '')}".strip() + "."
        ),
    )


def snippet(run: dict[str, Any]) -> str:
    """Show a run in a notebook: its figures on one small card, in the notebook's own colours."""
    scores = run.get("metrics") or {}
    split = next((s for s in ("test", "val") if scores.get(s)), None)
    cells = []
    for key, value in (scores[split] if split else {}).items():
        if isinstance(value, (int, float)):
            share = "accuracy" in key or key in {"macro_f1", "calibration_error"}
            cells.append((key.replace("_", " "), percent(value) if share else number(value)))
    cells.append(("model", text(run.get("model", "?"), 60)))
    if isinstance(run.get("seconds"), (int, float)):
        cells.append(("time", duration(run["seconds"])))
    row = "".join(
        f'<div><div style="opacity:.7;font-size:12px">{text(label)}</div><div>{value}</div></div>'
        for label, value in cells
    )
    on = (
        f' <span style="opacity:.7">on its {"test" if split == "test" else "validation"} pictures</span>'
        if split
        else ""
    )
    return (
        '<div style="display:inline-block;border:1px solid #8886;border-radius:8px;padding:12px 16px;max-width:100%">'
        f"<div><strong>{text(_name(run))}</strong>{on}</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:8px 24px;margin-top:8px">{row}</div></div>'
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
