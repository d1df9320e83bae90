"""VGG's columns, and that a narrow one starts well and learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.models import vgg


def column(name: str) -> list[str]:
    """Write a network's features as table 1 does: maps of a convolution, 1x1 named, M for a pooling, LRN."""
    with torch.device("meta"):
        features = getattr(vgg, name)().features
    return [
        {3: "", 1: "1x1-"}[f.kernel_size[0]] + str(f.out_channels)
        if isinstance(f, nn.Conv2d)
        else {"MaxPool2d": "M", "LocalResponseNorm": "LRN"}[type(f).__name__]
        for f in features
        if not isinstance(f, nn.ReLU)
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("vgg11", "64 M 128 M 256 256 M 512 512 M 512 512 M"),
        ("vgg11_lrn", "64 LRN M 128 M 256 256 M 512 512 M 512 512 M"),
        (
            "vgg16_1x1",
            "64 64 M 128 128 M 256 256 1x1-256 M 512 512 1x1-512 M 512 512 1x1-512 M",
        ),
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


@pytest.mark.parametrize("name", ["vgg11", "vgg11_lrn", "vgg13", "vgg16_1x1", "vgg16", "vgg19"])
def test_small_ends_in_one_dense_layer(name: str) -> None:
    with torch.device("meta"):
        large, small = getattr(vgg, name)(classes=10), getattr(vgg, name)(classes=10, small=True)
        assert small(torch.empty(2, 3, 32, 32)).shape == (2, 10)
    ours = dict(small.named_parameters())
    assert [k for k in ours if not k.startswith("features.")] == ["classifier.weight", "classifier.bias"]
    assert ours["classifier.weight"].shape == (10, 512)
    features = {k: p.shape for k, p in ours.items() if k.startswith("features.")}
    assert features == {k: p.shape for k, p in large.named_parameters() if k.startswith("features.")}
