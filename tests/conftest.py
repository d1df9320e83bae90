"""What tests share: the real data, and small made-up pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A busy machine is no fault of the code.
settings.register_profile("striate", deadline=None)
settings.load_profile("striate")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; its absence is a visible skip, and a failure in CI."""
    folder = Path(os.environ.get("STRIATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("skipped, no data")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' cache away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield
