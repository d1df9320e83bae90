"""A unit of the picture: one volume with its way in and out, or a block whose branches part and meet.

The longest way through a block runs along the ground; every other branch runs above it, and a shortcut is a
branch without a volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from striate.report.network.flow import columns
from striate.report.network.volumes import WAY, WORDS, stand, volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.report.network.flow import Unit, Volume
    from striate.report.network.volumes import Picture, Standing

IN, OUT = 14, 5  # room for the line before and behind a volume
ENTRY, GAP = 20, 18  # room before a block's first column, and between its columns
RISE, FALL = 5, 10  # where lines run in that room: so far behind the one volume, so far before the next
BARE = 11  # height of a branch without a volume


def unit(picture: Picture, part: Unit, heading: str) -> str:
    """Draw a unit as HTML of a fixed size. heading: what stands above it, which names need not repeat."""
    return _block(picture, part) if len(part.volumes) > 1 else _single(picture, part, heading)


def _single(picture: Picture, part: Unit, heading: str) -> str:
    at = part.volumes[0]
    standing = stand(picture, at, part, heading)
    left = IN if at else 1  # an outline's half
    width, ground = left + standing.width + OUT, standing.above
    y = ground - WAY
    lines = (
        f'<path d="M0 {y:.4g}H{left}"/>{_arrow(left, y)}' if part.entry in picture.drawn[at].sources else ""
    )
    if at + 1 in picture.readers.get(at, ()):
        lines += f'<path d="M{left} {y:.4g}H{width:.4g}"/>'
    return _framed(width, ground, lines, volume(picture, standing, left, ground, width - left))


def _arrow(x: float, y: float) -> str:
    return f'<path class="arrow" d="M{x - 1:.4g} {y:.4g}l-6-3.5v7z"/>'


def _framed(width: float, ground: float, lines: str, inside: str) -> str:
    height = ground + WORDS
    return (
        f'<div class="unit" style="width:{width:.4g}px;height:{height:.4g}px"><svg class="way" '
        f'width="{width:.4g}" height="{height:.4g}" aria-hidden="true">{lines}</svg>{inside}</div>'
    )


@dataclass(frozen=True)
class Branch:
    """Volumes in a row, between the one they come from and the one they lead to."""

    source: int | None
    volumes: tuple[int, ...]
    target: int | None


def branches(part: Unit, drawn: Sequence[Volume]) -> list[Branch]:
    """Part a block into its longest way, which comes first, and what runs beside it.

    Every volume is on one branch; a join that none of them makes is a branch without a volume.
    """
    column = columns(part, drawn)

    def weight(at: int) -> tuple[bool, int, bool, int]:
        # The block's last volume first, then what is furthest along; of two as far, the one that has weights.
        return at == part.volumes[-1], column[at], drawn[at].kind in {"conv", "dense"}, -at

    left, found = set(part.volumes), []
    joins = {(source, at) for at in part.volumes for source in drawn[at].sources}
    while left:
        chain = [max(left, key=weight)]
        while before := [source for source in drawn[chain[0]].sources if source in left]:
            chain.insert(0, max(before, key=weight))
        left -= set(chain)
        source = max(drawn[chain[0]].sources, key=lambda at: column[at], default=None)
        target = next((at for at in part.volumes if chain[-1] in drawn[at].sources), None)
        joins -= {*pairwise(chain), (source, chain[0]), (chain[-1], target)}
        found.append(Branch(source, tuple(chain), target))
    return [*found, *(Branch(source, (), target) for source, target in sorted(joins))]


def tracks(found: Sequence[Branch], column: Mapping[int, int]) -> dict[Branch, int]:
    """Stack branches above the longest way, short ones lowest, so that lines nest as brackets do."""
    end = max(column.values()) + 1

    def span(branch: Branch) -> tuple[int, int]:
        start = column[branch.volumes[0]] - 1 if branch.source is None else column[branch.source]
        return start, end if branch.target is None else column[branch.target]

    def length(branch: Branch) -> int:
        start, stop = span(branch)
        return stop - start

    main, *rest = found
    track, taken = {main: 0}, [[(-1, end)]]
    for branch in sorted(rest, key=length):
        start, stop = span(branch)
        free = (all(stop <= a or b <= start for a, b in spans) for spans in taken)
        level = next((level for level, room in enumerate(free) if room), len(taken))
        if level == len(taken):
            taken.append([])
        taken[level].append((start, stop))
        track[branch] = level
    return track


@dataclass(frozen=True)
class Plan:
    """Where everything in a block stands, in pixels from its upper left corner."""

    left: Mapping[int, float]  # of a volume
    right: Mapping[int, float]  # of a volume's column; the entry's too
    level: Mapping[int, int]  # the track of a volume; the entry's too
    floors: Sequence[float]  # the ground of a track

    def line(self, branch: Branch, level: int) -> str:
        """Lead a branch up where it parts, along its track, and down where it meets."""
        y = [floor - WAY for floor in self.floors]
        if branch.source is None:
            path = f"M{self.left[branch.volumes[0]]:.4g} {y[level]:.4g}"
        else:
            path = (
                f"M{self.right[branch.source] + RISE:.4g} {y[self.level[branch.source]]:.4g}V{y[level]:.4g}"
            )
        if branch.volumes:
            path += f"H{self.left[branch.volumes[-1]]:.4g}"
        if branch.target is not None:
            x = self.left[branch.target]
            path += f"H{x - FALL:.4g}V{y[self.level[branch.target]]:.4g}H{x:.4g}"
        heads = "".join(_arrow(self.left[at], y[level]) for at in branch.volumes)
        return f'<path{"" if branch.volumes else " class=skip"} d="{path}"/>{heads}'


def _block(picture: Picture, part: Unit) -> str:
    column = columns(part, picture.drawn)
    track = tracks(branches(part, picture.drawn), column)
    standing = {at: stand(picture, at, part, None) for at in part.volumes}

    widths = [
        max(standing[at].width for at in part.volumes if column[at] == n)
        for n in range(max(column.values()) + 1)
    ]
    starts = list(accumulate((width + GAP for width in widths), initial=float(ENTRY)))
    plan = Plan(
        left={at: starts[column[at]] for at in part.volumes},
        right={at: starts[column[at]] + widths[column[at]] for at in part.volumes} | {part.entry: 0},
        level={at: level for branch, level in track.items() for at in branch.volumes} | {part.entry: 0},
        floors=_floors(track, standing),
    )
    last, ground = part.volumes[-1], plan.floors[0]
    width = plan.right[last] + OUT
    y = ground - WAY
    lines = "".join(plan.line(branch, level) for branch, level in track.items())
    lines += f'<path d="M0 {y:.4g}H{ENTRY}"/>'
    if picture.readers.get(last):
        lines += f'<path d="M{plan.left[last]:.4g} {y:.4g}H{width:.4g}"/>'
    inside = "".join(
        volume(
            picture,
            standing[at],
            plan.left[at],
            plan.floors[plan.level[at]],
            plan.right[at] + RISE - plan.left[at],
        )
        for at in part.volumes
    )
    return _framed(max(width, *plan.right.values()), ground, lines, inside)


def _floors(track: Mapping[Branch, int], standing: Mapping[int, Standing]) -> list[float]:
    """Give the ground of every track from the top of the block; track 0 is the lowest."""
    floors, y = [], 4.0
    for level in reversed(range(max(track.values()) + 1)):
        here = [
            standing[at] for branch, at_level in track.items() if at_level == level for at in branch.volumes
        ]
        y += max((one.above for one in here), default=BARE)
        floors.append(y)
        y += max((one.below for one in here), default=0)
    return floors[::-1]
