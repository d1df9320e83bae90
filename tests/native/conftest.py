"""The kernels need a compiler: without one a visible skip, in CI a failure."""

from __future__ import annotations

import os

import pytest

from striate.native.library import unavailable


@pytest.fixture(autouse=True)
def _compiled() -> None:
    reason = unavailable()
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no kernels of our own: {reason}")
