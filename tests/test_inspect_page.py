"""The page on inspection shows what the command prints, on a terminal of 80 columns."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from striate.cli.main import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "inspect.md"
EXAMPLE = re.compile(r"```\n\$ striate ([^\n]*)\n(.*?)```\n", re.DOTALL)


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(words: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a command of the page; give what a terminal shows."""
    screen = Screen()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        patch.setattr(sys, "stderr", screen)
        patch.setenv("COLUMNS", "80")
        main(shlex.split(words))
    return screen.getvalue()


def test_the_examples_are_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text(encoding="utf-8")
    code = re.search(r"```python\n# tiny\.py\n(.*?)```", page, re.DOTALL)
    assert code is not None
    (tmp_path / "tiny.py").write_text(code[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shown = EXAMPLE.findall(page)
    assert len(shown) == 7
    told = {words: printed(words, monkeypatch) for words, _ in shown}
    if os.environ.get("ACCEPT"):
        page = EXAMPLE.sub(lambda match: f"```\n$ striate {match[1]}\n{told[match[1]]}```\n", page)
        PAGE.write_text(page, encoding="utf-8")
        return
    for words, output in shown:
        assert output == told[words], "run: ACCEPT=1 sh scripts/test tests/test_inspect_page.py"


def test_what_the_page_says_of_resnets_is_so() -> None:
    import striate

    for name in ("resnet18", "resnet50"):
        assert any(row.misfit for row in striate.inspect(name).layers)
        assert not striate.inspect(name, (3, 225, 225), strict=True).warnings
