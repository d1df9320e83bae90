"""Keep decoded pictures on disk, trust nothing that is found there, and bound what it takes.

An entry is three files: NAME.npy (pixels), NAME.thumbs.npy, and NAME.json with the rows, what was unreadable
and checksums; the JSON is written last, so an entry without it does not exist.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LIMIT = 20 * 10**9
"""Bytes that the newest entries may take together; older ones are deleted."""

ABANDONED = 3600.0
"""Seconds without a byte after which a half-written file counts as left by a crash."""

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of control groups, version 2."""

Entry = tuple["NDArray[Any]", "NDArray[np.uint8]", list[int], dict[int, str]]


def load(path: Path, *, mapped: bool) -> Entry | None:
    """Give (pixels, thumbs, rows, unreadable) of an entry; None where it is missing or damaged.

    path: the entry's .npy.   mapped: leave the pixels on disk.
    """
    try:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        pixels = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        thumbs = np.load(path.with_suffix(".thumbs.npy"), allow_pickle=False)
        if len(pixels) != len(notes["rows"]) or [checksum(pixels), checksum(thumbs)] != notes["checksums"]:
            return None
        entry = pixels, thumbs, notes["rows"], {int(i): reason for i, reason in notes["unreadable"].items()}
        os.utime(path)  # the newest are kept
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return entry


@contextlib.contextmanager
def appending(
    path: Path, shape: tuple[int, ...], dtype: str
) -> Iterator[tuple[Callable[[Any], Any], Callable[[int], None]]]:
    """Write an array piece by piece: yield (append, kept), where kept(rows) says how many rows it became.

    shape: the most it can become.   A plain file and not a map: a full disk is then an error that can be
    told, and not a crash.
    """
    form: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}

    def kept(rows: int) -> None:
        file.seek(0)  # numpy leaves room in the header for any first dimension
        np.lib.format.write_array_header_1_0(file, form | {"shape": (rows, *shape[1:])})

    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        kept(shape[0])
        yield lambda array: file.write(array.data), kept


def finish(
    path: Path,
    pixels: NDArray[Any],
    thumbs: NDArray[np.uint8],
    rows: list[int],
    unreadable: dict[int, str],
    *,
    write: bool,
    alive: Callable[[], None],
) -> None:
    """Complete an entry; ``write`` the pixels too where they are not on the disk yet.

    alive: called again and again while the checksum, which may take long, is made.
    """
    for part, array in ((path, pixels), (path.with_suffix(".thumbs.npy"), thumbs)):
        if write or part != path:
            with files.replacing(part) as temporary, open(temporary, "wb") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    sums = [checksum(pixels, alive), checksum(thumbs, alive)]
    files.write_json(path.with_suffix(".json"), {"rows": rows, "unreadable": unreadable, "checksums": sums})


def prune(folder: Path, keep: Path) -> None:
    """Delete what crashes left, then the oldest entries until the rest is at most LIMIT; never ``keep``."""
    with contextlib.suppress(OSError):
        for part in folder.glob(".*.tmp"):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink(missing_ok=True)
        pixels = [path for path in folder.glob("*.npy") if not path.name.endswith(".thumbs.npy")]
        pixels.sort(key=lambda path: (path != keep, -path.stat().st_mtime))
        total = 0
        for path in pixels:
            total += path.stat().st_size
            if total > LIMIT and path != keep:
                for part in (path.with_suffix(".json"), path.with_suffix(".thumbs.npy"), path):
                    part.unlink(missing_ok=True)


def checksum(array: NDArray[Any], alive: Callable[[], None] = lambda: None) -> int:
    """CRC-32 of an array's bytes, read a piece at a time; ``alive`` is called before each."""
    total = 0
    for start in range(0, len(array), 1024):
        alive()
        total = zlib.crc32(np.ascontiguousarray(array[start : start + 1024]).data, total)
    return total


def free_memory() -> int:
    """Bytes that can be had without pushing others out; 4 GiB where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        if sys.platform == "win32":
            return _free_on_windows()
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        return min([free, *_free_in_groups()])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * 2**30


def _free_in_groups() -> list[int]:
    """Give the bytes left in each control group that this process is in: a container is one of them."""
    free = []
    with contextlib.suppress(OSError, ValueError):
        own = [line[4:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:4] == "0::/"]
        group = GROUPS.joinpath(*own)
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError, KeyError):  # no limit is no number
                most = int((folder / "memory.max").read_text())
                used = int((folder / "memory.current").read_text())
                parts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                free.append(max(0, most - used + int(parts["inactive_file"])))
    return free


def _free_on_windows() -> int:
    import ctypes

    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "page", "page_free", "virtual", "left", "rest")
            ),
        )

    status = Status(length=ctypes.sizeof(Status))
    windows: Any = ctypes.__dict__["windll"]
    windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.free) or 4 * 2**30
