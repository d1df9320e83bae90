"""BN-Inception's modules: the branches of figure 5, and what happens where they halve the maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from striate.models.bn_inception import Inception, bn_inception


def test_a_module_is_its_branches_side_by_side() -> None:
    torch.manual_seed(0)
    module, x = Inception(3, 4, 2, 5, 3, 6, "avg", 7).eval(), torch.randn(2, 3, 9, 8)
    four = [branch(x) for branch in module.branches]
    assert [y.shape[1] for y in four] == [4, 5, 6, 7]
    assert torch.equal(module(x), torch.cat(four, 1))


@pytest.mark.parametrize("side", [8, 9])
def test_a_module_of_stride_2_halves_the_maps_and_passes_the_pooled_ones_on(side: int) -> None:
    torch.manual_seed(0)
    module, x = Inception(3, 0, 2, 5, 3, 6, "max", 0, stride=2).eval(), torch.randn(2, 3, side, side)
    y = module(x)
    assert y.shape == (2, 5 + 6 + 3, (side + 1) // 2, (side + 1) // 2)
    assert torch.equal(y[:, 11:], F.max_pool2d(x, 3, 2, padding=1))


@pytest.mark.parametrize(("depth_576", "depth"), [(False, 608), (True, 576)])
def test_depths_are_those_of_figure_5(depth_576: bool, depth: int) -> None:
    found: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        model = bn_inception(depth_576=depth_576)
        for name, module in model.named_children():
            if isinstance(module, Inception):
                module.register_forward_hook(
                    lambda _m, _i, y, name=name: found.update({name[10:]: y.shape[1:]})
                )
        model(torch.empty(2, 3, 224, 224))
    depths = {"3a": 256, "3b": 320, "3c": 576, "4a": 576, "4b": 576, "4c": depth, "4d": depth}
    depths |= {"4e": depth + 448, "5a": 1024, "5b": 1024}
    sides = {name: {"3a": 28, "3b": 28, "4e": 7, "5a": 7, "5b": 7}.get(name, 14) for name in depths}
    assert found == {name: (depths[name], sides[name], sides[name]) for name in depths}
