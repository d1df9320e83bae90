"""All small pictures of a page in one image, cut out again by CSS."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate.report.markup import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from striate.report.contents import Shown

COLUMNS = 10
SMALL, LARGE = (
    48,
    128,
)  # up to the first a picture keeps its pixels (PNG); beyond it is scaled to the second (JPEG)
SIDE = 112  # CSS pixels of the longer side on the page


class Sprite:
    """One sheet of equal cells, in the order given."""

    def __init__(self, pictures: Sequence[Shown]) -> None:
        drawn = [(shown, shown.picture) for shown in pictures if not isinstance(shown.picture, str)]
        self.places = {id(shown): i for i, (shown, _) in enumerate(drawn)}
        longest = max((max(picture.shape[:2]) for _, picture in drawn), default=1)
        self.small = longest <= SMALL
        self.cell = longest if self.small else LARGE
        self.tiles = [self._tile(picture) for _, picture in drawn]

    def _tile(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        colour = picture[..., :3] if picture.shape[2] >= 3 else picture[..., :1].repeat(3, axis=2)
        if self.small:
            return np.asarray(colour, np.uint8)
        scale = self.cell / max(colour.shape[:2])
        size = tuple(max(1, round(side * scale)) for side in colour.shape[1::-1])
        how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BICUBIC
        image = Image.fromarray(np.ascontiguousarray(colour, np.uint8)).resize((size[0], size[1]), how)
        return np.asarray(image)

    def thumb(self, shown: Shown, label: str) -> str:
        """Show one picture, or a drawing as it is; ``label`` says in words what is to be seen."""
        if isinstance(shown.picture, str):
            return shown.picture
        place = self.places[id(shown)]
        height, width = self.tiles[place].shape[:2]
        scale = SIDE / max(height, width)
        # A picture smaller than its cell is magnified, and the whole sheet with it.
        cell = self.cell * scale
        left, top = -(place % COLUMNS) * cell, -(place // COLUMNS) * cell
        style = f"width:{width * scale:.4g}px;height:{height * scale:.4g}px"
        style += f";background-position:{left:.6g}px {top:.6g}px"
        if cell != SIDE:
            style += f";background-size:{COLUMNS * cell:.6g}px auto"
        return f'<span class="thumb" role="img" aria-label="{text(label, 240)}" style="{style}"></span>'

    def css(self) -> str:
        """Give the rule that holds the sheet itself; nothing where there are no pictures."""
        if not self.tiles:
            return ""
        rows = -(-len(self.tiles) // COLUMNS)
        sheet = np.zeros((rows * self.cell, COLUMNS * self.cell, 3), np.uint8)
        for i, tile in enumerate(self.tiles):
            top, left = i // COLUMNS * self.cell, i % COLUMNS * self.cell
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        buffer = io.BytesIO()
        kind, options = ("png", {"optimize": True}) if self.small else ("jpeg", {"quality": 80})
        Image.fromarray(sheet).save(buffer, kind, **options)
        data = base64.b64encode(buffer.getvalue()).decode()
        crisp = "image-rendering:pixelated;" if self.small else ""
        sheet_url = f"url(data:image/{kind};base64,{data})"
        return f".thumb{{{crisp}background-size:{COLUMNS * SIDE}px auto;background-image:{sheet_url}}}"
