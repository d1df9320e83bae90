"""One self-contained page about a run: no script, nothing loaded from elsewhere, under 3 MB."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from striate import files
from striate.report import classification, course, robustness, sections
from striate.report.markup import text
from striate.report.result import result
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from striate.report.contents import Story

# Anchor, the word in the list of contents, heading, and the function that writes the section.
ORDER = (
    ("confusion", "Confusion", "What is taken for what", classification.confusion),
    ("classes", "Classes", "Class by class", classification.classes),
    ("regression", "Predictions", "Predicted against true", course.regression),
    ("mistakes", "Mistakes", "Worst mistakes", sections.mistakes),
    ("inside", "Inside", "What it looks at", sections.inside),
    ("calibration", "Calibration", "Can its confidence be believed?", classification.calibration),
    ("stress", "Robustness", "Where it breaks", robustness.section),
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
    name = _name(story.run)
    return laid_out(
        title=f"{name} – Striate run report",
        kicker="Striate run report",
        name=name,
        lead=_lead(story.run),
        result=result(story),
        parts=[part for part in told if part[-1]],
        sprite=sprite,
        versions=story.run.get("versions") or {},
    )


def laid_out(
    *,
    title: str,
    kicker: str,
    name: str,
    lead: str,
    result: str,
    parts: Sequence[tuple[str, str, str, str]],
    sprite: Sprite,
    versions: Mapping[str, Any],
) -> str:
    """Fill the template of a page. title, kicker and name are text, lead and result HTML already.

    parts: anchor, the word in the list of contents, heading and HTML of each section.
    """
    return Template(_template("page.html")).substitute(
        title=text(title),
        style=_template("page.css"),
        sprite=sprite.css(),
        kicker=text(kicker),
        name=text(name),
        lead=lead,
        result=result,
        contents="".join(f'<a href="#{key}">{word}</a>' for key, word, _, _ in parts),
        sections="\n".join(
            f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{heading}</h2>{body}</section>'
            for key, _, heading, body in parts
        ),
        footer=text(f"Written by striate {versions.get('striate', '')}".strip() + "."),
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
