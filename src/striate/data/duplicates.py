"""Find copies: exact ones by their digests, near ones by how alike two small grey thumbnails are.

Two pictures are near-duplicates when their thumbnails (32 x 32) correlate by more than 0.985, the
thumbnails' differences between neighbouring pixels by more than 0.95, and brightness and contrast are of one
kind: a photograph saved again, rescaled or slightly brightened is found, another photograph of the same
thing is not. Figures on real data are in docs/data.md. 60,000 pictures take a few seconds and a bounded
amount of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALIKE = 0.985
ALIKE_EDGES = 0.95
BRIGHTNESS = 50  # grey levels between the means
CONTRAST = 0.7  # doublings between the standard deviations
FLAT = 3.0  # a thumbnail with less deviation shows nothing that could be compared
BLOCK = 512
COMPONENTS = 64
FEW = 2000  # so many pictures are compared without sketches


def duplicate_groups(
    digests: Sequence[str], thumbs: NDArray[np.uint8]
) -> tuple[list[list[int]], list[list[int]]]:
    """Group the pictures that are the same, and those that are nearly the same.

    digests: one a picture.   thumbs: (M, side, side) grey.
    Returns (exact, near): lists of groups, each a sorted list of indices. Of exact copies only the first
    takes part in a near group. Every member of a near group is like one picture of it directly, so a chain
    of small changes (the frames of a film) does not join its two ends.
    """
    exact: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        exact.setdefault(digest, []).append(i)
    first = np.array([members[0] for members in exact.values()], int)
    near = [sorted(first[group].tolist()) for group in _near(thumbs[first])]
    return [members for members in exact.values() if len(members) > 1], sorted(near)


def join(
    size: int, exact: Sequence[Sequence[int]], near: Sequence[Sequence[int]], names: Sequence[str | None]
) -> NDArray[np.int64]:
    """Number what has to stay on one side of a split: copies, near copies and pictures of one named group.

    size: pictures.   exact, near: groups of indices.   names: each picture's group or None.
    Returns (size,): equal numbers where pictures are joined, if only through others.

    >>> join(5, [[0, 1]], [[1, 4]], [None, None, "cat", "cat", None]).tolist()
    [0, 0, 2, 2, 0]
    """
    parent = list(range(size))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    named: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if name is not None:
            named.setdefault(name, []).append(i)
    for group in (*exact, *near, *named.values()):
        for i in group[1:]:
            low, high = sorted((root(group[0]), root(i)))
            parent[high] = low
    return np.array([root(i) for i in range(size)], np.int64)


def _near(thumbs: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    grey = thumbs.reshape(len(thumbs), np.prod(thumbs.shape[1:])).astype(np.float32)
    level = grey.mean(1)
    grey -= level[:, None]
    spread = _unit(grey) / np.sqrt(grey.shape[1])
    keep = np.flatnonzero(spread > FLAT)
    if len(keep) < 2:
        return []
    if len(keep) < len(grey):  # else it would be a copy of everything
        grey, level, spread = grey[keep], level[keep], spread[keep]
    contrast = np.log2(spread)
    sketch = _sketch(grey)
    order = np.argsort(sketch[:, 0], kind="stable")
    sketch = sketch[order]
    # Unit vectors that correlate by ALIKE are at most this far apart, also in one coordinate.
    reach = np.sqrt(2 - 2 * ALIKE)
    ends = np.searchsorted(sketch[:, 0], sketch[:, 0] + reach, side="right")
    groups, taken = [], np.zeros(len(keep), bool)
    for start in range(0, len(keep), BLOCK):
        stop = min(start + BLOCK, len(keep))
        possible = sketch[start:stop] @ sketch[start : ends[stop - 1]].T > ALIKE
        for row in np.flatnonzero(possible.sum(1) > 1):  # each is like itself
            i = start + row
            if taken[i]:
                continue
            found = start + np.flatnonzero(possible[row])
            found = found[(found > i) & ~taken[found]]
            a, b = order[i], order[found]
            found = found[
                (abs(level[b] - level[a]) < BRIGHTNESS) & (abs(contrast[b] - contrast[a]) < CONTRAST)
            ]
            found = found[grey[order[found]] @ grey[a] > ALIKE]
            if len(found):
                members = np.append(i, found)
                edges = _edges(thumbs[keep[order[members]]])
                members = members[edges @ edges[0] > ALIKE_EDGES]
                if len(members) > 1:
                    taken[members] = True
                    groups.append(keep[order[members]])
    return groups


def _sketch(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shorten unit vectors to their main components and the length of the rest.

    The inner product of two sketches is never below that of the vectors (Cauchy-Schwarz): nothing is missed.
    """
    if len(grey) < FEW:
        return grey
    sample = grey[:: len(grey) // FEW]
    sample = sample - sample.mean(0)
    axes = np.random.default_rng(0).normal(size=(grey.shape[1], COMPONENTS)).astype(np.float32)
    for _ in range(4):  # orthogonal iteration: any orthonormal axes are right, the main ones are fast
        axes, _ = np.linalg.qr(sample.T @ (sample @ axes))
    short = grey @ axes
    rest = np.sqrt(np.maximum(0, 1 - np.square(short).sum(1, keepdims=True)))
    return np.hstack([short, rest])


def _edges(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = thumbs.astype(np.float32)
    down, across = np.diff(grey, axis=1)[:, :, 1:], np.diff(grey, axis=2)[:, 1:]
    edges = np.stack([down, across], 1).reshape(len(grey), -1)
    _unit(edges)
    return edges


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors to length 1 in place, zeros apart; return their lengths."""
    length: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.maximum(length, 1e-9)[:, None]
    return length
