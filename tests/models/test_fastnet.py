"""The fast network: its first layer whitens patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from striate.models.fastnet import FLOOR, FastNet, fastnet


def _prepared(channels: int = 3) -> FastNet:
    model = FastNet(10, channels)
    model.prepare(_pictures(channels))
    return model


def _pictures(channels: int = 3) -> torch.Tensor:
    """Smooth pictures, whose neighbouring pixels go together as in photographs: (64, channels, 16, 16)."""
    noise = torch.randn(64, channels, 18, 18, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, 1) * 3 + 0.1


def test_prepared_maps_are_uncorrelated_and_each_has_its_negative() -> None:
    for channels in (1, 3):
        pictures, model = _pictures(channels), _prepared(channels)
        maps = F.conv2d(pictures, model.whiten.weight).transpose(0, 1).flatten(1)
        half = 4 * channels
        assert torch.allclose(maps[:half], -maps[half:], atol=1e-5)
        moments = maps[:half] @ maps[:half].T / maps.shape[1]
        assert (moments - moments.diagonal().diag()).abs().max() < 1e-3
        patches = F.unfold(pictures, 2).transpose(1, 2).flatten(0, 1)
        variances = torch.linalg.eigvalsh(patches.T @ patches / len(patches))
        assert torch.allclose(moments.diagonal(), variances / (variances + FLOOR), atol=1e-3)
        assert model.whiten.bias is not None
        assert model.whiten.bias.abs().sum() == 0


def test_the_first_layer_does_not_learn_but_its_bias_does() -> None:
    model = _prepared()
    model(_pictures()).sum().backward()
    assert model.whiten.weight.grad is None
    assert model.whiten.bias is not None
    assert model.whiten.bias.grad is not None
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["whiten.weight"]


def test_any_even_size_and_any_widths() -> None:
    assert FastNet(5, 3, (16, 16)).eval()(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    assert fastnet(7).eval()(torch.zeros(2, 3, 40, 40)).shape == (2, 7)
