"""How many bytes glibc takes from the system to serve the tensors of a training step.

A tensor above the mmap threshold gets pages of its own, and gives them back when it is freed. The threshold
starts at 128 KiB and rises to the largest tensor freed so far, up to 32 MiB; below it, tensors come from one
heap, best fit, which shrinks only at its end. There a hole is often no use to the next tensor of the same
size: asking for an address divisible by 64 takes 96 bytes more than the tensor, these are given back at once,
small objects move in (autograd's records of the operator), and so the hole is 96 bytes too small, unless it
joins a hole beside it. A tensor with such a neighbour is called parted here. Which ones are is luck, and two
runs of one step may differ by a tenth; `SHARES` says how many are, and the growth is the mean of a few draws.

Source: glibc 2.36, malloc/malloc.c: sysmalloc, _int_memalign, _int_free, munmap_chunk.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Memory is taken: (its number, bytes, who takes it), or freed: (its number, FREED, who).
Event = tuple[int, int, int]
FREED: Final = -1
OPERATOR, FORWARD, BACKWARD = 0, 1, 2  # an operator for itself; the forward and the backward pass for results

# Of what each of the three takes, how much is parted. An operator's own copies are not: it frees them before
# anything small is made. glibc 2.38 began to join the 96 bytes with the hole beside them. The shares are
# fitted to 280 first steps of 17 networks (glibc 2.36; 44 of 11 for 2.41), and benchmarks/memory.py shows how
# well they hold, for networks too that had no part in it (wave, transformer).
SHARES: Final = {"before 2.38": (0.0, 0.7, 0.35), "from 2.38": (0.0, 0.7, 0.2)}
DRAWS: Final = 4
GOLDEN: Final = 0.618033988749895  # its multiples, without their whole part, fill 0 to 1 evenly

SMALL: Final = 64 << 10  # left out: many, but few bytes
PAGE: Final = 4096
SPARE: Final = 96  # of an aligned request: the alignment, 64 bytes, and the smallest chunk, 32
HIGHEST_THRESHOLD: Final = 32 << 20
PAD: Final = 128 << 10  # what the heap grows by beyond a request, and keeps when it shrinks


def growth(events: Sequence[Event], version: tuple[int, int]) -> int:
    """Give the peak of the bytes taken from the system, the mean over a few draws of who is parted.

    version: of glibc.

    >>> growth([(1, 40_000_000, FORWARD), (1, FREED, 0), (2, 40_000_000, FORWARD)], (2, 36)) // 1_000_000
    40
    """
    shares = SHARES["before 2.38" if version < (2, 38) else "from 2.38"]
    small = {number for number, size, _ in events if 0 <= size < SMALL}
    large = [event for event in events if event[0] not in small]
    return sum(_peak(large, shares, draw / DRAWS) for draw in range(DRAWS)) // DRAWS


def _peak(events: Sequence[Event], shares: tuple[float, ...], draw: float) -> int:
    heap, made = Heap(), [0, 0, 0]
    for number, size, maker in events:
        if size == FREED:
            heap.free(number)
        else:
            made[maker] += 1
            heap.take(number, size, parted=(made[maker] * GOLDEN + draw) % 1 < shares[maker])
    return heap.peak


class Heap:
    """The addresses that tensors get, and the bytes taken from the system for them.

    >>> heap = Heap()
    >>> for number in (1, 2):
    ...     heap.take(number, 10_000_000, parted=False)
    >>> heap.free(1)  # the threshold is now 10 MB
    >>> heap.take(3, 5_000_000, parted=False)
    >>> heap.peak // 1_000_000
    20
    """

    def __init__(self) -> None:
        self.peak = 0
        self._mapped = 0  # bytes in pages of their own
        self._threshold = 128 << 10
        self._top = self._end = 0  # the heap is used up to top, and owned up to end
        self._places: dict[
            int, tuple[int, int]
        ] = {}  # tensor: (address, bytes); address -1: pages of its own
        self._holes: list[tuple[int, int]] = []  # (bytes, address), sorted
        self._starts: dict[int, int] = {}  # address of a hole: its bytes
        self._ends: dict[int, int] = {}  # address behind a hole: where it starts

    def take(self, number: int, size: int, *, parted: bool) -> None:
        """Serve a tensor."""
        asked = ((size + 23) & ~15) + SPARE
        best = bisect_left(self._holes, (asked, 0))
        if best < len(self._holes):
            found, address = self._holes[best]
            self._close(address)
            if found - asked >= PAGE:
                self._open(address + asked, found - asked)
            else:
                asked = found
        elif asked > self._end - self._top and size >= self._threshold:
            pages = (size + 2 * PAGE - 1) & -PAGE
            self._places[number] = (-1, pages)
            self._own(self._mapped + pages, self._end)
            return
        else:
            address = self._top
            self._top += asked
            if self._top > self._end:
                self._own(self._mapped, self._padded())
        self._places[number] = (address, asked - SPARE if parted else asked)

    def free(self, number: int) -> None:
        """Take a tensor's memory back."""
        address, size = self._places.pop(number)
        if address < 0:
            self._own(self._mapped - size, self._end)
            if self._threshold < size <= HIGHEST_THRESHOLD:
                self._threshold = size
            return
        if address + size in self._starts:
            size += self._close(address + size)
        if address in self._ends:
            address = self._ends[address]
            size += self._close(address)
        if address + size != self._top:
            self._open(address, size)
            return
        self._top = address
        if self._end - self._top >= 2 * self._threshold:
            self._own(self._mapped, self._padded())

    def _own(self, mapped: int, end: int) -> None:
        self._mapped, self._end = mapped, end
        self.peak = max(self.peak, mapped + end)

    def _padded(self) -> int:
        return (self._top + PAD + PAGE - 1) & -PAGE

    def _open(self, address: int, size: int) -> None:
        self._starts[address] = size
        self._ends[address + size] = address
        insort(self._holes, (size, address))

    def _close(self, address: int) -> int:
        size = self._starts.pop(address)
        del self._ends[address + size]
        del self._holes[bisect_left(self._holes, (size, address))]
        return size
