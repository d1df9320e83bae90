"""Parameters, values and receptive fields."""

from __future__ import annotations

import math

import torch
from torch import nn

from striate.models.mlp import mlp
from striate.ops import unshare
from tests.seed_cases.facts import (
    CASES,
    Case,
    convolution,
    deck_is_wrong,
    inspected,
    numbers,
    rows_of,
    shows,
    volume,
    worked_out,
)


@shows("000-params-760", "004-32-pad2-760")
def parameters_of_a_convolution(case: Case) -> None:
    p, right = case.parameters, case.recomputed
    one, ten = (
        convolution(case.inputs["image"], p["kernel"], filters=filters, padding=p.get("padding", 0))
        for filters in (1, p["filters"])
    )
    assert (one.parameters, ten.parameters) == (right["per_filter"], right["total"])
    if "output" in right:
        assert volume(ten) == [right["output"], right["output"], p["filters"]]
    assert case.expected == right


@shows("002-76-weights")
def parameters_of_a_filter(case: Case) -> None:
    for bias, right in ((True, case.recomputed["parameters"]), (False, case.recomputed["weights"])):
        row = convolution(case.inputs["image"], case.inputs["receptive_field"], bias=bias)
        assert row.parameters == right
    assert case.expected["total"] == case.recomputed["parameters"]
    assert case.recomputed["parameters"] - case.recomputed["weights"] == case.recomputed["bias"]


@shows("002-cifar-3072", "002-400x400x3")
def weights_of_a_dense_unit(case: Case) -> None:
    height, width, channels = case.inputs["image"]
    unit = nn.Linear(height * width * channels, 1, bias=False)
    flat, dense = inspected(nn.Sequential(nn.Flatten(), unit), channels, height, width).layers
    assert dense.parameters == case.recomputed == case.expected["weights_per_neuron"]
    assert flat.output == (case.recomputed,)


@shows("001-mlp-28326")
def parameters_of_a_perceptron(case: Case) -> None:
    (side, _, channels), right = case.inputs["image"], case.recomputed
    network = mlp(case.inputs["outputs"], channels, side, (case.inputs["hidden"],))
    found = inspected(network, channels, side, side)
    hidden, output = rows_of(found, "Linear")
    assert hidden.parameters == right["input_weights"] + right["hidden_biases"]
    assert output.parameters == right["output_weights"] + right["output_biases"]
    assert found.totals.parameters == right["total"]
    assert case.expected == right


@shows("000-fc-vs-conv-params-256")
def a_dense_layer_for_a_picture(case: Case) -> None:
    right, kernel = case.recomputed, case.parameters["conv_kernel"]
    for bias, ending in ((False, ""), (True, "_with_bias")):
        row = convolution(case.inputs["image"], kernel, padding=kernel[0] // 2, bias=bias)
        assert volume(row) == case.inputs["hidden"]
        assert row.parameters == right[f"conv{ending}"]
        assert row.dense_parameters == right[f"fully_connected{ending}"]
    assert case.expected["conv"] == right["conv"]
    (billions,) = numbers(case.expected["fully_connected"])
    assert billions == round(right["fully_connected"] / 1e9)


@shows("004-3072x10")
def a_dense_layer_beside_a_convolution(case: Case) -> None:
    (height, width, channels), outputs = case.inputs["image"], case.inputs["outputs"]
    right = case.recomputed
    for bias, count in ((False, right["weights"]), (True, right["with_bias"])):
        dense = nn.Linear(height * width * channels, outputs, bias=bias)
        network = nn.Sequential(nn.Flatten(), dense)
        assert inspected(network, channels, height, width).totals.parameters == count
    assert case.expected == right["weights"]
    # The convolution that the deck holds against it gives not 10 numbers but ten maps.
    row = convolution(case.inputs["image"], [5, 5], filters=outputs, padding=2, bias=False)
    assert row.dense_parameters == right["fully_connected_to_the_same_32x32x10_output"]


@shows("002-alexnet-conv1-sharing")
def a_shared_kernel(case: Case) -> None:
    kernel, size, right = case.inputs["kernel"], CASES["002-alexnet-conv1-size"], case.recomputed
    one, all_of = (
        convolution(size.inputs["image"], kernel, filters=filters, stride=size.parameters["S"])
        for filters in (1, case.inputs["depth"])
    )
    assert one.parameters == right["per_depth_slice"] == worked_out(case.expected["per_depth_slice"])
    assert all_of.parameters == right["all_96"]
    assert math.prod(volume(all_of)[:2]) == right["factor"]  # as many kernels as places, if none is shared


@shows("002-alexnet-conv1-no-sharing")
def unshared_kernels(case: Case) -> None:
    (rows, columns, depth), kernel, right = case.inputs["output"], case.inputs["kernel"], case.recomputed
    size = CASES["002-alexnet-conv1-size"]
    shared = torch.empty(depth, kernel[2], *kernel[:2], device="meta")
    weight = unshare(shared, size.inputs["image"][0], stride=size.parameters["S"])
    assert weight.shape[2:4] == (rows, columns)
    biases = rows * columns * depth  # one for each unit
    assert biases == right["neurons"]
    assert weight.numel() + biases == right["all_96"]
    assert (weight.numel() + biases) / depth == right["per_depth_slice"]
    assert worked_out(case.expected["per_depth_slice"]) == right["per_depth_slice"]


@shows("004-1x1-32-filters")
def parameters_of_1x1(case: Case) -> None:
    depth, filters, kernel = case.inputs["depth"], case.parameters["filters"], case.parameters["kernel"]
    for bias, right in ((False, case.recomputed["weights"]), (True, case.recomputed["with_bias"])):
        assert convolution([8, 8, depth], kernel, filters=filters, bias=bias).parameters == right
    assert f"two {depth}-D vectors" in case.expected


@shows("004-8k-input")
def values_of_a_large_picture(case: Case) -> None:
    width, height, channels = case.inputs
    *_, rows, columns, colours = map(int, numbers(case.expected))
    for shape, name in (((channels, height, width), "8K_values"), ((colours, rows, columns), "1080_values")):
        (flat,) = inspected(nn.Flatten(), *shape).layers
        assert flat.output == (case.recomputed[name],)


@shows("001-3x3-stack-receptive-field")
def small_kernels_see_as_far(case: Case) -> None:
    how_many, channels = {"one": 1, "two": 2, "three": 3}, 4
    for name, right in case.recomputed.items():  # such as "two 3x3"
        count, size = how_many[name.split()[0]], int(numbers(name)[0])
        layers = [nn.Conv2d(channels, channels, size, bias=False) for _ in range(count)]
        found = inspected(nn.Sequential(*layers), channels, 16, 16)
        field = found.layers[-1].receptive_field
        assert field is not None
        assert field.size == (right.get("receptive_field", size),) * 2
        assert found.totals.parameters == right["weights_CC"] * channels**2


@shows("004-six-pixels")
def a_3x3_window_covers_nine(case: Case) -> None:
    field = convolution([8, 8], case.inputs["kernel"]).receptive_field
    assert field is not None
    seen = math.prod(field.size)
    assert seen == numbers(case.recomputed)[-1]
    deck_is_wrong(case, numbers(case.expected)[0], seen)
