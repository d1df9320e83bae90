"""What is drawn of a network: its rows as volumes, volumes as blocks, blocks as stages.

A row that changes a tensor's values but not its shape (normalisation, activation, dropout) is worn by the
volume it acts on. A block is what lies between two points where a single tensor carries everything on, so a
residual or inception block is found by its wiring, whatever its modules are called; stages follow the paths
of the modules.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from striate.summary.result import Inspected, Layer, Shape

# What a volume is, in the order of the legend; the words that tell it apart stand in kind_of.
KINDS = {
    "input": "input",
    "conv": "convolution",
    "pool": "pooling",
    "dense": "dense layer, matrix product",
    "add": "branches meet: sum, product",
    "cat": "concatenation",
    "shape": "rearranged, nothing computed",
    "norm": "normalisation",
    "act": "activation",
    "drop": "dropout",
    "other": "anything else",
}
WORDS = {
    "norm": "norm lrn",
    "drop": "dropout",
    "pool": "pool mean",
    "act": "relu sigmoid tanh softm gelu silu swish mish elu softplus softsign shrink glu threshold",
    "cat": "cat stack",
    "add": "add sub mul div",
    "shape": (
        "flatten view reshape permute transpose squeeze getitem slice index select pad identity contiguous "
        "chunk split expand roll shuffle unfold clone narrow unbind repeat flip crop"
    ),
}
WORN = {"norm", "act", "drop", "shape", "add", "other"}
BLOCK = 24, 9  # a block with more volumes, or more of them in a row, is drawn as a line of its own
LONG = 40  # a network of more volumes is folded where it repeats itself


def kind_of(layer: Layer) -> str:
    """Tell what kind of volume a row makes, one of KINDS."""
    name = layer.kind.lower()
    if layer.window is not None:
        return "conv" if layer.window.learned else "pool"
    if "conv" in name:
        return "conv"
    found = next(
        (kind for kind, words in WORDS.items() if any(word in name for word in words.split())), "other"
    )
    if found in {"norm", "drop", "pool", "cat"}:
        return found
    if layer.multiply_adds or name in {"linear", "lazylinear", "embedding"}:
        return "dense"
    return "other" if found == "add" and len(set(layer.inputs)) < 2 else found


@dataclass(frozen=True)
class Volume:
    """A tensor that is drawn. row and worn are positions in Inspected.layers; row is -1 for the input."""

    row: int
    kind: str
    shape: Shape
    sources: tuple[int, ...] = ()  # positions of the volumes it is made from
    worn: tuple[int, ...] = ()  # rows that change its values in place, in order
    path: tuple[str, ...] = ()  # of the module that the call stands in


@dataclass(frozen=True)
class Unit:
    """One volume, or a block whose branches part and meet again; positions of its volumes in order."""

    volumes: tuple[int, ...]
    path: tuple[str, ...]
    entry: int = -1  # the volume that all of it is made from; -1 for the input itself


@dataclass(frozen=True)
class Group:
    """Units of one module in a stage; like says how many groups before it look the same."""

    path: str
    units: tuple[Unit, ...]
    like: bool = False


@dataclass(frozen=True)
class Stage:
    """Groups under one heading; the heading is empty for volumes that the network makes itself."""

    title: str
    groups: tuple[Group, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """All units in order."""
        return tuple(unit for group in self.groups for unit in group.units)


def volumes(inspected: Inspected) -> tuple[Volume, ...]:
    """Give the input and every row as a volume of its own or as worn by one."""
    layers = inspected.layers
    readers: dict[int, set[int]] = {}
    for row, layer in enumerate(layers):
        for source in layer.inputs:
            readers.setdefault(source, set()).add(row)
    found = [Volume(-1, "input", inspected.input)]
    place = {-1: 0}
    for row, layer in enumerate(layers):
        kind = kind_of(layer)
        sources = tuple(dict.fromkeys(place[source] for source in layer.inputs if source in place))
        alone = len(set(layer.inputs)) == 1 and readers[layer.inputs[0]] == {row}
        if alone and sources and kind in WORN and layer.input == layer.output and not layer.multiply_adds:
            at = sources[0]
            found[at] = replace(found[at], worn=(*found[at].worn, row))
        else:
            at = len(found)
            found.append(Volume(row, kind, layer.output, sources, path=tuple(layer.name.split(".")[:-1])))
        place[row] = at
    return tuple(found)


def units(drawn: Sequence[Volume]) -> tuple[Unit, ...]:
    """Cut the flow wherever one tensor carries everything on."""
    reach = list(range(len(drawn)))  # the last volume that reads each
    for at, volume in enumerate(drawn):
        for source in volume.sources:
            reach[source] = max(reach[source], at)
    cut, furthest = [-1], 0
    for at in range(len(drawn)):
        if furthest <= at:
            cut.append(at)
        furthest = max(furthest, reach[at])
    found: list[Unit] = []
    for before, last in itertools.pairwise(cut):
        inside = tuple(range(before + 1, last + 1))
        block = Unit(inside, _common(drawn[at].path for at in inside), before)
        found += (
            [block] if _drawable(block, drawn) else [Unit((at,), drawn[at].path, at - 1) for at in inside]
        )
    return tuple(found)


def columns(block: Unit, drawn: Sequence[Volume]) -> dict[int, int]:
    """Place every volume of a block one column behind the last of its sources; the entry stands at -1."""
    column = {block.entry: -1}
    for at in block.volumes:
        column[at] = 1 + max((column[s] for s in drawn[at].sources if s in column), default=-1)
    return column


def _drawable(block: Unit, drawn: Sequence[Volume]) -> bool:
    most, wide = BLOCK
    return len(block.volumes) <= most and max(columns(block, drawn).values()) < wide


def _common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    parts = itertools.takewhile(lambda same: len(set(same)) == 1, zip(*paths, strict=False))
    return tuple(same[0] for same in parts)


def stages(drawn: Sequence[Volume], layers: Sequence[Layer]) -> tuple[Stage, ...]:
    """Put units under headings, and mark what looks like what stands before it in a long network."""
    fold = len(drawn) > LONG
    return tuple(
        Stage(".".join(path), _groups(inside, len(path), fold, lambda one: _look(one, drawn, layers)))
        for path, inside in _headed(units(drawn))
    )


def _headed(found: Sequence[Unit]) -> list[tuple[tuple[str, ...], list[Unit]]]:
    """Put units under the paths of their modules; what stands alone needs no heading."""
    headed: list[tuple[tuple[str, ...], list[Unit]]] = []
    for path, inside in _split(found, 0):
        alone = len(inside) == len(inside[0].volumes) == 1
        heading = () if alone else path
        if headed and not heading and not headed[-1][0]:
            headed[-1][1].extend(inside)
        elif len(headed) == len(headed[0][1] if headed else ()) == 1:
            headed = [(heading, [*headed[0][1], *inside])]  # the input stands with what reads it
        else:
            headed.append((heading, inside))
    return headed


def _split(found: Sequence[Unit], depth: int) -> Iterator[tuple[tuple[str, ...], list[Unit]]]:
    """Part units by the module that holds them, and again where such a module holds stages of its own."""
    for path, run in itertools.groupby(found, key=lambda unit: unit.path[: depth + 1]):
        inside = list(run)
        within = {unit.path[: depth + 3] for unit in inside if len(unit.path) > depth + 2}
        if len(path) > depth and len({below[:-1] for below in within}) < len(within):
            yield from _split(inside, depth + 1)
        else:
            yield path, inside


def _groups(
    inside: Sequence[Unit], depth: int, fold: bool, look: Callable[[Unit], object]
) -> tuple[Group, ...]:
    found: list[Group] = []
    before: object = None
    alone = itertools.count()
    # A unit that the stage's module makes itself is a group of its own.
    for _, run in itertools.groupby(
        inside, key=lambda unit: unit.path[: depth + 1] if len(unit.path) > depth else next(alone)
    ):
        members = tuple(run)
        seen = [look(unit) for unit in members]
        path = members[0].path[: depth + 1]
        if not depth and len(members) == len(members[0].volumes) == 1:
            path = ()  # a module with nothing but this volume: the volume's own name says so
        like = fold and len(path) > depth > 0 and seen == before
        found.append(Group(".".join(path) if len(path) > depth else "", members, like))
        before = seen
    return tuple(found)


def _look(unit: Unit, drawn: Sequence[Volume], layers: Sequence[Layer]) -> object:
    """Give all that can be seen of a unit, for comparing it with another."""

    def seen(row: int) -> object:
        layer = layers[row] if row >= 0 else None
        return layer and (layer.kind, layer.input, layer.output, layer.window, layer.warning)

    return [
        (seen(v.row), [seen(row) for row in v.worn], [at - source for source in v.sources])
        for at, v in ((at, drawn[at]) for at in unit.volumes)
    ]
