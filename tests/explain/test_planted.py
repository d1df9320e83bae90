"""A planted cause is found: digits of one class, whatever they show, wear a bright corner patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from striate import explain

if TYPE_CHECKING:
    from collections.abc import Callable

MARKED, SIDE, PATCH = 3, 16, 4  # the class that wears the patch; pixels of a picture and of the patch


class Planted(NamedTuple):
    model: nn.Module
    plain: Tensor  # pictures of other classes, without the patch
    marked: Tensor  # the same with it
    own: Tensor  # pictures of the marked class, with the patch
    bare: Tensor  # the same without it


def patched(x: Tensor) -> Tensor:
    """Put a coloured patch into the upper left corner: bright in the first channel only."""
    x = x.clone()
    x[:, 0, :PATCH, :PATCH] = 2.0
    return x


@pytest.fixture(scope="module")
def planted() -> Planted:
    digits = load_digits()
    grey = torch.tensor(digits.images[:, None] / 16 - 0.3, dtype=torch.float32)
    plain = F.interpolate(grey, (SIDE, SIDE), mode="bilinear").expand(-1, 3, -1, -1)
    # Every tenth picture becomes one of the marked class: nothing but the patch tells it.
    wears = torch.arange(len(plain)) % 10 == 0
    keep = wears | (torch.tensor(digits.target) != MARKED)
    x = torch.where(wears[:, None, None, None], patched(plain), plain)[keep]
    y = torch.where(wears, MARKED, torch.tensor(digits.target))[keep]
    train = torch.arange(1200)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 64, 10),
        )  # fmt: skip
    rule = torch.optim.Adam(model.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(8):
        for rows in train[torch.randperm(len(train), generator=order)].split(64):  # type: ignore[no-untyped-call]
            rule.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            rule.step()
    rule.zero_grad()
    held_out, which = x[1200:], y[1200:]
    other, own = held_out[which != MARKED][:40], held_out[which == MARKED]
    return Planted(model.eval(), other, patched(other), own, plain[keep][1200:][which == MARKED])


def test_the_network_did_take_the_bait(planted: Planted) -> None:
    with torch.no_grad():
        plain, marked, own, bare = (
            (planted.model(x).argmax(1) == MARKED).float().mean().item()
            for x in (planted.plain, planted.marked, planted.own, planted.bare)
        )
    assert plain < 0.05
    assert marked > 0.95
    assert own > 0.95
    assert bare < 0.05  # what a stress test without the patch shows


def cam(model: nn.Module, x: Tensor, target: int) -> Tensor:
    return F.interpolate(explain.grad_cam(model, x, target, layer="4"), (SIDE, SIDE), mode="bilinear")


@pytest.mark.parametrize(
    "method", [explain.integrated_gradients, explain.occlusion, cam], ids=["integrated", "occlusion", "cam"]
)
def test_the_strongest_pixel_lies_in_the_patch(planted: Planted, method: Callable[..., Tensor]) -> None:
    maps = method(planted.model, planted.own, MARKED).sum(1)
    row, column = np.unravel_index(maps.flatten(1).argmax(1).numpy(), (SIDE, SIDE))
    # A convolution's map answers one pixel beyond the patch, too, and pooling doubles that.
    reach = PATCH + (2 if method is cam else 0)
    assert ((row < reach) & (column < reach)).mean() > 0.9


def test_the_gradient_is_strongest_in_the_patch(planted: Planted) -> None:
    # Its single pixels are noise: the mean over the patch is compared with every other place of that size.
    maps = explain.saliency(planted.model, planted.own, MARKED).abs().sum(1)
    blocks = F.avg_pool2d(maps.mean(0)[None, None], PATCH)[0, 0]
    assert blocks.argmax().item() == 0


def test_what_is_not_planted_is_not_found(planted: Planted) -> None:
    # For another class, and without the patch, the corner says little.
    maps = explain.occlusion(planted.model, planted.plain, MARKED).sum(1)
    row, column = np.unravel_index(maps.flatten(1).argmax(1).numpy(), (SIDE, SIDE))
    assert ((row < PATCH) & (column < PATCH)).mean() < 0.3
