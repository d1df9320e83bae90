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
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from striate.errors import DownloadError
from striate.events import Emit, Note, Working, ignore
from striate.files import cannot_write, only_one, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ATTEMPTS = 5  # in a row without a new byte
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers of a server that may be back in a moment
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Remote:
    """A published file: where it is, its size in bytes and its SHA-256.

    size: None where only the server says it.   sha256: in hexadecimal, whole or its published beginning.
    """

    url: str
    size: int | None
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, the end of its address."""
        return self.url.rpartition("/")[2]


def fetch(
    files: Sequence[Remote],
    folder: Path,
    *,
    offline: bool = False,
    timeout: float = 20.0,
    pause: float = 1.0,
    emit: Emit = ignore,
) -> list[Path]:
    """Return the paths of ``files`` in ``folder``; those that are not there, whole, are downloaded.

    offline: never.   timeout: seconds without a byte after which a connection counts as broken.
    pause: seconds before the second attempt, doubled before each of up to five.
    Raises DownloadError that says why it failed and how to provide the files by hand.
    """
    lacking = [file for file in files if not _matches(folder / file.name, file)]
    if lacking and offline:
        base = lacking[0].url.removesuffix(lacking[0].name)
        raise DownloadError(
            f"--offline was given, and {len(lacking)} of {len(files)} cached files are missing or damaged.",
            f"Without --offline they are downloaded. Or put {', '.join(file.name for file in lacking)} "
            f"from {base} into {folder}.",
        )
    for file in lacking:
        partial = _Partial(folder / file.name, file)
        if partial.lock.exists():
            emit(Note(f"Waiting for another download of {file.name} to end."))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with only_one(partial.lock, patience=2 * timeout):
                if not _matches(partial.path, file):  # it may have come while we waited
                    _fetch(partial, timeout, pause, emit)
        except OSError as error:
            raise DownloadError(
                cannot_write(partial.path, error).message,
                "What arrived is kept. Free some space, or name another folder in STRIATE_CACHE.",
            ) from error
    return [folder / file.name for file in files]


class _Partial:
    """A file on its way: what has arrived, and what the server called the version that it belongs to."""

    def __init__(self, path: Path, remote: Remote) -> None:
        self.path, self.remote = path, remote
        self.lock = path.with_name(f".{path.name}.lock")
        self.part = path.with_name(f"{path.name}.part")
        self.tag = path.with_name(f"{path.name}.part.tag")
        self.pieced = self.arrived > 0  # of several connections, perhaps of several versions
        self.size = remote.size  # as published, or as the server says

    @property
    def arrived(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    @property
    def whole(self) -> bool:
        return self.size is not None and self.arrived >= self.size

    def request(self) -> urllib.request.Request:
        request = urllib.request.Request(self.remote.url)  # noqa: S310 - our own addresses
        request.add_header("User-Agent", "striate")
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
    """Ask for the file, and for the rest of it, until it is whole; OSErrors that come out are the disk's."""
    failures, best, again = 0, partial.arrived, False
    while True:
        why = "" if partial.whole else _receive(partial, timeout, emit)
        if partial.whole:
            if _finished(partial):
                return
            partial.drop()
            if again or not partial.pieced:
                raise _failed(partial, "what arrived does not have the published SHA-256")
            again, best = True, 0  # once more from the start
            continue
        # A connection must bring a thousandth to count, or a server could hold us for ever.
        failures = 0 if partial.arrived > best + (partial.size or 0) // 1000 else failures + 1
        best = max(best, partial.arrived)
        if failures >= ATTEMPTS:
            raise _failed(partial, why)
        seconds = min(pause * 2 ** max(failures - 1, 0), timeout)
        emit(Note(f"{partial.remote.name}: {why}; trying again in {seconds:.0f} s."))
        partial.keep_alive()
        time.sleep(seconds)


def _receive(partial: _Partial, timeout: float, emit: Emit) -> str:
    """Append what one connection brings. Returns why it ended; raises DownloadError if hopeless."""
    try:
        with _open(partial, timeout) as response:
            _append(partial, response, emit)
    except urllib.error.HTTPError as error:
        why = f"the server answered {error.code} {error.reason}"
        error.close()
        if error.code == 416:  # nothing after what we have: all of it, or of another, longer version
            if partial.size is None and _matches(partial.part, partial.remote):
                partial.size = partial.arrived
            else:
                partial.drop()
        elif error.code not in PASSING:
            raise _failed(partial, why) from error
        return why
    except _Broken as broken:
        return f"{broken}"
    return f"the connection ended after {partial.arrived:,} of {partial.size or 0:,} bytes"


def _append(partial: _Partial, response: http.client.HTTPResponse, emit: Emit) -> None:
    remote, offset, told = partial.remote, partial.arrived, 0.0
    if response.status == 206:
        offered = response.headers.get("Content-Range", "")
        size = partial.size or _number(offered.rpartition("/")[2])
        if size is None or offered != f"bytes {offset}-{size - 1}/{size}":
            partial.drop()  # not the rest that was asked for: from the start next time
            return
    else:
        size = _number(response.headers.get("Content-Length", "")) or remote.size
        if size is None:
            raise _failed(partial, "the server does not say how many bytes it sends")
        if remote.size not in {None, size}:
            raise _failed(partial, f"the server offers {size} bytes, not {remote.size}")
        offset = 0  # no Range there, or another version than ours: this is the whole file
    partial.pieced, partial.size = offset > 0, size
    _remember(partial, response)
    with open(partial.part, "ab" if offset else "wb") as file:
        while offset < size and (block := _read(response)):
            offset += file.write(block[: size - offset])
            now = time.monotonic()
            if now - told > 0.1 or offset == size:
                told = now
                partial.keep_alive()
                emit(Working(f"Downloading {remote.name}", offset, size, "bytes"))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


class _Broken(Exception):  # noqa: N818
    """The connection failed, not the disk: to Python both are OSErrors."""


def _open(partial: _Partial, timeout: float) -> http.client.HTTPResponse:
    try:
        return cast(
            "http.client.HTTPResponse",
            urllib.request.urlopen(partial.request(), timeout=timeout),  # noqa: S310 - our own addresses
        )
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise _Broken(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from error


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from error


def _remember(partial: _Partial, response: http.client.HTTPResponse) -> None:
    tag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if tag:
        write_text(partial.tag, tag)
    else:
        partial.tag.unlink(missing_ok=True)


def _finished(partial: _Partial) -> bool:
    if not _matches(partial.part, partial.remote):
        return False
    partial.part.replace(partial.path)
    partial.drop()
    return True


def _failed(partial: _Partial, why: str) -> DownloadError:
    of = f" of {partial.size:,}" if partial.size else ""
    kept = f" ({partial.arrived:,}{of} bytes are kept)" if partial.arrived else ""
    return DownloadError(
        f"Could not download {partial.remote.url}: {why}{kept}.",
        f"Run the command again to go on, or put the file into {partial.path.parent} yourself.",
    )


def _matches(path: Path, remote: Remote) -> bool:
    return (
        path.is_file()
        and remote.size in {None, path.stat().st_size}
        and _sha256(path).startswith(remote.sha256)
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
