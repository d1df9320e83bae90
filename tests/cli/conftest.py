"""What the tests of the command line share."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from striate.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], io.StringIO]:
    """Make a function that turns "stdout" or "stderr" into a terminal of 80 columns, and gives it."""

    def become(stream: str) -> io.StringIO:
        screen = Screen()
        monkeypatch.setattr(sys, stream, screen)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        return screen

    return become


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on 12 dark pictures of cats and 12 bright ones of dogs: the run folder, beside the folder "d"."""
    root = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    for name, shade in (("cat", 0), ("dog", 150)):
        (root / "d" / name).mkdir(parents=True)
        for i in range(12):
            pixels = (random.integers(0, 100, (12, 12, 3)) + shade).astype(np.uint8)
            Image.fromarray(pixels).save(root / "d" / name / f"{i:02}.png")
    words = ["--model", "mlp", "--size", "8", "--batch", "8", "--epochs", "5"]
    assert main(["train", str(root / "d"), *words, "--out", str(root / "run")]) == 0
    return root / "run"
