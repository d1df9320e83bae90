"""What a folder, a zip or a tar holds, and a thread-safe way to read each file where it lies.

An archive is mapped into memory, so reading a picture costs a slice (a few microseconds) and no lock. A
compressed tar knows no random access: it is unpacked once into an unnamed temporary tar. Archives come from
strangers; refused whole: entries or links that point outside, encrypted entries, an entry over 1 GiB, and
anything over 64 MiB that its compression made more than 200 times smaller.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import mmap
import os
import posixpath
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from striate.errors import DataError
from striate.events import Emit, Warned, ignore
from striate.files import check_member

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_FILE = 1 << 30
BOMB_BYTES, BOMB_RATIO = 64 << 20, 200
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
DAMAGES = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    struct.error, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """Names use "/" and are relative; ``read(name)`` gives a file's bytes.

    files, folders: sorted, whatever the file system's order; hidden ones and what systems leave behind
    (.DS_Store, __MACOSX, Thumbs.db) are not among them. read raises DataError for a file that is gone,
    may not be read, or is damaged.
    """

    where: str
    kind: str  # folder, zip or tar; or what the one file is
    files: tuple[str, ...]
    folders: tuple[str, ...]
    read: Callable[[str], bytes]

    @property
    def name(self) -> str:
        """The last part of ``where``."""
        return Path(self.where).absolute().name or self.where


def folder(path: Path, emit: Emit = ignore) -> Listing:
    """List a folder and all below it.

    Left out with a warning: links that lead out of it, links to folders, and names that no report can hold.
    """
    files: list[str] = []
    folders: list[str] = []
    left_out: list[str] = []
    root = os.path.realpath(path)
    try:
        for parent, names, leaves in os.walk(root, onerror=_raise):
            names[:] = [name for name in names if not _hidden(name)]
            for name in names + [leaf for leaf in leaves if not _hidden(leaf)]:
                full = os.path.join(parent, name)  # noqa: PTH118 - a Path costs ten times as much
                relative = full[len(root) :].lstrip(os.sep).replace(os.sep, "/")
                mode = os.lstat(full).st_mode
                is_link = stat.S_ISLNK(mode)
                if not _is_text(relative) or (is_link and (name in names or not _inside(full, root))):
                    left_out.append(relative)
                elif stat.S_ISDIR(mode):
                    folders.append(relative)
                elif is_link or stat.S_ISREG(mode):
                    files.append(relative)
    except OSError as error:
        raise unreadable(error.filename or path, error) from error
    if left_out:
        emit(Warned(
            f"{path}: {len(left_out)} entries were left out (links to folders or to places outside, or "
            f"names that cannot be printed), the first is {min(left_out)!r}."
        ))  # fmt: skip
    return Listing(
        str(path),
        "folder",
        tuple(sorted(files)),
        tuple(sorted(folders)),
        lambda name: read_file(f"{root}/{name}"),
    )


def one_file(path: Path, kind: str) -> Listing:
    """List a single file as if a folder held it alone."""
    return Listing(str(path), kind, (path.name,), (), lambda _: read_file(str(path)))


def open_zip(path: Path) -> Listing:
    """List a zip and map it. Raises DataError where it is damaged or hostile."""
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = _member_name(info.filename, path)
                folders.add(name if info.is_dir() else posixpath.dirname(name))
                if info.is_dir() or any_hidden(name):
                    continue
                _check_size(name, info.file_size, info.compress_size, path)
                _check_packing(name, info, path)
                if stat.S_ISLNK(info.external_attr >> 16):
                    _check_link(name, archive.read(info).decode(), path)
                else:
                    members[name] = info
        read = _Zip(path, _map(path), members)
    except DAMAGES as error:
        raise damaged(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error
    return _archive(path, "zip", members, folders, read)


def open_tar(path: Path, emit: Emit = ignore) -> Listing:
    """List a tar (gzip, bzip2, xz or not) and map it. Raises DataError where it is damaged or hostile.

    Left out with a warning: sparse files, which do not lie in the tar in one piece.
    """
    members: dict[str, tuple[int, int]] = {}
    sparse: list[str] = []
    folders: set[str] = set()
    try:
        with open(path, "rb") as file:
            packed = COMPRESSED.get(file.read(2))
            content = _map(path) if packed is None else _unpack(path, packed)
        with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r:") as archive:
            for member in archive:
                name = _member_name(member.name, path)
                folders.add(name if member.isdir() else posixpath.dirname(name))
                if member.issym() or member.islnk():
                    _check_link(name if member.issym() else "", member.linkname, path)
                elif member.issparse() and not any_hidden(name):
                    sparse.append(name)
                elif member.isreg() and not any_hidden(name):
                    _check_size(name, member.size, member.size, path)
                    members[name] = (member.offset_data, member.size)
            # tarfile ends quietly at the first block that is no header; a whole tar ends with one of zeros.
            if content[archive.offset : archive.offset + 512].strip(b"\0") or archive.offset >= len(content):
                raise damaged(path, f"it breaks off after {len(members)} files")
    except DAMAGES as error:
        raise damaged(path, error) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"{path.name} is unpacked into {tempfile.gettempdir()}, and that disk is full.",
                "Free some space there, let TMPDIR name another folder, or unpack it and give the folder.",
            ) from error
        raise unreadable(path, error) from error
    if sparse:
        emit(Warned(
            f"{path}: {len(sparse)} files were left out because they are stored sparse (packed without "
            f"--sparse they are read), the first is {sparse[0]}."
        ))  # fmt: skip
    return _archive(path, "tar", members, folders, _Tar(content, members))


def read_file(path: str) -> bytes:
    """Read one file whole. Raises DataError."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_FILE:
                raise DataError(f"{path} is larger than 1 GiB.", "Files are read whole; cut it into parts.")
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def damaged(path: Path | str, why: object) -> DataError:
    """Build the error for a file that is not what it should be."""
    why = str(why).rstrip(".") or type(why).__name__
    return DataError(f"{path} is damaged: {why}.", "Copy or download the file again.")


def unreadable(path: Path | str, error: OSError) -> DataError:
    """Build the error for a file that the system does not hand out, or that gzip or bz2 finds damaged."""
    if error.errno is None:
        return damaged(path, error)
    return DataError(f"Cannot read {path}: {error.strerror or error}.", "Check the file and its permissions.")


class _Zip:
    """Reads entries of a mapped zip, checking each one's checksum."""

    def __init__(self, path: Path, content: mmap.mmap, members: dict[str, zipfile.ZipInfo]) -> None:
        self.path, self.content, self.members = path, content, members

    def __call__(self, name: str) -> bytes:
        info = self.members[name]
        try:
            # The local header repeats the name; lengths may differ from the directory's.
            lengths: tuple[int, int] = struct.unpack_from("<HH", self.content, info.header_offset + 26)
            start = info.header_offset + 30 + sum(lengths)
            data = self.content[start : start + info.compress_size]
            if info.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, info.file_size + 1)
        except (zlib.error, struct.error) as error:
            raise damaged(f"{name} in {self.path.name}", error) from error
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise damaged(f"{name} in {self.path.name}", "its checksum does not match")
        return data


class _Tar:
    """Reads members of a mapped tar."""

    def __init__(self, content: mmap.mmap, members: dict[str, tuple[int, int]]) -> None:
        self.content, self.members = content, members

    def __call__(self, name: str) -> bytes:
        start, size = self.members[name]
        return self.content[start : start + size]


def _archive(
    path: Path, kind: str, members: dict[str, zipfile.ZipInfo] | dict[str, tuple[int, int]],
    folders: set[str], read: Callable[[str], bytes],
) -> Listing:  # fmt: skip
    # Archives need not list their folders: those that others imply count too.
    every = {parent for name in folders if name for parent in _and_parents(name)}
    every = {name for name in every if not any_hidden(name)}
    return Listing(str(path), kind, tuple(sorted(members)), tuple(sorted(every)), read)


def _and_parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _map(path: Path) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _unpack(path: Path, opener: Callable[..., Any]) -> mmap.mmap:
    limit = max(LARGEST_FILE, path.stat().st_size * BOMB_RATIO)
    with opener(path, "rb") as packed, tempfile.TemporaryFile() as plain:
        while block := packed.read(1 << 20):
            plain.write(block)
            if plain.tell() > limit:
                raise _bomb(path, "it")
        plain.flush()
        return mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ)


def _member_name(name: str, path: Path) -> str:
    if not _is_text(name):
        raise DataError(
            f"{path.name}: the name {name!r} cannot be printed.", "Rename it and pack the folder again."
        )
    return posixpath.normpath(check_member(name, path.name).replace("\\", "/"))


def _check_link(name: str, target: str, path: Path) -> None:
    """Refuse a link that leads out of the archive (any other is left out)."""
    where = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.replace("\\", "/")))
    check_member(where, path.name)


def _check_size(name: str, size: int, packed: int, path: Path) -> None:
    if size > LARGEST_FILE:
        raise DataError(f"{path.name}: {name} is larger than 1 GiB.", "Files are read whole; take it out.")
    if size > BOMB_BYTES and size > packed * BOMB_RATIO:
        raise _bomb(path, name)


def _check_packing(name: str, info: zipfile.ZipInfo, path: Path) -> None:
    if info.flag_bits & 1:
        raise DataError(
            f"{path.name}: {name} is encrypted.", "Unpack the archive and give the folder instead."
        )
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise DataError(
            f"{path.name}: {name} is packed with method {info.compress_type}, not with deflate.",
            "Unpack the archive and give the folder instead.",
        )


def _bomb(path: Path, name: str) -> DataError:
    return DataError(
        f"{path.name}: {name} unpacks to more than {BOMB_RATIO} times its size, so it was not unpacked.",
        "Pictures do not shrink that much, nor do sounds. If you trust the archive, unpack it.",
    )


def _raise(error: OSError) -> None:
    raise error


def _is_text(name: str) -> bool:
    """Tell whether a name fits a line of a report: no control characters, no lone surrogates."""
    if name.isprintable():  # nearly all are, which is told at once
        return True
    return not any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in name)


def _inside(link: str, root: str) -> bool:
    try:
        real = os.path.realpath(link, strict=True)
        return os.path.commonpath([real, root]) == root and os.path.isfile(real)  # noqa: PTH113
    except (OSError, ValueError):  # broken, a loop, or on another drive
        return False


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in {"__MACOSX", "Thumbs.db", "desktop.ini"}


def any_hidden(name: str) -> bool:
    """Tell whether a file, or a folder that it is in, is hidden or only what a system left behind."""
    return any(map(_hidden, name.split("/")))
