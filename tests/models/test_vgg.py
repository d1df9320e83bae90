"""VGG's columns, and that a narrow one starts well and learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.models import vgg


def column(name: str) -> list[str]:
    """Write a network's features as table 1 does: maps of a convolution, or M for a pooling."""
    with torch.device("meta"):
        features = getattr(vgg, name)().features
    words = [
        str(f.out_channels) if isinstance(f, nn.Conv2d) else "M"
        for f in features
        if hasattr(f, "kernel_size")
    ]
    assert all(f.kernel_size == (3, 3) for f in features if isinstance(f, nn.Conv2d))
    return words


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("vgg11", "64 M 128 M 256 256 M 512 512 M 512 512 M"),
        ("vgg13", "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"),
        ("vgg16", "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
        ("vgg19", "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"),
    ],
)
def test_columns_are_those_of_table_1(name: str, written: str) -> None:
    assert column(name) == written.split()


@pytest.mark.parametrize("use_batch_norm", [False, True])
def test_a_narrow_one_learns_in_every_parameter(
    use_batch_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vgg, "WIDTHS", (8, 8, 8, 8, 8))  # the table's own are 0.5 GB
    torch.manual_seed(0)
    model = vgg.vgg11(classes=4, channels=1, use_batch_norm=use_batch_norm)
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    outputs = model(torch.randn(4, 1, 64, 64))
    nn.functional.cross_entropy(outputs, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 70), (300, 224)])
def test_any_size_from_32_pixels(height: int, width: int) -> None:
    with torch.device("meta"):
        assert vgg.vgg16()(torch.empty(1, 3, height, width)).shape == (1, 1000)
