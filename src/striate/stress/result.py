"""What ``striate stress`` found out about one network, or about two on the same draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.stress.measure import Curves, Point
    from striate.stress.place import Places
    from striate.stress.relative import Relative


@dataclass(frozen=True, eq=False)
class Robustness:
    """One network. name: of its run.   classes: names, in the order of its outputs.

    consistency: its hits are the pictures that keep their answer when they are moved. It and places are None
    where they were not asked for.
    """

    name: str
    classes: tuple[str, ...]
    measured: Curves
    consistency: Point | None = None
    places: Places | None = None

    def json(self) -> dict[str, Any]:
        """Give clean, curves and consistency, as ``stress --json`` does."""
        clean = self.measured.clean.json()
        clean["n"] = self.measured.clean.n
        del clean["level"]
        found: dict[str, Any] = {
            "clean": clean,
            "curves": {
                name: [point.json() for point in curve.points] for name, curve in self.measured.curves.items()
            }
            | {name: [] for name in self.measured.skipped},
            "consistency": None,
            "units": {name: curve.unit for name, curve in self.measured.curves.items()},
            "half_at": {
                name: curve.breaks(self.measured.clean) for name, curve in self.measured.curves.items()
            },
            "skipped": self.measured.skipped,
        }
        if self.consistency is not None:
            found["consistency"] = self.consistency.accuracy
            found["consistency_interval"] = list(self.consistency.interval)
        if self.places is not None:
            found["places"] = {
                "share": self.places.share,
                "accuracy": self.places.accuracy.tolist(),
                "worst": {"place": self.places.where, "class": self.classes[self.places.hurt]},
            }
        return found


@dataclass(frozen=True, eq=False)
class Example:
    """What a distortion leaves of a picture, (H, W, 1 or 3) uint8, or the drawing of a sequence as HTML."""

    name: str
    level: float
    picture: NDArray[np.uint8] | str


@dataclass(frozen=True, eq=False)
class Stressed:
    """Everything the page shows.

    data, split: where the pictures are from.   total: pictures there, of which the sample was drawn.
    noun: what one of them is called.   other: the compared network.
    relative: the network's corruption errors, the other's being 1.
    verdict: sentences.   seconds: that it took.
    """

    data: str
    split: str | None
    total: int
    seed: int
    own: Robustness
    other: Robustness | None
    relative: Relative | None
    verdict: list[str]
    seconds: float
    examples: list[Example] = field(default_factory=list)
    noun: str = "picture"

    def json(self) -> dict[str, Any]:
        """Give the document of ``stress --json``."""
        found = self.own.json() | {
            "run": self.own.name,
            "data": self.data,
            "split": self.split,
            "n": self.own.measured.clean.n,
            "of": self.total,
            "seed": self.seed,
            "verdict": self.verdict,
            "seconds": self.seconds,
        }
        if self.other is not None:
            found["compared"] = {"run": self.other.name} | self.other.json()
        if self.relative is not None:
            found["mce"] = asdict(self.relative)
        return found
