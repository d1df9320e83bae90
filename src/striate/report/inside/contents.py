"""What the page of ``striate explain`` tells: plain arrays and words, gathered by whoever ran the methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from striate.explain.health import Health
    from striate.report.contents import Shown
    from striate.report.series import Along


@dataclass(frozen=True, eq=False)
class Map:
    """What a method found in a picture. method: its name in METHODS.

    values: (H, W) at the picture's size, or (C, H, W) where the method makes a pattern and no map; (L,) along
    a sequence.
    other: the same for the class that it is compared with.   badge: what became of the map when the weights
    were randomised.   coarse: (h, w) or (l,) of the layer that a map was enlarged from.
    """

    method: str
    values: NDArray[Any]
    other: NDArray[Any] | None = None
    badge: str = ""
    moves: bool = True
    coarse: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Maps:
    """Feature maps (n, h, w) or (n, l) of a layer, most active first.

    units: their numbers.   total: of all units.
    """

    layer: str
    kind: str
    units: list[int]
    maps: NDArray[Any]
    total: int


@dataclass(frozen=True, eq=False)
class Looked:
    """A picture or sequence, and what was found in it. Names as the user wrote them.

    picture: (H, W, 1 or 3) uint8 as the network is shown it, or the sequence.   note: how it was converted,
    or "".
    top: the best classes with their probabilities; for a regression the number alone, with None.
    target, versus: the classes that the maps are about; "" for numbers, and where there is no second class.
    near: the nearest training pictures.   seen: how many of them were looked through.
    """

    name: str
    picture: NDArray[np.uint8] | Along
    top: tuple[tuple[str, float | None], ...]
    target: str = ""
    versus: str = ""
    note: str = ""
    maps: list[Map] = field(default_factory=list)
    layers: list[Maps] = field(default_factory=list)
    near: list[Shown] = field(default_factory=list)
    seen: int = 0


@dataclass(frozen=True, eq=False)
class Filters:
    """Kernels of a layer. kernels: (n, C, h, w) or (n, C, k) raw, those shown.   total: of all."""

    layer: str
    kind: str
    kernels: NDArray[Any]
    total: int


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit: the pictures' patches that excite it most, their values, and the picture made for it."""

    name: str
    patches: list[Shown]
    made: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """The picture (H, W, 1 or 3) uint8 that was made for a class."""

    name: str
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Points:
    """Features of N pictures in the plane. places: (N, 2).   groups: (N,) class of each.

    labelled: each class is named in the middle of its dots, where those are together.
    """

    title: str
    places: NDArray[Any]
    groups: NDArray[Any]
    names: Sequence[str]
    labelled: bool = False


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrongly answered picture or sequence with the map of what was said and of what is true."""

    picture: NDArray[np.uint8] | Along
    said: str
    true: str
    name: str
    map_said: NDArray[Any]
    map_true: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Network:
    """What there is to see of a network without a picture.

    method, badge: of the mistakes' maps.   searched: pictures whose patches were looked at.
    noun: what one of the data is called.
    """

    filters: list[Filters] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    method: str = ""
    badge: str = ""
    units: list[Unit] = field(default_factory=list)
    searched: int = 0
    made: list[Made] = field(default_factory=list)
    layers: list[Maps] = field(default_factory=list)
    health: Health | None = None
    points: list[Points] = field(default_factory=list)
    noun: str = "picture"
