"""What ``striate models`` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from striate import api
from striate.cli.main import main
from striate.cli.models import lines
from striate.models.registry import MODELS

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from striate.api.look import Listed


@pytest.fixture(scope="module")
def listed() -> list[Listed]:
    """Count them once."""
    return api.models()


def test_one_document_with_a_row_for_each_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert sorted(row["name"] for row in found) == sorted(MODELS)
    assert [row["year"] for row in found] == sorted(row["year"] for row in found)
    by_name = {row["name"]: row for row in found}
    assert by_name["lenet5"] == {
        "name": "lenet5",
        "parameters": 61706,
        "multiply_adds": 416520,
        "input": [1, 28, 28],
        "year": 1998,
        "paper": MODELS["lenet5"].paper,
    }
    assert by_name["resnet50"]["multiply_adds"] == 4089184256
    plain, with_heads = by_name["googlenet_2014"], by_name["googlenet_2014_heads"]
    assert (plain["parameters"], with_heads["parameters"]) == (6998552, 13378280)
    assert plain["multiply_adds"] == with_heads["multiply_adds"]  # heads only train


def test_each_paper_stands_once_above_its_networks(listed: list[Listed]) -> None:
    head, *told = lines(listed)
    assert head.split() == ["name", "parameters", "multiply-adds", "input"]
    titles = [line for line in told if line and not line.startswith(" ")]
    assert titles == list(dict.fromkeys(f"{row.paper} ({row.year})" for row in listed))
    rows = [line.split() for line in told if line.startswith(" ")]
    assert [row[0] for row in rows] == [row.name for row in listed]
    assert ["lenet5", "61,706", "416,520", "1x28x28"] in rows
    assert len({line.rindex(" ") for line in told if line.startswith("  resnet")}) == 1  # columns go through


def test_it_fits_a_terminal(listed: list[Listed], terminal: Callable[[str], io.StringIO]) -> None:
    plain = lines(listed)
    terminal("stdout")
    told = lines(listed)
    assert max(len(line) for line in told) <= 80 < max(len(line) for line in plain)
    assert " ".join(" ".join(told).split()) == " ".join(" ".join(plain).split())  # nothing is left out


def test_it_goes_to_stdout_as_it_is_laid_out(
    listed: list[Listed], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines() == lines(listed)


@pytest.mark.parametrize(
    ("name", "near"), [("resnet81", "resnet18"), ("vgg9", "vgg19"), ("google_net", "googlenet")]
)
def test_an_unknown_name_gets_the_nearest(name: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", name]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"Unknown model {name!r}."
    assert second.startswith(f"Did you mean {near}?")
