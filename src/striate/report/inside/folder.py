"""The pictures of the page as files of their own."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import numpy as np

from striate import files
from striate.report.heat import about_grey, coloured, over, png, scale_of
from striate.report.inside.along import strip
from striate.report.inside.methods import METHODS
from striate.report.series import Along

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.report.inside.contents import Looked, Network

Named = tuple[str, "NDArray[np.uint8]"]
COLUMNS = 8
LONGEST = 120  # letters of a file's name


def drawn(folder: Path, pictures: Sequence[Looked], network: Network) -> list[Path]:
    """Write every map, kernel sheet and made picture into a folder as PNG files, and list them."""
    written: dict[str, Path] = {}
    named = [one for i, told in enumerate(pictures, 1) for one in _picture(i, told)]
    for name, picture in [*named, *_network(network)]:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:LONGEST]
        alike = (plain if i == 1 else f"{plain}-{i}" for i in itertools.count(1))
        stem = next(one for one in alike if one.lower() not in written)
        written[stem.lower()] = folder / f"{stem}.png"
        files.write_bytes(written[stem.lower()], png(picture))
    return list(written.values())


def _picture(number: int, told: Looked) -> Iterator[Named]:
    start = f"{number:02}"
    if isinstance(told.picture, Along):
        yield from _along(start, told)
        return
    yield f"{start}-picture", told.picture
    for one in told.maps:
        if METHODS[one.method].pattern:
            yield f"{start}-{one.method}", about_grey(one.values)
            continue
        both = [one.values] if one.other is None else [one.values, one.other]
        scale = scale_of(*both)
        for label, values in zip((told.target or "number", told.versus), both, strict=False):
            yield f"{start}-{one.method}-{label}", coloured(values, scale)
        yield f"{start}-{one.method}-over-the-picture", over(told.picture, one.values, scale)
    for maps in told.layers:
        scale = scale_of(maps.maps)
        yield f"{start}-maps-of-{maps.layer}", sheet([coloured(one, scale) for one in maps.maps])


def _along(start: str, told: Looked) -> Iterator[Named]:
    for one in told.maps:
        both = [one.values] if one.other is None else [one.values, one.other]
        scale = scale_of(*both)
        for label, values in zip((told.target or "number", told.versus), both, strict=False):
            yield f"{start}-{one.method}-{label}", strip(values, scale)
    for maps in told.layers:
        yield f"{start}-maps-of-{maps.layer}", coloured(maps.maps, scale_of(maps.maps))


def _network(told: Network) -> Iterator[Named]:
    for one in told.filters:
        limit = float(np.abs(one.kernels).max()) or 1.0
        kernels = one.kernels[:, None] if one.kernels.ndim == 3 else one.kernels
        yield f"kernels-of-{one.layer}", sheet([about_grey(kernel, limit) for kernel in kernels])
    for i, mistake in enumerate(told.mistakes, 1):
        both = [m for m in (mistake.map_said, mistake.map_true) if m is not None]
        scale = scale_of(*both)
        if isinstance(mistake.picture, Along):
            maps = [strip(values, scale) for values in both]
        else:
            picture = mistake.picture
            maps = [_colour(picture), *(over(picture, values, scale) for values in both)]
        yield f"mistake-{i}-{mistake.true}-called-{mistake.said}", sheet(maps)
    for unit in told.units:
        if unit.made is not None:
            yield f"made-for-{unit.name}", unit.made
    for made in told.made:
        yield f"made-for-class-{made.name}", made.picture


def sheet(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Lay equal pictures out in rows of eight on white, a pixel apart."""
    height, width, depth = tiles[0].shape
    columns = min(COLUMNS, len(tiles))
    whole = np.full(
        (-(-len(tiles) // columns) * (height + 1) - 1, columns * (width + 1) - 1, depth), 255, np.uint8
    )
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        whole[top : top + height, left : left + width] = tile
    return whole


def _colour(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.shape[2] == 3 else picture.repeat(3, axis=2)
