"""The strongest patches: found anywhere in a stream, cut out to exactly what the unit saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain import crop, output_of, patches_of_units, top_patches
from striate.explain.layers import batches
from striate.explain.patches import Boxes
from striate.summary.inspect import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, dilation=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    ).eval()


@pytest.mark.parametrize("layer", ["0", "2", "3"])
def test_a_box_is_the_receptive_field_of_inspect(layer: str) -> None:
    net, x = small(), torch.randn(20, 2, 20, 16)
    field = next(row.receptive_field for row in inspect(net, (2, 20, 16)).layers if row.name == layer)
    assert field is not None
    for patch in top_patches(net, x, layer, 1):
        for axis in (0, 1):
            stride = field.stride[axis]
            assert stride is not None
            first, end = patch.box[axis], patch.box[axis + 2]
            assert first == field.offset[axis] + patch.place[axis] * stride
            assert end - first == field.size[axis]


@pytest.mark.parametrize("layer", ["0", "2", "3"])
def test_the_picture_gives_the_value_at_the_place(layer: str) -> None:
    net, x = small(), torch.randn(50, 2, 20, 16)
    maps = output_of(net, x, layer)
    best = maps[:, 2].flatten(1).amax(1)
    found = top_patches(net, batches(x, 7), layer, 2, count=5)
    assert [patch.index for patch in found] == best.argsort(descending=True)[:5].tolist()
    for patch in found:
        again = output_of(net, x[patch.index : patch.index + 1], layer)
        assert float(again[(0, 2, *patch.place)]) == pytest.approx(patch.value, rel=1e-5)


def test_the_crop_alone_gives_the_value() -> None:
    """Without padding inside, what the unit saw is all that counts."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3, stride=2), nn.Tanh())
    x = torch.randn(30, 1, 15, 15)
    for patch in top_patches(net, x, "2", 0):
        cut = crop(x[patch.index], patch.box)
        assert cut.shape == (1, 5, 5)
        assert net[:3](cut[None])[0, 0, 0, 0].item() == pytest.approx(patch.value, rel=1e-5)


def test_what_lies_outside_of_the_picture_is_padding() -> None:
    """A unit at the border saw zeros there: its crop, filled with zeros, gives the value, too."""
    net = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(net.weight)
    x = torch.zeros(1, 1, 4, 5)
    x[0, 0, 0, 0] = 2
    (patch,) = top_patches(nn.Sequential(net), x, "0", 0)
    assert patch.box in {(-1, -1, 2, 2), (-1, 0, 2, 3), (0, -1, 3, 2), (0, 0, 3, 3)}
    assert crop(x[0], patch.box, fill=0.0).sum() == patch.value == 2
    assert crop(x[0], (-1, -1, 5, 6), fill=7.0).sum() == 2 + 7 * 22


def test_a_planted_pattern_is_found_in_a_stream() -> None:
    pattern = torch.tensor([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]])
    conv = nn.Conv2d(1, 2, 3, bias=False)
    net = nn.Sequential(conv, nn.ReLU())
    with torch.no_grad():
        conv.weight[1, 0] = pattern
    draw = torch.Generator().manual_seed(1)
    planted = {37: (4, 9), 512: (0, 0), 998: (13, 13)}

    def stream() -> Iterator[Tensor]:
        for start in range(0, 1000, 100):
            x = torch.rand(100, 1, 16, 16, generator=draw) * 0.3
            for index, (top, left) in planted.items():
                if start <= index < start + 100:
                    x[index - start, 0, top : top + 3, left : left + 3] = pattern
            yield x

    found = top_patches(net, stream(), "1", 1, count=3)
    assert {patch.index: patch.place for patch in found} == planted
    assert {patch.index: patch.box for patch in found} == {
        index: (top, left, top + 3, left + 3) for index, (top, left) in planted.items()
    }


def test_one_patch_a_picture_and_of_equals_the_earlier() -> None:
    conv = nn.Conv1d(1, 1, 1, bias=False)
    net = nn.Sequential(conv)
    nn.init.ones_(conv.weight)
    found = top_patches(net, batches(torch.ones(10, 1, 6), 3), "0", 0, count=4)
    assert [(patch.index, patch.place) for patch in found] == [(0, (0,)), (1, (0,)), (2, (0,)), (3, (0,))]
    assert found[0].box == (0, 1)


def test_several_units_in_one_pass_are_those_one_by_one() -> None:
    net, x = small(), torch.randn(30, 2, 20, 16)
    together = patches_of_units(net, x, "3", [4, 0])
    assert together == {unit: top_patches(net, x, "3", unit) for unit in (4, 0)}


def test_a_dense_unit_sees_the_whole_picture() -> None:
    net, x = small(), torch.randn(4, 2, 20, 16)
    patch = top_patches(net, x, "7", 0)[0]
    assert (patch.place, patch.box) == ((), (0, 0, 20, 16))
    assert patch.value == pytest.approx(net(x)[:, 0].max().item(), rel=1e-5)


class Uneven(nn.Module):
    """Units that are not evenly spaced: the maps are pooled to 3 of 7."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.mix = nn.AdaptiveAvgPool2d(3), nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.mix(self.pool(x))).flatten(1)


def test_where_units_are_not_evenly_spaced_the_gradient_says_what_one_saw() -> None:
    boxes = Boxes(Uneven(), (1, 7, 7), "mix")
    x = torch.zeros(1, 1, 7, 7)
    assert [boxes.of(0, (i, i), x)[::2] for i in range(3)] == [(0, 3), (2, 5), (4, 7)]


def test_it_does_so_behind_an_operation_in_place_and_where_gradients_are_off() -> None:
    net, x = nn.Sequential(nn.ReLU(inplace=True), Uneven()), torch.rand(2, 1, 7, 7)
    plain = top_patches(net, x, "1.mix", 0)
    with torch.inference_mode():
        assert top_patches(net, x, "1.mix", 0) == plain


def test_nothing_of_the_network_is_changed() -> None:
    net = small().train()
    before = [tensor.clone() for tensor in net.state_dict().values()]
    top_patches(net, torch.randn(4, 2, 20, 16), "3", 0)
    assert net.training
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_bad_input_says_what_there_is() -> None:
    with pytest.raises(ModelError, match="no unit 9"):
        top_patches(small(), torch.randn(1, 2, 20, 16), "3", 9)
    with pytest.raises(ModelError, match="no layer 'x'"):
        top_patches(small(), torch.randn(1, 2, 20, 16), "x", 0)
    with pytest.raises(ModelError, match="no pictures"):
        top_patches(small(), iter([]), "3", 0)
