"""Inception v3's modules: branches side by side, and the sizes of the paper's table 1."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from striate.models.inception_v3 import (
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    InceptionOutputs,
    inception_v3,
)


def test_the_pooled_branches_lie_last() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 9)
    for module, before in ((InceptionA(8, 5), 224), (InceptionC(8, 4), 576), (InceptionE(8), 1856)):
        module.eval()
        one = module.branch1x1(x)
        pooled = module.get_submodule("branch_pool")(F.avg_pool2d(x, 3, 1, padding=1))
        assert torch.equal(module(x)[:, before:], pooled)
        assert torch.equal(module(x)[:, : one.shape[1]], one)
    for halving, before in ((InceptionB(8), 480), (InceptionD(8), 512)):
        assert torch.equal(halving.eval()(x)[:, before:], F.max_pool2d(x, 3, 2))


def test_sizes_are_those_of_table_1() -> None:
    found: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        model = inception_v3()
        for name, module in model.named_children():
            module.register_forward_hook(
                lambda _m, _i, y, name=name: found.update({name: tuple(y.shape[1:])})
            )
        model(torch.empty(2, 3, 299, 299))
    assert [found[name] for name in ("Conv2d_1a_3x3", "Conv2d_2b_3x3", "maxpool1", "maxpool2")] == [
        (32, 149, 149), (64, 147, 147), (64, 73, 73), (192, 35, 35),
    ]  # fmt: skip
    assert [found[f"Mixed_{name}"] for name in ("5b", "5c", "5d", "6a", "6e", "7a", "7b", "7c")] == [
        (256, 35, 35), (288, 35, 35), (288, 35, 35), (768, 17, 17), (768, 17, 17), (1280, 8, 8), (2048, 8, 8),
        (2048, 8, 8),
    ]  # fmt: skip


def test_the_head_speaks_in_training_only() -> None:
    with torch.device("meta"):
        model, x = inception_v3(classes=5, use_heads=True), torch.empty(2, 3, 107, 107)
        outputs = model(x)
        assert isinstance(outputs, InceptionOutputs)
        assert [tuple(output.shape) for output in outputs] == [(2, 5), (2, 5)]
        assert model.eval()(x).shape == (2, 5)


def test_the_head_averages_17x17_maps_to_5x5() -> None:
    x = torch.randn(2, 8, 17, 17)
    assert torch.equal(InceptionAux(8, 3).pool(x), F.avg_pool2d(x, 5, 3))
