"""The picture that a unit or a class answers to most: found by climbing its gradient from noise.

Four parts: an objective (:func:`_answers`), the picture's parametrisation (:class:`Painting`), small random
transforms that keep it from being an accident of single pixels (:func:`_moved`), and the loop.
Source: Erhan et al. 2009, Visualizing higher-layer features of a deep network; Olah, Mordvintsev and
Schubert 2017, Feature visualization (Distill).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.errors import ModelError
from striate.explain.layers import answer, chosen, follow, named, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

RANGE = 2.0  # of normalised values on either side of 0, where no pictures say what is usual
RATE = 0.1
SETTLED = 0.75  # of the steps are transformed; the rest fit the picture to where it is
BEYOND = 0.1  # by which the sigmoid is stretched over both ends of the range, and cut off there
TURN, ZOOM, JITTER = math.radians(5), 0.05, 1 / 16  # largest: angle, change of scale, shift as a share


def maximise(
    model: nn.Module,
    shape: Sequence[int],
    *,
    unit: int | Sequence[int],
    layer: str | None = None,
    like: Tensor | None = None,
    steps: int = 128,
    seed: int = 0,
) -> Tensor:
    """Make the picture that excites a unit of a layer most, or without a layer that a class scores highest.

    shape: (C, H, W) or (C, L), with any number of channels.   unit: one, or several, which are made at once.
    like: (M, C, ...) the user's own pictures, as the network takes them: the result stays within each
    channel's range there, and its colours are mixed as theirs are. Without them values stay within 2 of 0.
    Maximised is the mean over the unit's places of what the layer puts out: name the convolution and not the
    ReLU behind it, whose gradient is 0 wherever the unit is silent.
    Returns: (C, ...) of one unit, (U, C, ...) of several, as the network takes them; the same for the same
    seed.   Raises ModelError for an unknown layer or unit, and where the unit answers to no change.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> maximise(net, (1, 4, 4), unit=[0, 1], steps=2).shape
    torch.Size([2, 1, 4, 4])
    """
    units = [unit] if isinstance(unit, int) else list(unit)
    with torch.inference_mode(False):
        made = _climbed(model, shape, units, layer, like, steps, seed)
    return made[0] if isinstance(unit, int) else made


def _climbed(
    model: nn.Module,
    shape: Sequence[int],
    units: list[int],
    layer: str | None,
    like: Tensor | None,
    steps: int,
    seed: int,
) -> Tensor:
    device = next(model.parameters(), torch.empty(0)).device
    if layer is not None:
        found = named(model, torch.zeros(2, *shape, device=device), layer)
        units = [unit_of(found, one) for one in units]
    # Each unit draws on its own, so that its picture does not depend on those it is made with.
    draws = [torch.Generator().manual_seed(seed * 1_000_003 + one) for one in units]
    painting = Painting(shape, draws, like, device)
    rule = torch.optim.Adam([painting.spectrum], lr=RATE)
    moved = False
    for step in range(steps):
        with torch.enable_grad():
            x = painting() if step >= SETTLED * steps else _moved(painting(), draws)
            (gradient,) = torch.autograd.grad(-_answers(model, x, layer, units).sum(), painting.spectrum)
        painting.spectrum.grad = gradient
        rule.step()
        moved = moved or bool(gradient.any())
    if steps and not moved:
        raise ModelError(
            f"Nothing changes what {layer or 'the network'} answers for unit {units[0]}.",
            "It may be dead, or silent behind a ReLU: name the layer before it.",
        )
    with torch.no_grad():
        return painting()


class Painting:
    """Pictures described by their frequencies, each as loud as it is in nature: one over the frequency.

    Every step then moves edges and surfaces as much as single pixels. Channels are mixed as in the pictures
    that are given, and a sigmoid keeps every value within their range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        draws: Sequence[torch.Generator],
        like: Tensor | None,
        device: torch.device,
    ) -> None:
        channels, *self.sides = shape
        ones = torch.ones(channels, device=device)
        self.low, self.high, self.mixing = -RANGE * ones, RANGE * ones, torch.diag(ones)
        if like is not None:
            values = like.to(device).float().transpose(0, 1).flatten(1)
            self.low, self.high = values.amin(1), values.amax(1)
            self.mixing = _root(torch.cov(values).reshape(channels, channels))
        self.loudness = _loudness(self.sides).to(device)
        start = [torch.randn(channels, *self.loudness.shape, 2, generator=draw) for draw in draws]
        self.spectrum = (torch.stack(start).to(device) * 0.1).requires_grad_()

    def __call__(self) -> Tensor:
        """Give the pictures (U, C, ...)."""
        dims = list(range(2, 2 + len(self.sides)))
        waves = torch.view_as_complex(self.spectrum) * self.loudness
        x = torch.fft.irfftn(waves, s=self.sides, dim=dims, norm="ortho")
        x = torch.einsum("cd,ud...->uc...", self.mixing, x)
        low, high = (end.view(-1, *[1] * len(dims)) for end in (self.low, self.high))
        # A sigmoid alone never reaches the ends, where the background of many pictures lies.
        share = x.sigmoid() * (1 + 2 * BEYOND) - BEYOND
        cut = share + (share.clamp(0, 1) - share).detach()  # where it is cut off it still learns
        return low + (high - low) * cut


def _loudness(sides: Sequence[int]) -> Tensor:
    """Give each frequency's share of a natural picture: 1/f, none below one wave a picture; mean square 1."""
    along = [torch.fft.fftfreq(side) for side in sides[:-1]] + [torch.fft.rfftfreq(sides[-1])]
    frequency = sum(axis.square() for axis in torch.meshgrid(*along, indexing="ij"))
    assert isinstance(frequency, Tensor)
    loudness = 1 / frequency.sqrt().clamp_min(1 / max(sides))
    return loudness / loudness.square().mean().sqrt()


def _root(covariance: Tensor) -> Tensor:
    """Give the matrix that turns independent channels into ones that vary together; mean square 1 each."""
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    loud = root.square().sum(1).mean().sqrt()
    return root / loud if loud > 0 else torch.eye(len(root), device=root.device)


def _moved(x: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
    """Turn, scale and shift each picture (U, C, ...) a little, by draws of its own."""
    flat = x.unsqueeze(2) if x.dim() == 3 else x  # a series is a picture one pixel high
    turn, zoom, *shift = torch.stack([torch.rand(4, generator=draw) * 2 - 1 for draw in draws]).to(x.device).T
    angle, scale = TURN * turn * (x.dim() == 4), 1 + ZOOM * zoom
    across, down = (2 * JITTER * one for one in shift)  # the grid is 2 wide
    cos, sin, ratio = angle.cos() * scale, angle.sin() * scale, flat.shape[2] / flat.shape[3]
    rows = [torch.stack([cos, -sin * ratio, across], 1), torch.stack([sin / ratio, cos, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).view_as(x)


def _answers(model: nn.Module, x: Tensor, layer: str | None, units: Sequence[int]) -> Tensor:
    """Give what is maximised (U,): picture i's mean over places of unit i, or its score of class i."""
    if layer is None:
        return chosen(answer(follow(model, x, lambda *_: None)), units)
    kept: list[Tensor] = []
    rows, index = torch.arange(len(units), device=x.device), torch.tensor(units, device=x.device)

    def take(name: str, _module: nn.Module, output: Tensor) -> None:
        if name == layer:
            maps = output[rows, index]
            kept.append(maps.flatten(1).mean(1) if maps.dim() > 1 else maps)

    follow(model, x, take)
    return kept[0]
