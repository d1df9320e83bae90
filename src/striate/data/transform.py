"""Change a whole batch of pictures at once, each by draws of its own. Runs where the pictures are.

Values stay in the files' range (0..255 for uint8) until :meth:`Preprocess.tensor`; they are not clipped.
Geometry is one window a picture: where its output begins in the source and how far it reaches, in pixels
(negative when flipped). Positions outside the picture are mirrored at its edge. Rotation comes first, at
full size. There are three ways to show a window, the fastest that serves:
  moved      pixels only change place: one gather.
  resized    uint8 on the CPU, windows inside the picture: cut out, then torch's own integer code.
  resampled  anything, anywhere: two matrix products, one an axis.
The last two weigh pixels by a triangle as wide as the reduction, so they do not alias at any factor; it is
Pillow's BILINEAR.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from striate.data.augment import Augment
    from striate.data.preprocess import Preprocess

# What each of a sample's draws decides. A column belongs to one purpose whatever is switched on, so that
# switching one kind on leaves the draws of the others alone. The first column makes the epoch's order.
COLUMNS = (
    *("order", "flip", "shift_y", "shift_x", "area", "aspect", "crop_y", "crop_x", "scale", "rotate"),
    *("brightness", "contrast", "saturation", "cutout_y", "cutout_x", "noise"),
    *("partner", "kind", "share", "box_y", "box_x"),
)
Draws = dict[str, NDArray[np.float64]]  # column name -> (N,) in [0, 1)

GREY = (0.299, 0.587, 0.114)  # how much red, green and blue add to brightness (ITU-R BT.601)


def named(draws: NDArray[np.float64]) -> Draws:
    """Name the columns of :func:`striate.data.draws.uniform`'s (N, len(COLUMNS)) numbers."""
    return dict(zip(COLUMNS, draws.T, strict=True))


def onto(values: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """Copy what was made on the processor to the device, without waiting for it: from pinned memory."""
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def augmented(x: Tensor, draws: Draws, augment: Augment, preprocess: Preprocess) -> Tensor:
    """Apply everything that needs one picture only.

    x: (N, H, H, C) raw values of any dtype.
    Returns: (N, C, H, H) raw values, float32 unless whole pixels were only moved or uint8 ones resized.
    """
    if augment.rotate:
        x = _rotated(x, augment.rotate * _signed(draws["rotate"]))
    side = x.shape[1]
    begin, reach = windows(draws, augment, side)
    # The way must not depend on which other pictures are in the batch: it follows from the settings.
    if not (augment.crop or augment.scale):
        x = _moved(x, begin, reach)
    elif x.dtype == torch.uint8 and x.device.type == "cpu" and not (augment.shift or augment.scale):
        x = _resized(x, begin, reach)
    else:
        x = _resampled(x, begin, reach)
    if not (augment.colour or augment.noise or augment.cutout):
        return x
    x = x.float().contiguous()  # arithmetic runs along rows: several times as fast as along three channels
    low, high, mean = (_vector(v, x) for v in (preprocess.low, preprocess.high, preprocess.mean))
    if augment.colour:
        x = _coloured(x, draws, augment.colour, high - low)
    if augment.noise:
        x += onto(noise(draws["noise"], tuple(x.shape[1:])), x.device) * (augment.noise * (high - low))
    if augment.cutout:
        hole = onto(_square(draws["cutout_y"], draws["cutout_x"], np.array(augment.cutout), side), x.device)
        x = torch.where(hole, low + mean * (high - low), x)
    return x


def windows(draws: Draws, augment: Augment, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose the part of the source that each picture shows.

    Returns: begin and reach, both (N, 2) for (y, x), in source pixels, whole unless there is scale; reach is
    negative when flipped.
    """
    reach = np.full((len(draws["flip"]), 2), float(side))
    if augment.crop:
        area = augment.crop + (1 - augment.crop) * draws["area"]
        aspect = np.exp(math.log(4 / 3) * _signed(draws["aspect"]))
        sides = side * np.sqrt(np.stack([area / aspect, area * aspect], 1))
        reach = np.rint(sides).clip(1, side)
    begin = np.floor((side - reach + 1) * np.stack([draws["crop_y"], draws["crop_x"]], 1))
    if augment.scale:
        smaller = 1 / (1 + augment.scale * _signed(draws["scale"]))[:, None]
        begin, reach = begin + reach * (1 - smaller) / 2, reach * smaller
    if augment.shift:
        furthest = round(augment.shift * side)
        steps = np.floor(np.stack([draws["shift_y"], draws["shift_x"]], 1) * (2 * furthest + 1))
        begin = begin + steps - furthest
    if augment.flip or augment.alternate:
        flipped = draws["flip"] < 0.5
        begin[flipped, 1] += reach[flipped, 1]
        reach[flipped, 1] *= -1
    return begin, reach


def mixed(x: Tensor, partner: Tensor, draws: Draws, augment: Augment) -> tuple[Tensor, Tensor]:
    """Blend each picture with its partner (mixup) or replace a box of it (cutmix); half each if both.

    x, partner: (N, C, H, H) raw values.
    Returns: the mixture, float32, and (N,) the share of it that is x's own.
    Source: Zhang et al. 2018 (mixup); Yun et al. 2019 (CutMix).
    """
    from scipy.special import betaincinv

    boxed = draws["kind"] < (0.5 if augment.mixup else 1.0) if augment.cutmix else draws["kind"] < 0
    alpha = np.where(boxed, augment.cutmix, augment.mixup)
    share = betaincinv(alpha, alpha, draws["share"])
    box = onto(_square(draws["box_y"], draws["box_x"], np.sqrt(1 - share), x.shape[2]), x.device)
    blend = onto(np.where(boxed, 1, share).astype(np.float32), x.device)[:, None, None, None]
    weight = torch.where(box & onto(boxed, x.device)[:, None, None, None], 0.0, blend)
    return partner + (x.float() - partner) * weight, weight.mean((1, 2, 3))


def _moved(x: Tensor, begin: NDArray[np.float64], reach: NDArray[np.float64]) -> Tensor:
    n, side, _, channels = x.shape
    at = _positions(begin, reach / side, side).astype(np.int64)
    rows, columns = onto(at, x.device).unbind(1)
    rows = rows + torch.arange(n, device=x.device)[:, None] * side
    index = (rows[:, :, None] * side + columns[:, None, :]).view(-1)
    return x.reshape(-1, channels).index_select(0, index).view(x.shape).permute(0, 3, 1, 2)


def _resized(x: Tensor, begin: NDArray[np.float64], reach: NDArray[np.float64]) -> Tensor:
    side, planes, end = x.shape[1], x.permute(0, 3, 1, 2), begin + reach
    corners = np.concatenate([np.minimum(begin, end), np.maximum(begin, end)], 1).astype(int).tolist()
    parts = [
        planes[n : n + 1, :, top:bottom, left:right] for n, (top, left, bottom, right) in enumerate(corners)
    ]
    x = torch.cat([F.interpolate(part, (side, side), mode="bilinear", antialias=True) for part in parts])
    flipped = torch.from_numpy(reach[:, 1] < 0)
    x[flipped] = x[flipped].flip(3)
    return x


def _resampled(x: Tensor, begin: NDArray[np.float64], reach: NDArray[np.float64]) -> Tensor:
    n, side, _, channels = x.shape
    step = reach / side
    at = _positions(begin, step, side)
    rows, columns = _triangles(at, step, side, x.device).unbind(1)
    x = torch.bmm(rows, x.float().reshape(n, side, side * channels)).view(n, side, side, channels)
    planes = x.permute(0, 3, 1, 2).reshape(n, channels * side, side)
    return torch.bmm(planes, columns.mT).view(n, channels, side, side)


def _positions(begin: NDArray[np.float64], step: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Place the output's pixels in the source, along each axis: (N, 2, side); pixel k has its centre at k."""
    centres = begin[:, :, None] + (np.arange(side) + 0.5) * step[:, :, None]
    mirrored = centres % (2 * side)
    at: NDArray[np.float64] = np.minimum(mirrored, 2 * side - mirrored) - 0.5
    return at


def _triangles(at: NDArray[np.float64], step: NDArray[np.float64], side: int, device: torch.device) -> Tensor:
    """Weigh the source pixels of every output pixel along each axis: (N, 2, side, side), rows sum to 1."""
    width = onto(np.maximum(np.abs(step), 1).astype(np.float32), device)[:, :, None, None]
    centre = onto(at.astype(np.float32), device)[..., None]
    weights = (1 - (centre - torch.arange(side, device=device)).abs() / width).clamp_(min=0)
    return weights.div_(weights.sum(-1, keepdim=True))


def _rotated(x: Tensor, degrees: NDArray[np.float64]) -> Tensor:
    angle = onto(np.radians(degrees).astype(np.float32), x.device)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3)
    planes = x.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(turn, list(planes.shape), align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="reflection", align_corners=False).permute(0, 2, 3, 1)


def _coloured(x: Tensor, draws: Draws, strength: float, span: Tensor) -> Tensor:
    brightness, contrast, saturation = (
        onto((strength * _signed(draws[name])).astype(np.float32), x.device)[:, None, None, None]
        for name in ("brightness", "contrast", "saturation")
    )
    mean = x.mean((2, 3), keepdim=True)
    x = x * (1 + contrast) + (brightness * span - mean * contrast)
    if x.shape[1] == len(GREY):
        grey = (x * _vector(GREY, x)).sum(1, keepdim=True)
        x = torch.lerp(grey, x, 1 + saturation)
    return x


def noise(draws: NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    """Make standard normal noise, every picture's from a generator that its draw starts."""
    noise = np.empty((len(draws), *shape), np.float32)
    for picture, start in zip(noise, (draws * 2.0**53).astype(np.uint64), strict=True):
        np.random.Generator(np.random.SFC64(int(start))).standard_normal(dtype=np.float32, out=picture)
    return torch.from_numpy(noise)


def _square(y: NDArray[np.float64], x: NDArray[np.float64], share: NDArray[np.float64], size: int) -> Tensor:
    """Mark (N, 1, size, size) squares, sides a share of size, centred anywhere, cut off at the border."""
    centre = np.stack([y, x], 1)[:, :, None] * size
    inside = np.abs(np.arange(size) + 0.5 - centre) < share.reshape(-1, 1, 1) * size / 2
    rows, columns = torch.from_numpy(inside).unbind(1)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _vector(values: tuple[float, ...], like: Tensor) -> Tensor:
    return onto(np.array(values, np.float32), like.device).view(-1, 1, 1)


def _signed(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread [0, 1) over [-1, 1)."""
    return 2 * draws - 1
