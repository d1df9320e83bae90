"""From a decoded picture to the network's input: one object, written into the run, used by every command.

The arithmetic has two halves. :meth:`Preprocess.pixels` (Pillow, once a picture) makes a square array that
keeps the file's depth; :meth:`Preprocess.tensor` (torch, once a batch) scales and normalises it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from striate.data.sequence import Sequences
from striate.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How a picture becomes a tensor.

    channels: 1 grey, 3 colour, or as many as the files hold.   size: side of the square, pixels.
    decode: "scaled" decodes a JPEG straight to the smallest eighth of its size whose shorter side is at least
    ``size``: fewer cosines are summed, so the pixels are others.
    dtype: "uint8", "uint16" or "float32", the depth that is kept.
    low, high: per channel, the raw values that become 0 and 1 (0 and 255 for uint8; else percentiles
    0.1 and 99.9 of the training pictures).   mean, std: per channel, of the scaled training pictures.
    """

    channels: int
    size: int
    fit: Literal["crop", "pad", "squash"] = "crop"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    decode: Literal["whole", "scaled"] = "whole"
    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (255.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def enough(self) -> int:
        """The shorter side that a decoded picture must have; 0 is all that the file holds."""
        return self.size if self.decode == "scaled" else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """What the network is given, without the batch: (C, H, W)."""
        return self.channels, self.size, self.size

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of a stored picture: (H, W, C)."""
        return self.size, self.size, self.channels

    @property
    def decides(self) -> list[Any]:
        """Everything that decides what is stored."""
        how = [self.channels, self.size, self.fit, self.interpolation, self.dtype]
        return how + ["scaled"] * (self.decode == "scaled")

    def pixels(self, picture: np.ndarray) -> np.ndarray:
        """Fit a decoded picture (H, W, channels) into (size, size, channels), antialiased, same dtype."""
        height, width, _ = picture.shape
        if (height, width) == (self.size, self.size):
            return picture
        box, inner = (0.0, 0.0, float(width), float(height)), (self.size, self.size)
        if self.fit == "crop":
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
        elif self.fit == "pad":
            scale = self.size / max(height, width)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        resized = _resize(picture, inner, box, Image.Resampling[self.interpolation.upper()])
        if inner == (self.size, self.size):
            return resized
        # Borders take the picture's own mean: they neither shift its statistics nor draw a strong edge.
        mean = picture.reshape(-1, self.channels).mean(0)
        canvas = np.empty((self.size, self.size, self.channels), picture.dtype)
        canvas[:] = mean.astype(picture.dtype)
        top, left = (self.size - inner[1]) // 2, (self.size - inner[0]) // 2
        canvas[top : top + inner[1], left : left + inner[0]] = resized
        return canvas

    def resized(self, picture: np.ndarray, height: int, width: int) -> np.ndarray:
        """Bring a whole decoded picture (H, W, channels) to another size, antialiased, same dtype."""
        if picture.shape[:2] == (height, width):
            return picture
        box = (0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))
        return _resize(picture, (width, height), box, Image.Resampling[self.interpolation.upper()])

    def tensor(self, batch: Tensor) -> Tensor:
        """Scale and normalise raw values: (N, C, H, W) of any dtype -> float32, mean 0 and variance 1."""
        import torch

        low, high, mean, std = (
            torch.tensor(values, dtype=torch.float32).to(batch.device, non_blocking=True)
            for values in (self.low, self.high, self.mean, self.std)
        )
        # ((x - low) / (high - low) - mean) / std as one multiplication and one addition.
        scale = 1 / ((high - low) * std)
        shift = -(low / (high - low) + mean) / std
        width = batch.shape[3]
        x = batch.to(torch.float32, copy=True)
        if x.is_contiguous(memory_format=torch.channels_last):
            # Channels lie side by side: a whole row at a time is a long run of memory (20 times faster).
            x.permute(0, 2, 3, 1).flatten(2).mul_(scale.repeat(width)).add_(shift.repeat(width))
            return x
        return x.mul_(scale.view(-1, 1, 1)).add_(shift.view(-1, 1, 1))

    def json(self) -> dict[str, Any]:
        """Give the form that run.json holds."""
        return asdict(self)


def from_json(values: dict[str, Any]) -> Preprocess | Sequences:
    """Read back what ``json()`` of either gave. Raises RunError for a key that this version does not know."""
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return Sequences(**plain) if "modality" in plain else Preprocess(**plain)
    except TypeError as error:
        raise RunError(
            f"run.json: unknown preprocessing ({error}).", "The run is damaged or from a newer version."
        ) from error


def _resize(
    picture: np.ndarray,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    method: Image.Resampling,
) -> np.ndarray:
    channels = picture.shape[2]
    if picture.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(picture[:, :, 0] if channels == 1 else picture)
        resized = np.asarray(image.resize(size, method, box=box))
        return resized.reshape(size[1], size[0], channels)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(picture[:, :, c], np.float32)).resize(size, method, box=box)
        )
        for c in range(channels)
    ]
    stacked = np.stack(planes, axis=2)
    if np.issubdtype(picture.dtype, np.integer):
        limits = np.iinfo(picture.dtype)
        stacked = np.rint(stacked).clip(limits.min, limits.max)
    return stacked.astype(picture.dtype)
