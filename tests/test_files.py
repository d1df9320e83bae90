"""Atomic files, honest archive names, one worker at a time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import files
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


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(StriateError, match="no ordinary file"):
            write_text(tmp_path / name, "x")
    assert (tmp_path / "pipe").is_fifo()


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


def most_inside(lock: Path, *, threads: int, rounds: int, patience: float) -> int:
    """Let threads hold a lock for a moment, again and again; give the most that ever held it at once."""
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(rounds):
            with only_one(lock, patience=patience):
                inside += 1
                most = max(most, inside)
                time.sleep(0.1 / rounds)  # long enough for another to come in, if it could
                inside -= 1

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return most


def test_only_one_works_at_a_time(tmp_path: Path) -> None:
    assert most_inside(tmp_path / "lock", threads=3, rounds=20, patience=600) == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_left_behind_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with only_one(tmp_path / "lock", patience=0.0):
        pass


def test_a_lock_left_behind_is_taken_over_by_one_of_many(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    os.utime(tmp_path / "lock", (time.time() - 100,) * 2)
    assert most_inside(tmp_path / "lock", threads=4, rounds=1, patience=50) == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_that_another_took_over_too_is_the_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    os.utime(lock, (time.time() - 100,) * 2)
    monkeypatch.setattr(time, "sleep", lambda _: lock.write_bytes(b"another"))
    assert not files._claimed(lock, b"mine", patience=50)
    assert lock.read_bytes() == b"another"


def test_a_lock_that_was_taken_from_its_holder_is_not_deleted_by_it(tmp_path: Path) -> None:
    with only_one(tmp_path / "lock"):
        (tmp_path / "lock").write_bytes(b"another")
    assert (tmp_path / "lock").read_bytes() == b"another"


def test_a_lock_that_is_being_deleted_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch, refusals = Path.touch, [PermissionError(13, "Access is denied")] * 3

    def busy(path: Path, *, exist_ok: bool = True) -> None:
        if refusals:
            raise refusals.pop()
        touch(path, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "touch", busy)
    with only_one(tmp_path / "lock"):
        pass
    refusals += [PermissionError(13, "Access is denied")] * 100
    with pytest.raises(StriateError, match="Could not write"), only_one(tmp_path / "lock"):
        pass


def test_a_lock_on_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StriateError, match="disk is full"), only_one(tmp_path / "lock"):
        pass
    assert not list(tmp_path.iterdir())
