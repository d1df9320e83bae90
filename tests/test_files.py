"""Atomic files, honest archive names, one worker at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import DataError, StriateError
from striate.files import check_member, digest, only_one, replacing, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StriateError, match="Could not write"):
        write_text(tmp_path / "file" / "inside", "x")


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "C:\\x", "C:/x", "\\\\host\\x", "a\\..\\..\\x"]
)
def test_names_that_point_outside(name: str) -> None:
    with pytest.raises(DataError, match="outside"):
        check_member(name, "a.zip")


@given(st.lists(st.text("abc.-_ ", min_size=1).filter(lambda part: part != ".."), min_size=1, max_size=4))
def test_names_that_stay_inside(parts: list[str]) -> None:
    assert check_member("/".join(parts), "a.zip") == "/".join(parts)


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_a_digest_knows_its_parts(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


def test_only_one_works_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with only_one(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_left_behind_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with only_one(tmp_path / "lock", patience=0.0):
        pass
