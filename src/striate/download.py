"""Fetch a file once, whole and checked, over connections that break.

What has arrived lies beside its place as ``NAME.part`` and is continued there, by this call or by the next
one: the server is asked for the rest (Range) and, where it gave an ETag or a date, only if the file is
still the same (If-Range; RFC 9110, sections 13 and 14). The file gets its name only when its SHA-256 is
the published one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.errors import DownloadError
from striate.events import Emit, Note, Working, ignore
from striate.files import cannot_write, only_one, write_text

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS = 5  # in a row without a new byte
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers of a server that may be back in a moment
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a public data set: where it is, its size in bytes and its published SHA-256."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, the end of its address."""
        return self.url.rpartition("/")[2]


def fetch(
    remote: Remote,
    folder: Path,
    *,
    offline: bool = False,
    timeout: float = 20.0,
    pause: float = 1.0,
    emit: Emit = ignore,
) -> Path:
    """Return the path of ``remote`` in ``folder``, downloaded if it is not there yet.

    timeout: seconds without a byte after which a connection counts as broken.   pause: seconds before the
    second attempt; doubled before each further one, up to five that bring nothing.
    Raises DownloadError that says why it failed and where to put the file by hand.
    """
    path = folder / remote.name
    lock = folder / f".{remote.name}.lock"
    if matches(path, remote):
        return path
    if offline:
        raise DownloadError(
            f"{remote.name} is not whole in the cache, and --offline was given.",
            by_hand([remote], folder),
        )
    if lock.exists():
        emit(Note(f"Waiting for another download of {remote.name} to end."))
    with only_one(lock, patience=2 * timeout):
        if not matches(path, remote):  # it may have come while we waited
            _fetch(_Partial(path, remote, lock), timeout, pause, emit)
    return path


def matches(path: Path, remote: Remote) -> bool:
    """Tell whether the file is there, whole."""
    return path.is_file() and path.stat().st_size == remote.size and _sha256(path) == remote.sha256


def by_hand(files: list[Remote], folder: Path) -> str:
    """Say how to provide files without a connection."""
    base = files[0].url.removesuffix(files[0].name)
    return f"Put {', '.join(file.name for file in files)} from {base} into {folder}, or run once without --offline."


class _Partial:
    """A file on its way: what has arrived, and what the server called the version that it belongs to."""

    def __init__(self, path: Path, remote: Remote, lock: Path) -> None:
        self.path, self.remote, self.lock = path, remote, lock
        self.part = path.with_name(f"{path.name}.part")
        self.tag = path.with_name(f"{path.name}.part.tag")

    @property
    def arrived(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    @property
    def whole(self) -> bool:
        return self.arrived >= self.remote.size

    def request(self) -> urllib.request.Request:
        request = urllib.request.Request(self.remote.url, headers={"User-Agent": "striate"})  # noqa: S310 - ours
        if self.arrived:
            request.add_header("Range", f"bytes={self.arrived}-")
            if self.tag.is_file():
                request.add_header("If-Range", self.tag.read_text(encoding="utf-8"))
        return request

    def drop(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def keep_alive(self) -> None:
        with contextlib.suppress(OSError):
            os.utime(self.lock)


def _fetch(partial: _Partial, timeout: float, pause: float, emit: Emit) -> None:
    failures, best = 0, partial.arrived
    continued = best > 0
    while True:
        why = "" if partial.whole else _receive(partial, timeout, emit)
        if partial.whole:
            if _finished(partial):
                return
            if not continued:
                raise _failed(partial, "what arrived has not the published SHA-256")
            # The part of an earlier run may be of another version of the file: once more from the start.
            continued, best = False, 0
            partial.drop()
            continue
        failures = 0 if partial.arrived > best else failures + 1
        best = max(best, partial.arrived)
        if failures >= ATTEMPTS:
            raise _failed(partial, why)
        partial.keep_alive()
        time.sleep(min(pause * 2 ** max(failures - 1, 0), timeout))


def _receive(partial: _Partial, timeout: float, emit: Emit) -> str:
    """Append what one connection brings. Returns why it ended; raises DownloadError if hopeless."""
    try:
        with urllib.request.urlopen(partial.request(), timeout=timeout) as response:  # noqa: S310 - see above
            _append(partial, response, emit)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # nothing after what we have: it was of another, longer version
                partial.drop()
            elif error.code not in PASSING:
                raise _failed(partial, f"the server answered {error.code} {error.reason}") from error
            return f"the server answered {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return f"{error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return f"{error}" or type(error).__name__
    return f"the connection ended after {partial.arrived} of {partial.remote.size} bytes"


def _append(partial: _Partial, response: http.client.HTTPResponse, emit: Emit) -> None:
    offset = partial.arrived
    continues = re.match(rf"bytes {offset}-", response.headers.get("Content-Range", ""))
    if response.status != 206 or not continues:
        if response.status == 206:  # not the range that was asked for
            partial.drop()
            return
        offset = 0  # no Range there, or another version: this is the whole file
    remote, told = partial.remote, 0.0
    try:
        _remember(partial, response)
        with open(partial.part, "r+b" if offset else "wb") as file:
            file.seek(offset)
            while offset < remote.size and (block := _read(response)):
                offset += file.write(block[: remote.size - offset])
                now = time.monotonic()
                if now - told > 0.1 or offset == remote.size:
                    told = now
                    partial.keep_alive()
                    emit(Working(f"Downloading {remote.name}", offset, remote.size, "bytes"))
    except _Broken as broken:
        raise broken.error from None
    except OSError as error:
        message = cannot_write(partial.part, error).message
        raise DownloadError(
            message,
            "What arrived is kept. Free some space, or name another folder in the variable STRIATE_CACHE.",
        ) from error


class _Broken(Exception):  # noqa: N818
    """The connection failed, not the disk: both are OSErrors."""

    def __init__(self, error: OSError | http.client.HTTPException) -> None:
        self.error = error


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(error) from error


def _remember(partial: _Partial, response: http.client.HTTPResponse) -> None:
    tag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if tag:
        write_text(partial.tag, tag)
    else:
        partial.tag.unlink(missing_ok=True)


def _finished(partial: _Partial) -> bool:
    if not matches(partial.part, partial.remote):
        return False
    partial.part.replace(partial.path)
    partial.drop()
    return True


def _failed(partial: _Partial, why: str) -> DownloadError:
    remote, arrived = partial.remote, partial.arrived
    if partial.whole:
        partial.drop()
    kept = f" ({arrived:,} of {remote.size:,} bytes are kept)" if arrived and not partial.whole else ""
    return DownloadError(
        f"Could not download {remote.url}: {why}{kept}.",
        f"Run the command again to go on, or put the file into {partial.path.parent} yourself.",
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
