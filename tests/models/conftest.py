"""The published numbers that networks are held against."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def architectures() -> dict[str, Any]:
    """Each system of facts/architectures.json by its id; without it a visible skip, and a failure in CI."""
    data = Path(os.environ.get("STRIATE_DATA", ROOT.parent / "shared" / "data"))
    path = data.parent / "facts" / "architectures.json"
    if not path.is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("skipped, no facts")
    return {system["id"]: system for system in json.loads(path.read_text(encoding="utf-8"))["systems"]}
