"""One self-contained page of what was found inside a network: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import files
from striate.report.heat import LARGE
from striate.report.inside import sections
from striate.report.inside.looked import looked
from striate.report.layout import laid_out
from striate.report.markup import text
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from striate.report.inside.contents import Looked, Network

# Anchor, the word in the list of contents, heading, and the function that writes the section.
ORDER = (
    ("kernels", "Kernels", "What it looks for first", sections.filters),
    ("maps", "Feature maps", "What its layers make of a picture", sections.layers),
    ("units", "Units", "What excites single units", sections.units),
    ("mistakes", "Mistakes", "Mistakes, explained", sections.mistakes),
    ("map", "Data", "How it sees the data", sections.embedding),
    ("health", "Health", "Is it well?", sections.health),
)
FEW = 3  # pictures on a page, beyond which their maps are drawn smaller: a page stays under 3 MB


def write(path: Path, info: Mapping[str, Any], pictures: Sequence[Looked], network: Network) -> None:
    """Write the page, whole or not at all. Raises StriateError when the disk is full."""
    files.write_text(path, page(info, pictures, network))


def page(info: Mapping[str, Any], pictures: Sequence[Looked], network: Network) -> str:
    """Lay out the whole page as HTML. info: what run.json holds."""
    side = LARGE if len(pictures) <= FEW else LARGE // 2
    parts = [
        (f"picture-{i}", text(_short(one.name), 24), text(_short(one.name), 80), looked(one, side))
        for i, one in enumerate(pictures, 1)
    ]
    told = [
        (key, word, title.replace("picture", network.noun), section(network))
        for key, word, title, section in ORDER
    ]
    name = str(info.get("run") or "run")
    data = (info.get("data") or {}).get("name", "")
    return laid_out(
        title=f"{name} – Striate, inside",
        kicker="Striate, inside a network",
        name=name,
        lead=text(f"{info.get('model')} trained on {data}", 240),
        result="",
        parts=[*parts, *(part for part in told if part[-1])],
        sprite=Sprite([]),
        versions=info.get("versions") or {},
    )


def _short(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2] or name
