"""One self-contained page about a run: no script, nothing loaded from elsewhere, under 3 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import files
from striate.report import classification, course, rebuilt, robustness, sections
from striate.report.inside.sections import section as inside
from striate.report.layout import laid_out
from striate.report.markup import text
from striate.report.result import result
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from pathlib import Path

    from striate.report.contents import Story


def _inside(story: Story, _sprite: Sprite) -> str:
    return inside(story.inside) if story.inside else ""


def _rebuilt(story: Story, _sprite: Sprite) -> str:
    return rebuilt.strips(story.rebuilt) if story.rebuilt else ""


def _codes(story: Story, _sprite: Sprite) -> str:
    return rebuilt.mapped(story.rebuilt.maps, story.rebuilt.code) if story.rebuilt else ""


# Anchor, the word in the list of contents, heading, and the function that writes the section.
ORDER = (
    ("rebuilt", "Reconstructions", "What comes back from the code", _rebuilt),
    ("codes", "Codes", "Where the codes lie", _codes),
    ("confusion", "Confusion", "What is taken for what", classification.confusion),
    ("classes", "Classes", "Class by class", classification.classes),
    ("regression", "Predictions", "Predicted against true", course.regression),
    ("mistakes", "Mistakes", "Worst mistakes", sections.mistakes),
    ("inside", "Inside", "What it looks at", _inside),
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


def _name(run: dict[str, Any]) -> str:
    return str(run.get("run") or "run").replace("\\", "/").rstrip("/").rpartition("/")[2] or "run"


def _lead(run: dict[str, Any]) -> str:
    data = run.get("data")
    source = data.get("name") if isinstance(data, dict) else data
    words = [text(word) for word in (run.get("model"), f"trained on {source}" if source else "") if word]
    created = text(str(run.get("created") or "").replace("T", " ")[:16])
    return " ".join(words) + (f", {created}" if created else "")
