"""A convolution for prediction, with what follows it, against float64; what it writes to was poisoned."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from striate.native import winograd
from striate.native.fixed import Fixed

RANDOM = torch.Generator().manual_seed(11)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(("kernel", "tile"), [(3, 2), (3, 4), (5, 2)])
def test_it_is_the_definition(
    kernel: int, tile: int, added: bool, relu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*shape: int) -> torch.Tensor:
        return torch.full(shape, float("nan")).contiguous(memory_format=torch.channels_last)

    monkeypatch.setattr(winograd, "_empty", poisoned)
    weight = torch.randn(32, 16, kernel, kernel, generator=RANDOM)
    bias = torch.randn(32, generator=RANDOM)
    fixed = Fixed(weight, bias, 1, tile, relu=relu)
    for shape in ((1, 16, 9, 12), (3, 16, 6, 5)):
        x = torch.randn(shape, generator=RANDOM)
        wanted = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
        shortcut = torch.randn(wanted.shape, generator=RANDOM) if added else None
        if shortcut is not None:
            wanted = wanted + shortcut
        wanted = wanted.relu() if relu else wanted
        found = fixed(x, shortcut)
        assert ((found - wanted).norm() / wanted.norm()).item() < 1e-5


def test_other_shapes_are_refused() -> None:
    fixed = Fixed(torch.zeros(16, 16, 3, 3), torch.zeros(16), 1, 2, relu=False)
    with pytest.raises(ValueError, match="16 channels"):
        fixed(torch.zeros(1, 32, 8, 8))
    with pytest.raises(ValueError, match="shortcut"):
        fixed(torch.zeros(1, 16, 8, 8), torch.zeros(1, 16, 1, 1))


def test_what_is_no_number_stays_none() -> None:
    x = torch.zeros(1, 16, 4, 4)
    x[0, 0, 0, 0] = float("nan")
    weight = torch.ones(16, 16, 3, 3)
    assert Fixed(weight, torch.zeros(16), 1, 2, relu=True)(x)[0, :, 0, 0].isnan().all()
