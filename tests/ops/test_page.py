"""The newcomer's pages show what really comes out."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "least"), [("operator", 20), ("recurrence", 18)])
def test_every_example_of_the_page_prints_what_it_shows(name: str, least: int) -> None:
    page = DOCS / f"{name}.md"
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    told: list[str] = []
    doctest.DocTestRunner().run(examples, out=told.append)
    assert len(examples.examples) > least
    assert not told, "".join(told)
