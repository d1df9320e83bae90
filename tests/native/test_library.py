"""Compiling: once, with clear words where it cannot be done, and never in the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from striate.native import library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    return tmp_path


def test_compiled_once_and_found_again(fresh: Path) -> None:
    library.load.__wrapped__()
    (made,) = (fresh / "native").iterdir()
    stamp = made.stat().st_mtime_ns
    library.load.__wrapped__()
    assert [made] == list((fresh / "native").iterdir())
    assert made.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("/nowhere/cc", "could not be compiled"),
        ("false", "false could not compile them"),
    ],
)
def test_a_compiler_that_fails_leaves_nothing(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, said: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(library.Unavailable, match=re.escape(said)):
        library.load.__wrapped__()
    assert not list((fresh / "native").iterdir())


def test_no_compiler_says_what_to_do(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    with pytest.raises(library.Unavailable, match="no C compiler"):
        library.load.__wrapped__()


def test_a_broken_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "kernels.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(library, "_path", lambda _: broken)
    with pytest.raises(library.Unavailable, match="cannot be loaded"):
        library.load.__wrapped__()
