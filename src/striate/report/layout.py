"""How every page of ours is laid out: self-contained, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from striate.report.markup import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.report.sprite import Sprite


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


def _template(name: str) -> str:
    return (resources.files("striate.report") / "templates" / name).read_text(encoding="utf-8")
