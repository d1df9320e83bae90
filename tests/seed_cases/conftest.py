"""Let a check that fails say what differed, as a test does."""

from __future__ import annotations

from pathlib import Path

import pytest

PARTS = [file.stem for file in Path(__file__).parent.glob("*.py") if file.stem != "conftest"]
pytest.register_assert_rewrite(*(f"tests.seed_cases.{part}" for part in PARTS))
