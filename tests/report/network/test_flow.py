"""Which rows are drawn, as what, and how they are joined and put under headings."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.report.network import blocks, flow, page
from striate.summary.result import Inspected, Layer

from .nets import Reader, call, chain, conv, long_net, net, residual


def drawn_kinds(inspected: Inspected) -> list[tuple[str, int]]:
    return [(volume.kind, len(volume.worn)) for volume in flow.volumes(inspected)]


def test_a_row_that_keeps_the_shape_is_worn_by_its_volume() -> None:
    found = [("input", 0), ("conv", 2), ("pool", 0), ("shape", 0), ("dense", 0)]
    assert drawn_kinds(chain()) == found


def test_a_tensor_that_is_read_twice_wears_nothing_of_one_reader() -> None:
    shape = (8, 16, 16)
    before_activation = net(
        (8, 16, 16),
        conv("conv0", shape, 8, 1),
        call("bn", "BatchNorm2d", shape),  # reads what the sum reads too
        conv("conv1", shape, 8, 1),
        call("add", "add", shape, 2, 0),
    )
    assert drawn_kinds(before_activation) == [("input", 0), ("conv", 0), ("norm", 0), ("conv", 0), ("add", 0)]


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("BatchNorm2d", 1, "norm"),
        ("LocalResponseNorm", 1, "norm"),
        ("Dropout2d", 1, "drop"),
        ("LeakyReLU", 1, "act"),
        ("softmax", 1, "act"),
        ("adaptive_avg_pool2d", 1, "pool"),
        ("mean", 1, "pool"),
        ("flatten", 1, "shape"),
        ("__getitem__", 1, "shape"),
        ("cat", 2, "cat"),
        ("add", 2, "add"),
        ("add", 1, "other"),  # a constant is added: nothing meets
        ("interpolate", 1, "other"),
    ],
)
def test_kinds_are_told_by_their_names(kind: str, inputs: int, expected: str) -> None:
    layer = Layer("x", kind, "", False, (1,), (1,), tuple(range(inputs)))
    assert flow.kind_of(layer) == expected


@pytest.mark.parametrize("kind", ["Linear", "matmul", "addmm", "MultiheadAttention", "LSTM"])
def test_what_multiplies_matrices_is_dense(kind: str) -> None:
    assert flow.kind_of(Layer("x", kind, "", False, (1,), (1,), (-1,), multiply_adds=1)) == "dense"


def test_a_residual_block_is_found_by_its_wiring() -> None:
    drawn = flow.volumes(residual())
    parts = flow.units(drawn)
    assert [part.volumes for part in parts] == [(0,), (1,), (2, 3, 4)]
    assert parts[-1].path == ("block",)
    assert blocks.branches(parts[-1], drawn) == [blocks.Branch(1, (2, 3, 4), None), blocks.Branch(1, (), 4)]


def test_a_projection_is_a_branch_of_its_own() -> None:
    drawn = flow.volumes(residual(projection=True))
    part = flow.units(drawn)[-1]
    assert blocks.branches(part, drawn) == [blocks.Branch(1, (2, 3, 5), None), blocks.Branch(1, (4,), 5)]


def test_of_two_ways_as_long_the_one_with_weights_is_on_the_ground() -> None:
    """The shortcut of the CIFAR networks, which takes every second pixel and pads the channels."""
    shape = (8, 4, 4)
    drawn = flow.volumes(
        net(
            (8, 8, 8),
            call("block.down.getitem", "getitem", shape),
            call("block.down.pad", "pad", (16, 4, 4)),
            conv("block.conv1", (8, 8, 8), 16, 3, -1, stride=2, padding=1),
            conv("block.conv2", (16, 4, 4), 16, 3, padding=1),
            call("block.add", "add", (16, 4, 4), 3, 1),
        )
    )
    (_, block) = flow.units(drawn)
    assert blocks.branches(block, drawn) == [blocks.Branch(0, (3, 4, 5), None), blocks.Branch(0, (1, 2), 5)]


def test_nested_branches_lie_above_one_another() -> None:
    """A gate inside a residual block: the short line must not cross the long one."""
    shape = (8, 4, 4)
    drawn = flow.volumes(
        net(
            shape,
            conv("conv", shape, 8, 1),
            call("squeeze", "mean", (8, 1, 1)),
            conv("gate", (8, 1, 1), 8, 1),
            call("mul", "mul", shape, 0, 2),
            call("add", "add", shape, 3, -1),
        )
    )
    part = flow.units(drawn)[-1]
    track = blocks.tracks(blocks.branches(part, drawn), flow.columns(part, drawn))
    assert {(branch.source, branch.target): level for branch, level in track.items()} == {
        (0, None): 0,
        (1, 4): 1,
        (0, 5): 2,
    }


@st.composite
def graphs(draw: st.DrawFn) -> Inspected:
    """Any wiring: each row reads one to three earlier ones, mostly near."""
    n = draw(st.integers(0, 14))
    calls = []
    for row in range(n):
        inputs = draw(st.lists(st.integers(max(-1, row - 4), row - 1), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["ReLU", "add", "Conv2d", "cat", "BatchNorm2d"]))
        work = 10 if kind == "Conv2d" else 0
        path = draw(st.sampled_from(["", "a.", "a.0.", "a.1.x.", "b."]))
        calls.append(call(f"{path}r{row}", kind, (4, 8, 8), *inputs, multiply_adds=work))
    return net((4, 8, 8), *calls)


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_any_wiring_is_drawn_once_and_forwards(inspected: Inspected) -> None:
    drawn = flow.volumes(inspected)
    rows = [row for volume in drawn for row in (volume.row, *volume.worn)]
    assert sorted(rows) == list(range(-1, len(inspected.layers)))
    parts = [part for stage in flow.stages(drawn, inspected.layers) for part in stage.units]
    assert [at for part in parts for at in part.volumes] == list(range(len(drawn)))
    for part in parts:
        if len(part.volumes) == 1:
            continue
        column = flow.columns(part, drawn)
        found = blocks.branches(part, drawn)
        assert sorted(at for branch in found for at in branch.volumes) == list(part.volumes)
        assert part.volumes[-1] in found[0].volumes
        joins = {(source, at) for at in part.volumes for source in drawn[at].sources}
        assert all(column[source] < column[at] for source, at in joins)
        # Every join is drawn, and by one branch only.
        shown = [join for branch in found for join in itertools.pairwise(ends(branch))]
        assert sorted(shown) == sorted(joins)
        track = blocks.tracks(found, column)
        for one, other in itertools.combinations(found, 2):
            if track[one] == track[other]:
                inner = [column[at] for at in one.volumes]
                start, stop = span(other, column)
                assert not any(start < c < stop for c in inner)
    Reader(page(inspected))


def ends(branch: blocks.Branch) -> list[int]:
    return [at for at in (branch.source, *branch.volumes, branch.target) if at is not None]


def span(branch: blocks.Branch, column: dict[int, int]) -> tuple[int, int]:
    start = column[branch.volumes[0]] - 1 if branch.source is None else column[branch.source]
    return start, max(column.values()) + 1 if branch.target is None else column[branch.target]


def test_stages_follow_the_paths_of_modules() -> None:
    def titles(inspected: Inspected) -> list[str]:
        return [stage.title for stage in flow.stages(flow.volumes(inspected), inspected.layers)]

    assert titles(residual()) == ["", "block"]
    shape = (3, 8, 8)
    nested = net(
        shape,
        conv("features.0", shape, 3, 1),
        conv("features.1", shape, 3, 1),
        call("flatten", "flatten", (192,)),
    )
    assert titles(nested) == ["features", ""]  # the input stands with what reads it
    assert titles(long_net(2, 3)) == ["", "layer1", "layer2", ""]
    wrapped = long_net(2, 3)
    layers = tuple(
        dataclasses.replace(layer, name=f"net.{layer.name}", module=f"net.{layer.module}".rstrip("."))
        for layer in wrapped.layers
    )
    assert titles(dataclasses.replace(wrapped, layers=layers))[1:-1] == ["net.layer1", "net.layer2"]
