"""What excites a unit most among the user's own pictures, cut out to exactly what the unit saw.

Source: Zeiler and Fergus 2013, Visualizing and understanding convolutional networks, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.errors import ModelError
from striate.explain.gradients import differentiable
from striate.explain.layers import batches, follow, named, unit_of
from striate.summary.inspect import inspect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

Box = tuple[int, ...]
Place = tuple[int, ...]


@dataclass(frozen=True)
class Patch:
    """What a unit saw where a picture excited it most.

    index: the picture's number in the stream.   value: the unit's, before anything changed it in place.
    place: where in its map, (y, x) or (x,); () for a dense unit.
    box: (top, left, bottom, right) or (first, end) in pixels of the input, bottom, right and end exclusive.
    It may stick out of the picture: there the unit saw padding.
    """

    index: int
    value: float
    place: Place
    box: Box


def top_patches(
    model: nn.Module, pictures: Tensor | Iterable[Tensor], layer: str, unit: int, *, count: int = 9
) -> list[Patch]:
    """Find the patches that excite a unit most, strongest first, one a picture.

    pictures: as the network takes them, (N, C, H, W) or (N, C, L), or batches of them, read once and not
    kept: a stream of any length takes the memory of one batch.
    The box is the receptive field that ``striate inspect`` gives, for a dense unit the whole picture. Where
    units are not evenly spaced, or cannot be followed, it is the box of the pixels that the value has a
    gradient for.
    Raises ModelError for an unknown layer or unit, or without pictures.

    >>> from torch import nn
    >>> x = torch.zeros(1, 1, 8).index_fill(2, torch.tensor([4]), 1.0)
    >>> net = nn.Sequential(nn.Conv1d(1, 1, 3, bias=False))
    >>> top_patches(net.apply(lambda m: hasattr(m, "weight") and nn.init.constant_(m.weight, 2.0)), x, "0", 0)
    [Patch(index=0, value=2.0, place=(2,), box=(2, 5))]
    """
    return patches_of_units(model, pictures, layer, [unit], count=count)[unit]


def patches_of_units(
    model: nn.Module,
    pictures: Tensor | Iterable[Tensor],
    layer: str,
    units: Sequence[int],
    *,
    count: int = 9,
) -> dict[int, list[Patch]]:
    """Find the same for several units of a layer in one pass over the pictures: patches by unit."""
    best: dict[int, list[Patch]] = {unit: [] for unit in units}
    boxes: Boxes | None = None
    seen = 0
    for x in batches(pictures):
        if boxes is None:
            found = named(model, x, layer)
            best = {unit_of(found, unit): [] for unit in units}
            boxes = Boxes(model, tuple(x.shape[1:]), layer)
        values, places = _strongest(model, x, layer, units)
        for row, unit in enumerate(units):
            # Stable, and the earlier ones first: of equal values the earlier picture stays.
            for i in values[row].argsort(descending=True, stable=True)[:count].tolist():
                if len(best[unit]) == count and values[row, i] <= best[unit][-1].value:
                    break
                place = tuple(places[row, i].tolist())
                patch = Patch(seen + i, float(values[row, i]), place, boxes.of(unit, place, x[i : i + 1]))
                best[unit] = sorted([*best[unit], patch], key=lambda p: (-p.value, p.index))[:count]
        seen += len(x)
    if boxes is None:
        raise ModelError("There are no pictures to look for patches in.", "Give at least one.")
    return best


def crop(picture: Tensor, box: Box, fill: float = 0.0) -> Tensor:
    """Cut a box out of a picture (C, H, W) or (C, L); what lies outside of it becomes ``fill``.

    >>> crop(torch.arange(4.0)[None], (-1, 2)).tolist()
    [[0.0, 0.0, 1.0]]
    """
    axes = len(box) // 2
    around: list[int] = []
    for first, end, size in zip(box[:axes], box[axes:], picture.shape[1:], strict=True):
        around = [-first, end - size, *around]  # torch names the last axis first; below 0 it cuts
    return F.pad(picture, around, value=fill)


class Boxes:
    """The boxes of input pixels that a layer's units see."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], layer: str) -> None:
        self.model, self.layer, self.shape = model, layer, shape
        try:
            rows = {row.name: row for row in inspect(model, shape, batch=1).layers}
            self.field = rows[layer].receptive_field if layer in rows else None
        except ModelError:
            self.field = None

    def of(self, unit: int, place: Place, x: Tensor) -> Box:
        """Give the box of a unit's value at a place; x: (1, C, ...), the picture it was given for."""
        if not place:
            return (*(0 for _ in self.shape[1:]), *self.shape[1:])
        field = self.field
        if field is None or any(stride is None for stride in field.stride) or len(field.size) != len(place):
            return self._footprint(unit, place, x)
        strides = [int(stride or 0) for stride in field.stride]
        first = [offset + u * s for offset, u, s in zip(field.offset, place, strides, strict=True)]
        return (*first, *(start + size for start, size in zip(first, field.size, strict=True)))

    def _footprint(self, unit: int, place: Place, x: Tensor) -> Box:
        value: list[Tensor] = []

        def take(name: str, _module: nn.Module, output: Tensor) -> None:
            if name == self.layer:
                value.append(output[(0, unit, *place)].clone())

        with differentiable(self.model, x) as leaf:
            follow(self.model, leaf.clone(), take)
            (gradient,) = torch.autograd.grad(value[0], leaf)
        touched = gradient[0].ne(0).any(0).nonzero()
        if not len(touched):
            return (*(0 for _ in self.shape[1:]), *self.shape[1:])
        return (*touched.amin(0).tolist(), *(touched.amax(0) + 1).tolist())


def _strongest(model: nn.Module, x: Tensor, layer: str, units: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Give each unit's largest value of each picture (U, N), and its place (U, N, axes), on the CPU."""
    kept: list[tuple[Tensor, Tensor]] = []

    def take(name: str, _module: nn.Module, output: Tensor) -> None:
        if name == layer:
            maps = output[:, list(units)].transpose(0, 1).float().cpu()
            sides = maps.shape[2:]
            value, flat = maps.reshape(*maps.shape[:2], -1).max(2)
            places = torch.unravel_index(flat, sides) if sides else ()
            kept.append((value, torch.stack(places, -1) if places else flat[..., None][..., :0]))

    with torch.no_grad():
        follow(model, x, take)
    return kept[0]
