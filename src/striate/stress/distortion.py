"""Every distortion by its name: the curves, and the 15 corruptions of Hendrycks and Dietterich (2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.stress import blur, digital, hide, light, move, noise, weather

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

MOST_SHIFTS = 16  # levels of the curve over shift; all pixels up to a picture of 64


def _any(_channels: int) -> str:
    return ""


@dataclass(frozen=True)
class Distortion:
    """One way to spoil a picture.

    name: as in ``stress --json``.   unit: what a level counts.   levels: side of the picture in pixels ->
    levels, weakest first.   change: what is done (call ``apply``).   identity: the level that changes
    nothing, the first of a curve; the published corruptions have 1 to 5, and 0 changes nothing.
    published: whether it is one of the 15.   pooled: whether it takes pieces of other pictures.
    refusal: number of channels -> why the distortion means nothing for such pictures; empty where it does.
    bounded: values stay in 0..1, as those of pictures do.
    """

    name: str
    unit: str
    levels: Callable[[int], tuple[float, ...]]
    change: Callable[..., Tensor]
    identity: float = 0.0
    published: bool = False
    pooled: bool = False
    refusal: Callable[[int], str] = _any
    bounded: bool = True

    def apply(
        self, pictures: Tensor, level: float, keys: NDArray[np.uint64], pool: Tensor | None = None
    ) -> Tensor:
        """Distort pictures; the same picture, key and level give the same pixels whatever the batch.

        pictures: (N, C, H, W) float32 in 0..1, or sequences (N, C, L), left as they are.
        keys: (N,) uint64, of ``chance.keys``.
        pool: (P, C, H, W) in 0..1, pictures to take clutter from; without it the pictures themselves, and
        then the batch matters.
        Returns: the same shape and type.
        """
        if level == self.identity or not len(pictures):
            return pictures.clone()
        rest: tuple[Any, ...] = ((pictures if pool is None else pool),) if self.pooled else ()
        changed = self.change(pictures, level, keys, *rest)
        return changed.clamp(0, 1) if self.bounded else changed


def _fixed(*levels: float) -> Callable[[int], tuple[float, ...]]:
    return lambda _size: levels


def _shares(*shares: float) -> Callable[[int], tuple[float, ...]]:
    """Levels in pixels, as shares of the side."""
    return lambda size: tuple(round(share * size, 2) for share in shares)


def _pixels(size: int) -> tuple[float, ...]:
    """0 to a quarter of the side, each pixel, evenly thinned where they are many."""
    most = max(1, size // 4)
    count = min(most, MOST_SHIFTS)
    return tuple(float(round(most * step / count)) for step in range(count + 1))


_DRAWN = (
    Distortion("shift", "pixels", _pixels, move.shift),
    Distortion("scale", "times larger or smaller", _fixed(1, 1.1, 1.25, 1.5, 1.75, 2), move.scale, 1.0),
    Distortion("rotation", "degrees", _fixed(0, 5, 10, 15, 20, 30, 45, 90), move.rotation),
    Distortion("shear", "degrees", _fixed(0, 5, 10, 20, 30, 40), move.shear),
    Distortion("occlusion", "share of the side", _fixed(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), hide.occlusion),
    Distortion("darkness", "share of the light taken", _fixed(0, 0.2, 0.4, 0.6, 0.8, 0.9), light.darkness),
    Distortion(
        "colour_cast",
        "stops",
        _fixed(0, 0.25, 0.5, 0.75, 1, 1.5),
        light.colour_cast,
        refusal=light.one_channel,
    ),
    Distortion("blur", "pixels (sigma)", _shares(0, 0.01, 0.02, 0.04, 0.06, 0.1), blur.blur),
    Distortion("noise", "of the range (sigma)", _fixed(0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), noise.noise),
    Distortion(
        "jpeg", "quality, 100 is not stored", _fixed(100, 90, 70, 50, 30, 20, 10, 5), digital.jpeg, 100
    ),
    Distortion("clutter", "pieces", _fixed(0, 1, 2, 4, 8, 16), hide.clutter, pooled=True),
    Distortion("elastic", "pixels (rms)", _shares(0, 0.01, 0.02, 0.03, 0.05, 0.08), move.elastic),
)

_PUBLISHED = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": light.brightness,
    "contrast": light.contrast,
    "elastic_transform": move.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}

CORRUPTIONS: dict[str, Distortion] = {
    name: Distortion(name, "severity", _fixed(1, 2, 3, 4, 5), change, published=True)
    for name, change in _PUBLISHED.items()
}
# Brightness and contrast are curves too, and are the published ones.
CURVES: dict[str, Distortion] = {one.name: one for one in _DRAWN} | {
    name: CORRUPTIONS[name] for name in ("brightness", "contrast")
}
