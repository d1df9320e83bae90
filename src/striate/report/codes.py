"""The page of ``striate encode``: where the codes of a data set lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import files
from striate.report import rebuilt
from striate.report.layout import laid_out
from striate.report.markup import facts, plural, text
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from striate.report.inside.contents import Points


def write(
    path: Path,
    info: Mapping[str, Any],
    *,
    data: str,
    noun: str,
    shape: tuple[int, int],
    way: str,
    maps: Sequence[Points],
    labels: int,
) -> None:
    """Write the page, whole or not at all.

    info: the run's run.json.   noun: what a sample of the data is called.   shape: of the codes, (M, K).
    way: what the codes are.   labels: how many different ones.
    """
    count, numbers = shape
    told = f"{plural(count, noun.removesuffix('s'))} as {plural(numbers, 'number')} each"
    page = laid_out(
        title=f"{data} – Striate codes",
        kicker="Striate codes",
        name=data,
        lead=text(f"as {info['model']} encodes it, trained on {info['data']['name']}", 240),
        result=f'<div class="result"><p class="what">{text(told)}: {text(way)}.</p></div>',
        parts=[
            ("map", "Map", "Where the codes lie", rebuilt.mapped(maps, numbers)),
            ("data", "Data", "What was encoded", facts({noun.capitalize(): count, "Labels": labels or None})),
        ],
        sprite=Sprite([]),
        versions=info.get("versions") or {},
    )
    files.write_text(path, page)
