"""Where freed memory goes between two steps: back to the system, or kept at hand for the next step.

A training step frees what it allocated, and the next allocates it again. Memory that went back to the system
has to be mapped and cleared anew, page by page. Only glibc on Linux is asked; elsewhere nothing is offered.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Numbers from glibc's malloc.h and Linux's mman.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25
HUGE_PAGE = 2 << 20
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MAPS = Path("/proc/self/maps")

# glibc starts with small thresholds and raises them to these as large blocks are freed; after a first
# mallopt it no longer does, so that what a process has after its first steps is what is restored.
SYSTEM = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20, TOP_PAD: 128 << 10}
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
HUGE = KEPT | {TOP_PAD: 1 << 30}  # only addresses: the system gives the memory when it is touched


def kinds() -> tuple[str, ...]:
    """Name the ways that exist here.

    >>> kinds()[0]
    'system'
    """
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        return ("system",)
    try:
        huge = "[never]" not in HUGE_PAGES.read_text(encoding="ascii")
    except OSError:
        huge = False
    return ("system", "kept", "huge") if huge else ("system", "kept")


@contextlib.contextmanager
def held(kind: str) -> Iterator[None]:
    """Hold freed memory in one of the :func:`kinds` inside the block, in the whole process.

    What does not exist here is "system". Source: mallopt(3), madvise(2).
    """
    if kind == "system" or kind not in kinds():
        yield
        return
    libc = ctypes.CDLL(None)
    try:
        _set(libc, HUGE if kind == "huge" else KEPT)
        if kind == "huge":
            _advise(libc)
        yield
    finally:
        _set(libc, SYSTEM)


def release() -> None:
    """Give back to the system what was kept; after a training, not after each step that is timed."""
    if len(kinds()) > 1:
        ctypes.CDLL(None).malloc_trim(0)


def _set(libc: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        libc.mallopt(name, value)


def _advise(libc: ctypes.CDLL) -> None:
    """Let the heap grow once by its padding, and ask for huge pages in all of it."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.free(libc.malloc(256 << 20))
    for line in MAPS.read_text(encoding="utf-8").splitlines():
        if line.endswith("[heap]"):
            start, end = (int(address, 16) for address in line.split()[0].split("-"))
            start = -(-start // HUGE_PAGE) * HUGE_PAGE
            for advice in (MADV_HUGEPAGE, MADV_COLLAPSE):  # for pages to come, and for those that are there
                libc.madvise(start, end - start, advice)
