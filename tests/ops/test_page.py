"""The newcomer's page shows what really comes out."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operator.md"


def test_every_example_of_the_page_prints_what_it_shows() -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    told: list[str] = []
    doctest.DocTestRunner().run(examples, out=told.append)
    assert len(examples.examples) > 20
    assert not told, "".join(told)
