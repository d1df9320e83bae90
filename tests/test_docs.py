"""What the documents say is so: help is the commands' own, links lead somewhere, settings are explained."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
from pathlib import Path

import pytest

from striate.cli import main
from striate.runs.recipe import Recipe, helps

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMANDS = ROOT / "docs" / "commands.md"


@pytest.mark.parametrize("command", main.COMMANDS)
def test_the_page_shows_the_help_of_each_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main.main([command, "--help"])
    told = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
    page = COMMANDS.read_text(encoding="utf-8")
    if os.environ.get("ACCEPT"):
        section = re.compile(rf"(## striate {command}\n.*?```\n).*?(\n```)", re.DOTALL)
        page = section.sub(lambda match: match[1] + told + match[2], page)
        COMMANDS.write_text(page, encoding="utf-8")
    assert told in page, "run: ACCEPT=1 sh scripts/test tests/test_docs.py"


def test_every_setting_is_a_flag_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["train", "--help"])
    told = capsys.readouterr().out
    texts = helps()
    for field in dataclasses.fields(Recipe):
        assert len(texts[field.name]) > 10
        if field.name != "data":
            assert re.search(rf"--{field.name.replace('_', '-')}\b", told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_documents_is_python(page: Path) -> None:
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(snippet)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist_with_their_flags(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in re.findall(r"(?:^ {4}|`)striate ([^`\n#]*)", page.read_text(encoding="utf-8"), re.MULTILINE):
        command, *words = line.split()
        if command.startswith("-"):
            continue
        assert command in main.COMMANDS
        main.main([command, "--help"])
        told = capsys.readouterr().out
        for flag in (word.split("=")[0] for word in words if word.startswith("--")):
            assert f"{flag} " in told or flag == "--help", line


def test_what_is_installed_is_pinned_and_what_is_needed_has_only_a_lower_bound() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in pins
    lines = pins + (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in lines if not line.startswith(("#", "-r"))}
    assert all("==" in line for line in lines if not line.startswith(("#", "-r")))
    for need in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, bound = need.split(">=")
        assert name in pinned
        assert "<" not in bound


def test_every_network_has_a_line_on_the_page_of_networks() -> None:
    from striate.models.registry import MODELS, known

    table = "\n".join(
        line.split("|")[1]
        for line in (ROOT / "docs" / "models.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    )
    named = set(re.findall(r"`([^`]+)`", table))
    assert {*MODELS} <= named
    assert all(known(name) for name in named)
