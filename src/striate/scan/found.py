"""What a scan found in a picture: the answer, each class's boxes and its map."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.scan.boxes import Box, Level


@dataclass(frozen=True)
class Found:
    """A class in a picture. best: the highest probability of any window, 0..1.  boxes: best first."""

    name: str
    best: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Scanned:
    """A picture that was looked over.

    picture: (H, W, C) decoded.   mode, reason, stride: see :class:`striate.scan.way.Way`; stride, window in
    pixels.   difference: of an exact map, share of the largest answer; of an approximate one, of a
    probability, measured on this picture; None by windows.   scales: sizes that were looked at, as shares of
    the picture's own.   threshold: the least probability of a box.   classes: the most probable first.
    """

    file: str
    picture: NDArray[Any]
    mode: str
    reason: str
    difference: float | None
    stride: int
    window: int
    scales: tuple[float, ...]
    threshold: float
    names: tuple[str, ...]
    levels: tuple[Level, ...]
    classes: tuple[Found, ...]

    @property
    def answer(self) -> tuple[str, ...]:
        """Names of the classes that the picture contains: those with a box."""
        return tuple(one.name for one in self.classes if one.boxes)

    @property
    def how(self) -> str:
        """Say in words how the network was slid."""
        off = self.difference or 0
        told = {
            "exact": f": one map is the same as its windows, to {off:.0e}",
            "approximate": f"; on this picture probabilities are off by up to {off:.2g}",
        }
        mode = "by windows" if self.mode == "windows" else self.mode
        return f"{mode}: {self.reason}{told.get(self.mode, '')}"

    @property
    def verdict(self) -> str:
        """Answer in words whether the picture contains anything."""
        at_least = f"{self.threshold:.4g}"
        boxed = [one for one in self.classes if one.boxes]
        if not boxed:
            best = self.classes[0]
            told = f"no {best.name}" if len(self.classes) == 1 else "none of the classes"
            return f"Answer: {told}; the best window is {best.best:.1%} {best.name}, below {at_least}."
        counts = ", ".join(f"{one.name} ({len(one.boxes)}, {one.best:.1%})" for one in boxed)
        return f"Answer: {counts}; windows of at least {at_least}."

    def heat(self, name: str, height: int, width: int) -> Tensor:
        """Draw a class's map: at each place the best window around it, (height, width) over the picture."""
        unit, side = self.names.index(name), self.picture.shape[:2]
        return torch.stack(
            [_spread(one, unit, self.window, side, height, width) for one in self.levels]
        ).amax(0)

    def json(self) -> dict[str, Any]:
        """Give the object of ``scan --json``."""
        plain = ("file", "mode", "reason", "difference", "stride", "window", "threshold")
        return {name: getattr(self, name) for name in plain} | {
            "scales": list(self.scales),
            "classes": {
                one.name: {"best": one.best, "boxes": [asdict(box) for box in one.boxes]}
                for one in self.classes
            },
            "answer": list(self.answer),
        }


def _spread(level: Level, unit: int, window: int, side: tuple[int, ...], height: int, width: int) -> Tensor:
    """Interpolate one size's probabilities between the centres of its windows; the outermost go on."""
    lines = []
    for axis, count in ((0, height), (1, width)):
        pixel = (torch.arange(count) + 0.5) * (side[axis] / count) * level.scale[axis]
        last = level.scores.shape[axis + 1] - 1
        lines.append((2 * (pixel - window / 2) / level.stride[axis] / max(1, last) - 1).clamp(-1, 1))
    grid = torch.stack(torch.meshgrid(lines[1], lines[0], indexing="xy"), 2)
    return F.grid_sample(level.scores[None, unit : unit + 1], grid[None], align_corners=True)[0, 0]
