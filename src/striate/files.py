"""Files that are never half written: write to a temporary name, then rename."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import secrets
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from striate.errors import DataError, StriateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

REFUSALS = 10
"""How often a lock may be refused in a row before that counts as an error."""

SETTLED = 0.2
"""Seconds after which everybody who wanted to take over a lock has written to it."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` when the block ends well.

    Raises StriateError when the disk is full or the folder cannot be written, and where ``path`` is a folder
    or a device; ``path`` is then untouched.
    """
    if os.path.lexists(path) and not (path.is_file() or path.is_symlink()):
        raise StriateError(f"{path} is no ordinary file.", "Name another place.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> StriateError:
    """Say why a file could not be written."""
    if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", None)}:  # Windows has no quotas
        return StriateError(
            f"The disk is full: could not write {path}.",
            "What was saved before is whole. Free some space, or choose another place with --out.",
        )
    return StriateError(
        f"Could not write {path}: {error.strerror or error}.", "Check the folder's permissions."
    )


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, atomically and to the disk itself."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
        _to_disk(file)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read. Raises ValueError for NaN, which JSON does not have."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def cache_folder() -> Path:
    """Say where downloads and decoded pictures are kept: $STRIATE_CACHE, else the system's cache folder."""
    chosen = os.environ.get("STRIATE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("striate", appauthor=False))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def digest(*parts: bytes) -> str:
    """Hash bytes to 32 hexadecimal digits (BLAKE2b); the boundaries of the parts count.

    >>> digest(b"ab", b"c") == digest(b"a", b"bc")
    False
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def check_member(name: str, archive: str) -> str:
    """Return an archive member's name if it stays inside the archive.

    Raises DataError for absolute names, drive letters and ``..``.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise DataError(
            f"{archive}: the entry {name!r} points outside the archive.",
            "Nothing was read. Pack the folder again without absolute or '..' names.",
        )
    return name


@contextlib.contextmanager
def only_one(path: Path, *, patience: float = 600.0) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs, so that one process does the work and others wait.

    patience: seconds after which a lock that nobody refreshed counts as left behind by a crash.
    """
    token = secrets.token_hex(16).encode()
    refused = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if _claimed(path, token, patience):
                break
            refused = 0
        except OSError as error:
            refused += 1  # Windows refuses access to a file while it is being deleted
            if not isinstance(error, PermissionError) or refused == REFUSALS:
                raise cannot_write(path, error) from error
        time.sleep(0.05)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_bytes() == token:  # else it was taken for left behind, and is another's now
                path.unlink()


def _claimed(path: Path, token: bytes, patience: float) -> bool:
    """Try to make ``path`` hold our token: create it, or take over one that nobody refreshed."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):  # it was given back just now
            if time.time() - path.stat().st_mtime > patience:
                with open(path, "r+b") as lock:
                    lock.write(token)
                # Others may have judged the same lock: all of them write, and the last one has it.
                time.sleep(SETTLED)
                return path.read_bytes() == token
        return False
    try:
        path.write_bytes(token)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True
