"""Every worked example of the five decks: computed anew, waiting for a later part by name, or listed.

The checks are in the files beside this one, by what they are about; ``networks.py`` has those that wait.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import torch

from tests.seed_cases import convolution, counts, layers, learning, networks, sizes
from tests.seed_cases.facts import CASES, CHECKS, FACTS, LATER, LISTED, ROOT

PAGE = ROOT / "docs" / "decks.md"
PARTS = (convolution, counts, layers, learning, networks, sizes)
NAMES: list[Any] = [
    pytest.param(name, id=name, marks=LATER.get(name, ())) for name in CASES if name not in LISTED
]


@pytest.fixture(autouse=True)
def _facts() -> None:
    if not CASES:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"skipped, no facts: {FACTS} is not there")


@pytest.mark.parametrize("name", NAMES or ["no facts"])
def test_case(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CHECKS[name](CASES[name])


def test_every_case_is_computed_or_listed_once() -> None:
    assert CHECKS.keys() & LISTED == set()
    assert CHECKS.keys() | LISTED == CASES.keys()
    assert {check.__module__ for check in CHECKS.values()} == {part.__name__ for part in PARTS}


def test_the_page_lists_what_the_decks_have_wrong() -> None:
    listed = re.findall(r"^\| `(\d{3}-[\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    wrong = {case.id for case in CASES.values() if case.verified is False}
    assert sorted(listed) == sorted(wrong | LISTED)
