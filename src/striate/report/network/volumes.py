"""One volume of the picture: a box on the ground with its words below it.

As tall as its rows, as deep as its columns, as thick as its channels. Every edge is drawn on a square-root
scale, so that 7 and 224 rows, 1 and 2,048 channels fit one page. All sizes are pixels of the page: the
picture wraps like words, and a phone shows the same on more lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.report.markup import text
from striate.report.network.flow import kind_of
from striate.report.network.rows import amiss, below, extents, loses, operation, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from striate.report.network.flow import Unit, Volume
    from striate.summary.result import Layer, Shape

TALL, STEEP = 112, 24  # of the tallest box, and at most for one unit of a square root
THICK, FAT = 58, 4.5  # the same for channels
BAR, BARS = 9, 100  # thickness of a dense layer's bar, and the tallest
FEW, LARGER = 20, 1.6  # a network of fewer volumes is drawn larger, up to this
LEAST = 4  # no edge is shorter
ACROSS, UP = 0.36, 0.27  # what a pixel of depth takes to the right and upwards
SLICE = 3.5  # thickness of what a volume wears
WAY = 4  # the line of the data runs this far above the ground
LINE = 14  # of text
WORDS = 3 * LINE + 6  # below the ground, wherever volumes have names
MARK = 17  # above a volume that is amiss or read from afar
WIDE = {"o": 5.7, "z": 6.1, "n": 6.1}  # of a letter, by the CSS class of its line


@dataclass(frozen=True)
class Box:
    """Edges: thickness along the line, height, and the depth's way to the right and upwards."""

    thick: float
    tall: float
    right: float
    up: float


@dataclass(frozen=True)
class Scale:
    """Pixels for the square root of a row or column, of a channel, of a dense layer's unit."""

    side: float
    channel: float
    unit: float

    @classmethod
    def fit(cls, shapes: Iterable[Shape]) -> Scale:
        """Let the largest tensor of a network fill its room, which is larger where there are few."""
        known = [extents(shape) for shape in shapes]
        side = max((max(h, w) for _, h, w in known if h), default=1)
        channel = max((c for c, h, _ in known if h), default=1)
        unit = max((c for c, h, _ in known if not h), default=1)
        larger = max(1.0, min(LARGER, FEW / len(known)))
        edges = ((TALL, STEEP, side), (THICK, FAT, channel), (BARS, FAT, unit))
        return cls(*(larger * min(room / math.sqrt(most or 1), steep) for room, steep, most in edges))

    def box(self, shape: Shape) -> Box:
        """Give the edges of a tensor's box."""
        c, h, w = extents(shape)
        if not h:
            return Box(BAR, max(LEAST, self.unit * math.sqrt(c)), ACROSS * BAR, UP * BAR)
        tall, deep = (max(2 * LEAST, self.side * math.sqrt(n)) for n in (h, w))
        return Box(max(LEAST, self.channel * math.sqrt(c)), tall, ACROSS * deep, UP * deep)


@dataclass(frozen=True)
class Picture:
    """A network with what the drawing of any part needs to know of the others."""

    layers: Sequence[Layer]
    drawn: Sequence[Volume]
    readers: Mapping[int, Sequence[int]]  # by volume, the volumes made from it
    ports: Mapping[int, str]  # letters for volumes that are read where no line leads
    scale: Scale
    label: Callable[[int], str]  # what a screen reader says of a volume, as HTML
    tip: Callable[[int], str]  # what the pointer shows of it, as HTML

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        drawn: Sequence[Volume],
        parts: Sequence[Unit],
        label: Callable[[int], str],
        tip: Callable[[int], str],
    ) -> Picture:
        """Find who reads what, and what is read from afar."""
        readers: dict[int, list[int]] = {}
        for at, volume in enumerate(drawn):
            for source in volume.sources:
                readers.setdefault(source, []).append(at)
        near = {at: {part.entry, *part.volumes} for part in parts for at in part.volumes}
        far = {source for source, found in readers.items() for at in found if source not in near[at]}
        ports = {source: _letters(i) for i, source in enumerate(sorted(far))}
        return cls(layers, drawn, readers, ports, Scale.fit(v.shape for v in drawn), label, tip)

    def rows(self, at: int) -> list[Layer]:
        """Give a volume's own row, which the input lacks, and those it wears."""
        volume = self.drawn[at]
        return [self.layers[row] for row in (volume.row, *volume.worn) if row >= 0]

    def amiss(self, at: int) -> bool:
        """Tell whether a volume deserves a warning."""
        return any(amiss(row) for row in self.rows(at))


def _letters(n: int) -> str:
    """Count A, B, ... Z, AA, AB."""
    return (_letters(n // 26 - 1) if n >= 26 else "") + chr(ord("A") + n % 26)


@dataclass(frozen=True)
class Standing:
    """A volume as it stands in its unit: what joins it to others, its words, its measures."""

    at: int
    port: str  # what it reads and gives where no line leads
    words: tuple[tuple[str, str], ...]  # CSS class and text of each line
    width: float
    above: float
    below: float


def stand(picture: Picture, at: int, part: Unit, heading: str | None) -> Standing:
    """Measure a volume of a unit. heading: what its name may leave out; None leaves the name out."""
    volume = picture.drawn[at]
    box = picture.scale.box(volume.shape)
    afar = [picture.ports[s] for s in volume.sources if s != part.entry and s not in part.volumes]
    port = f"{', '.join(afar[:3])}{f' +{len(afar) - 3}' if afar[3:] else ''} →" if afar else ""
    port += f" → {picture.ports[at]}" if at in picture.ports else ""
    words = _words(picture, at, part, heading)
    body, worn = _made_of(picture, at)
    solid = sum(thick for thick, _ in [*body, *worn]) + box.right + 4
    width = max(solid, *(len(word) * WIDE[css] for css, word in words))
    head = MARK if port or picture.amiss(at) else 3
    return Standing(at, port.strip(), words, width, box.tall + box.up + head, LINE * len(words) + 6)


def _words(picture: Picture, at: int, part: Unit, heading: str | None) -> tuple[tuple[str, str], ...]:
    volume = picture.drawn[at]
    if volume.row < 0:
        return ("o", "input"), ("z", times(volume.shape))
    layer = picture.layers[volume.row]
    found = [("o", operation(layer))]
    before = volume.sources[:1]
    # Inside a block a shape is written where it changes, and where the block begins.
    if heading is not None or before in {(), (part.entry,)} or picture.drawn[before[0]].shape != volume.shape:
        found.append(("z", times(volume.shape)))
    if heading is not None and not layer.functional:
        name = below(layer.name, heading)
        if name != found[0][1]:
            found.append(("n", name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}"))
    return tuple(found)


def _made_of(picture: Picture, at: int) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """Give thickness and kind of a volume's parts, and of the slices it wears."""
    volume = picture.drawn[at]
    thick = picture.scale.box(volume.shape).thick
    body = [(thick, volume.kind)]
    if volume.kind == "cat" and volume.shape:
        parts = [picture.drawn[source].shape[0] for source in volume.sources if picture.drawn[source].shape]
        if sum(parts) == volume.shape[0]:  # joined along the channels, each tensor once
            body = [(thick * part / sum(parts), "cat") for part in parts]
    worn = [kind_of(picture.layers[row]) for row in volume.worn]
    return body, [(SLICE, kind) for kind in worn if kind != "shape"]


def volume(picture: Picture, standing: Standing, left: float, ground: float, reach: float) -> str:
    """Draw one volume as HTML that takes the focus and shows its numbers.

    left, ground: where its lower left corner stands in its unit; reach: how far behind it its window points.
    """
    at, floor = standing.at, standing.above
    box = picture.scale.box(picture.drawn[at].shape)
    body, worn = _made_of(picture, at)
    face = Face(box, sum(thick for thick, _ in [*body, *worn]), floor)
    top = floor - box.tall - box.up - 4
    inside = solid(box, body, worn, floor) + _unseen(picture, at, face) + _window(picture, at, face, reach)
    if picture.amiss(at):
        inside += f'<path class="mark" d="M6.5 {top - 12:.4g}l6.5 12h-13z"/>'
        inside += f'<text class="bang" x="6.5" y="{top - 1.5:.4g}">!</text>'
    if standing.port:
        inside += (
            f'<text class="port" x="{17 if picture.amiss(at) else 0}" y="{top:.4g}">{standing.port}</text>'
        )
    for line, (css, word) in enumerate(standing.words, 1):
        inside += f'<text class="{css}" y="{floor + LINE * line:.4g}">{text(word)}</text>'
    return (
        f'<div class="v" tabindex="0" role="img" aria-label="{picture.label(at)}" '
        f'style="margin:{ground - floor:.4g}px 0 0 {left:.4g}px">'
        f'<svg width="{standing.width:.4g}" height="{floor + standing.below:.4g}" aria-hidden="true">'
        f"{inside}</svg>{picture.tip(at)}</div>"
    )


def solid(
    box: Box, body: Sequence[tuple[float, str]], worn: Sequence[tuple[float, str]], ground: float
) -> str:
    """Draw a box whose lower left corner stands at (0, ground), in slices; the face is of its first kind."""
    x, drawn = 0.0, ""
    for thick, css in [*body, *worn]:
        drawn += (
            f'<g class="{css}"><path class="f" d="M{x:.4g} {ground:.4g}v{-box.tall:.4g}h{thick:.4g}'
            f'v{box.tall:.4g}z"/><path class="t" d="M{x:.4g} {ground - box.tall:.4g}'
            f'l{box.right:.4g} {-box.up:.4g}h{thick:.4g}l{-box.right:.4g} {box.up:.4g}z"/></g>'
        )
        x += thick
    return drawn + Face(box, x, ground).part((0, 1), (0, 1), f"s {body[0][1]}")


@dataclass(frozen=True)
class Face:
    """The face of a box that shows rows and columns; its lower left corner stands at (x, ground)."""

    box: Box
    x: float
    ground: float

    def corners(self, across: tuple[float, float], up: tuple[float, float]) -> list[tuple[float, float]]:
        """Give the corners of a part from its lower left, counter-clockwise; shares of 1."""
        turns = [(across[0], up[0]), (across[1], up[0]), (across[1], up[1]), (across[0], up[1])]
        box = self.box
        return [(self.x + u * box.right, self.ground - u * box.up - v * box.tall) for u, v in turns]

    def part(self, across: tuple[float, float], up: tuple[float, float], css: str) -> str:
        """Draw a part of the face."""
        points = "L".join(f"{x:.4g} {y:.4g}" for x, y in self.corners(across, up))
        return f'<path class="{css}" d="M{points}z"/>'


def _unseen(picture: Picture, at: int, face: Face) -> str:
    """Mark the last rows and columns, which no window that reads them sees."""
    readers = (picture.layers[picture.drawn[reader].row] for reader in picture.readers.get(at, ()))
    losses = [(layer.border_loss or (0, 0)) if loses(layer) else (0, 0) for layer in readers]
    _, h, w = extents(picture.drawn[at].shape)
    rows = min((loss[-2:][0] for loss in losses), default=0) / max(1, h)
    columns = min((loss[-1] for loss in losses if len(loss) > 1), default=0) / max(1, w)
    tall, deep = (min(1, max(rows, 2.5 / face.box.tall)), min(1, max(columns, 2 / face.box.right)))
    found = face.part((0, 1), (0, tall), "lost") if rows else ""
    if rows and w == 1:  # a signal's face is too narrow to show it
        found += f'<path class="lost" d="M0 {face.ground:.4g}h{face.x:.4g}v{-tall * face.box.tall:.4g}H0z"/>'
    return found + (face.part((1 - deep, 1), (0, 1), "lost") if columns else "")


def _window(picture: Picture, at: int, face: Face, reach: float) -> str:
    """Draw the window that slides over a volume, where it is large enough to be one."""
    windows = (picture.layers[picture.drawn[reader].row].window for reader in picture.readers.get(at, ()))
    window = next((w for w in windows if w and max(axis.kernel for axis in w.axes) > 1), None)
    if not window or not extents(picture.drawn[at].shape)[1]:
        return ""
    shares = [min(1, axis.extent / max(1, axis.n)) for axis in window.axes]
    tall, deep = (shares[-2], shares[-1]) if len(shares) > 1 else (shares[0], 1)
    if tall * face.box.tall < 8 or deep * face.box.right < 3:
        return ""
    across, up = ((1 - share) / 2 for share in (deep, tall))
    spot = (across, 1 - across), (up, 1 - up)
    rays = "".join(
        f"M{x:.4g} {y:.4g}L{reach:.4g} {face.ground - WAY:.4g}" for x, y in face.corners(*spot)[1:3]
    )
    return f'<path class="ray" d="{rays}"/>{face.part(*spot, "window")}'


def key(rank: int) -> str:
    """Draw the legend's box with its edges named, for inputs of so many axes; vectors have but bars."""
    tall, deep = ("rows", "columns") if rank > 2 else ("length", "")
    if rank < 2:
        return ""
    said = f"its height is {tall}, " + (f"its depth {deep}, " if deep else "") + "its thickness channels"
    box = Box(24, 48, 28, 20) if deep else Box(24, 48, 3, 2)
    return (
        f'<svg class="key-box" width="150" height="98" role="img" aria-label="A box: {said}.">'
        f'<g transform="translate(44)">{solid(box, [(24, "conv")], [], 76)}</g>'
        f'<text x="38" y="56" text-anchor="end">{tall}</text>'
        '<text x="56" y="92" text-anchor="middle">channels</text>'
        f'<text x="88" y="76">{deep}</text></svg>'
    )
