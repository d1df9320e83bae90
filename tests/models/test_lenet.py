"""What is odd in the LeNet-5 of 1998: the subsampling, C3's table, the squashing, the coded outputs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch

import striate
from striate.errors import ModelError
from striate.models.lenet import (
    TABLE_1,
    EuclideanRBF,
    ScaledTanh,
    Subsampling,
    TableConv2d,
    codes,
    lenet5_1998,
)


def test_each_layer_has_the_papers_parameters(architectures: dict[str, Any]) -> None:
    (facts,) = (p for p in architectures["lenet5"]["params"] if "connections" in p)
    network = lenet5_1998()
    found = [sum(p.numel() for p in layer.parameters()) for layer in network.children()]
    assert [count for count in found if count] == facts["per_layer"]
    # Connections: multiply-adds and biases, four inputs and a bias of each subsampling unit, the codes.
    rows = striate.inspect(network, (1, 28, 28)).layers
    dense = sum(r.multiply_adds + r.output[0] * r.output[-1] ** 2 for r in rows if r.kind == "Conv2d")
    assert dense + (120 + 1) * 84 + 5 * (6 * 14**2 + 16 * 5**2) + 840 == facts["connections"]


def test_subsampling_adds_four_pixels_by_hand() -> None:
    layer = Subsampling(2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1))
        layer.bias.copy_(torch.tensor([0.5, 10.0]).view(2, 1, 1))
    x = torch.tensor([[1.0, 2.0, 0.0, 1.0], [3.0, 4.0, 0.0, 0.0]]).expand(1, 2, 2, 4)
    assert layer(x).tolist() == [[[[20.5, 2.5]], [[0.0, 9.0]]]]


def test_table_1_has_60_kernels_as_the_paper_says_it() -> None:
    assert Counter(map(len, TABLE_1)) == {3: 6, 4: 9, 6: 1}
    assert sum(map(len, TABLE_1)) == 60
    assert len(set(TABLE_1)) == 16
    assert Counter(seen for row in TABLE_1 for seen in row) == dict.fromkeys(range(6), 10)
    around = [{b - a for a, b in pairwise([*row, row[0] + 6])} for row in TABLE_1]
    assert all(1 in gaps and len(gaps) == 2 for gaps in around[:12])  # neighbours, the sixth beside the first
    assert all(row[1] - row[0] == 1 or row[3] - row[2] == 1 or row == (0, 2, 3, 5) for row in TABLE_1[12:15])


def test_each_map_of_c3_sees_the_maps_of_its_row_and_no_other() -> None:
    torch.manual_seed(0)
    layer = TableConv2d(TABLE_1, 5)
    x = torch.randn(1, 6, 14, 14, requires_grad=True)
    y = layer(x)
    assert y.shape == (1, 16, 10, 10)
    for row, made in zip(TABLE_1, y[0], strict=True):
        (gradient,) = torch.autograd.grad(made.sum(), x, retain_graph=True)
        assert tuple(gradient[0].abs().sum((1, 2)).nonzero().flatten().tolist()) == row


def test_the_squashing_keeps_one_and_minus_one() -> None:
    y = ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0, 100.0]))
    assert y.tolist() == pytest.approx([-1, 0, 1, 1.7159], abs=1e-4)


def test_codes_are_fixed_and_tell_classes_apart() -> None:
    for classes in (2, 10, 26):
        code = codes(classes)
        assert code.shape == (classes, 84)
        assert set(code.flatten().tolist()) == {-1.0, 1.0}
        assert torch.equal(code, codes(classes))
        assert torch.pdist(code).min() > 4  # at least five of the 84 differ


def test_the_nearest_code_is_the_answer() -> None:
    output = EuclideanRBF(10)
    assert not list(output.parameters())
    assert list(output.state_dict()) == ["codes"]
    x = codes(10) * 0.9
    assert output(x).argmax(1).tolist() == list(range(10))
    right = torch.cdist(x.double(), codes(10).double()).square()
    assert torch.allclose(-output(x).double(), right, atol=1e-4)


@pytest.mark.parametrize("size", [12, 13, 32])
def test_other_sizes_and_a_clear_refusal_below(size: int) -> None:
    assert lenet5_1998(classes=3, channels=2, size=size)(torch.zeros(2, 2, size, size)).shape == (2, 3)
    with pytest.raises(ModelError, match="lenet5_1998 needs pictures of at least 12 pixels"):
        lenet5_1998(size=11)
