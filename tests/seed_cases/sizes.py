"""What fits, what is padded, what a stride leaves over."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn

from striate.errors import DoesNotFit
from striate.ops import Axis, cross_correlate, max_pool, output_size, total_padding
from tests.seed_cases.facts import (
    CASES,
    Case,
    convolution,
    deck_is_wrong,
    inspected,
    named,
    numbers,
    picture,
    rows_of,
    shows,
    slid,
    volume,
    worked_out,
)


def slid_shape(image: list[int], kernel: list[int], padding: Any = 0) -> list[int]:
    """Cross-correlate ones over ones, and give the size of the map."""
    found = cross_correlate(torch.ones(1, 1, *image), torch.ones(1, 1, *kernel), padding=padding)
    return list(found.shape[2:])


@shows("002-7x7-stride1", "002-7x7-stride2")
def the_printed_formula_for_a_side(case: Case) -> None:
    p, n = case.parameters, case.inputs["W"]
    side = worked_out(p["formula"], W=n, F=p["F"], P=p["P"], S=p["S"])
    assert side == case.recomputed == output_size(n, p["F"], stride=p["S"], padding=p["P"])
    row = convolution([n, n], [p["F"], p["F"]], stride=p["S"], padding=p["P"])
    assert volume(row)[:2] == case.expected["output"] == [side, side]


@shows(
    "000-six-filters-28x28x6",
    "000-out-size-32-pad2",
    "001-32x32x3-one-filter",
    "004-28x28x1",
    "004-7x7-stride2",
)
def a_volume_in_a_volume_out(case: Case) -> None:
    how = {key: case.parameters[key] for key in ("filters", "stride", "padding") if key in case.parameters}
    row = convolution(case.inputs["image"], case.parameters["kernel"], **how)
    found = case.recomputed if isinstance(case.recomputed, dict) else {"output": case.recomputed}
    right = case.expected["output"]
    assert volume(row)[: len(right)] == right == found["output"]
    if "params_with_bias" in found:
        assert row.parameters == found["params_with_bias"]
    if "lost_each_side" in found:
        assert case.inputs["image"][0] - 2 * found["lost_each_side"] == volume(row)[0]


@shows("003-conv-6x3x5x5")
def a_volume_with_the_channels_first(case: Case) -> None:
    filters, channels, *kernel = case.parameters["filters"]
    row = inspected(nn.Conv2d(channels, filters, kernel), *case.inputs["image"]).layers[0]
    assert list(row.output) == case.expected["output"] == case.recomputed["output"]
    assert case.parameters["bias"] == filters
    assert row.parameters == case.recomputed["params"]


@shows("001-multi-outputs")
def as_many_maps_as_filters(case: Case) -> None:
    two, four = case.parameters["filters"]
    row = convolution(case.inputs["image"], case.parameters["kernel"], filters=four)
    assert volume(row) == case.expected["four_filters"]
    cases = [CASES["001-6x6-filter1"], CASES["001-6x6-filter2"]]
    filters = torch.cat([picture(other.inputs["kernel"]) for other in cases])
    maps = cross_correlate(picture(cases[0].inputs["image"]), filters)[0]
    assert maps.tolist() == [other.recomputed["feature_map"] for other in cases]
    assert [*maps.shape[1:], two] == case.expected["two_filters_on_6x6"]
    assert case.expected == case.recomputed


@shows("000-shrink-32-28-24")
def maps_shrink_without_padding(case: Case) -> None:
    p, n = case.parameters, case.inputs["size"]
    layers = [nn.Conv2d(1, 1, p["kernel"], p["stride"], p["padding"]) for _ in range(p["layers"])]
    rows = inspected(nn.Sequential(*layers), 1, n, n).layers
    assert [n, *(row.output[1] for row in rows)] == case.expected == case.recomputed


@shows("001-padding-formula")
def a_total_padding_keeps_the_size(case: Case) -> None:
    formula = case.parameters["formula"].split(" x ")[0]
    assert case.inputs["n"] in [n for n, _ in case.recomputed[str(case.inputs["k"])]]
    for k, n, right in ((int(k), *pair) for k, pairs in case.recomputed.items() for pair in pairs):
        assert worked_out(formula, n_h=n, k_h=k, p_h=k - 1) == right
        assert output_size(n, k, padding=(k - 1) // 2) == right  # the same, counted per side
        assert slid_shape([n, n], [k, k], total_padding(k - 1)) == [right, right]


@shows("001-pad-6x6-to-8x8")
def zeros_around(case: Case) -> None:
    # A kernel with the single weight 1 shows its padded input as it is.
    padded = slid(case.inputs["image"], [[1]], padding=case.parameters["padding_each_side"])
    assert padded == case.expected["padded"] == case.recomputed["padded"]


@shows("001-7x7-stride1", "001-7x7-stride2", "001-7x7-stride1-padded")
def strides_over_7x7(case: Case) -> None:
    p, image, right = case.parameters, case.inputs["image"], case.recomputed["map_with_filter1"]
    kernel = CASES["001-6x6-filter1"].inputs["kernel"]
    for padding in (p["padding"], total_padding(p.get("p_total", 0))):
        assert slid(image, kernel, stride=p["stride"], padding=padding) == right
    side = output_size(len(image), p["kernel"][0], stride=p["stride"], padding=p["padding"])
    assert [side, side] == case.expected["output"] == case.recomputed["output"]


@shows("001-7x7-stride3-padded")
def padding_makes_stride_3_fit(case: Case) -> None:
    p, padded, right = case.parameters, case.inputs["padded_image"], case.recomputed["map_with_filter1"]
    kernel = CASES["001-6x6-filter1"].inputs["kernel"]
    image = [row[1:-1] for row in padded[1:-1]]
    assert slid(padded, kernel, stride=p["stride"]) == right
    for padding in (p["padding"], total_padding(p["p_total"])):
        assert slid(image, kernel, stride=p["stride"], padding=padding) == right
    axis = Axis(len(image), p["kernel"][0], p["stride"], (p["padding"], p["padding"]))
    assert axis.fits
    assert axis.exact == case.recomputed["formula"]
    assert [len(right), len(right[0])] == case.expected["output"]


@shows("001-7x7-stride3-does-not-fit")
def stride_3_does_not_fit(case: Case) -> None:
    p, n, right = case.parameters, len(case.inputs["image"]), case.recomputed
    axis = Axis(n, p["kernel"][0], p["stride"])
    assert round(float(axis.exact), 4) == right["formula"]
    with pytest.raises(DoesNotFit, match=r"2\.33"):
        output_size(n, p["kernel"][0], stride=p["stride"])
    # Without being asked to be strict, the operator floors as torch does, and the table says what is lost.
    row = convolution([n, n], p["kernel"], stride=p["stride"])
    found = slid(case.inputs["image"], CASES["001-6x6-filter1"].inputs["kernel"], stride=p["stride"])
    assert volume(row)[:2] == [len(found), len(found[0])] == right["torch_floor"]
    assert row.border_loss == (axis.never_seen, axis.never_seen) == (1, 1)
    assert "2.33" in row.warning
    assert [dataclasses.replace(axis, ceil=True).positions] * 2 == right["ceil"]


@shows("004-output-size-N7-F3")
def three_strides_and_one_does_not_fit(case: Case) -> None:
    n, f = case.inputs["N"], case.inputs["F"]
    for name, printed in case.expected.items():
        stride = int(numbers(name)[0])
        exact = worked_out(case.parameters["formula"], N=n, F=f, stride=stride)
        assert round(float(exact), 4) == case.recomputed[name]
        if isinstance(printed, int):
            assert output_size(n, f, stride=stride) == printed == exact
        else:  # "2.33 NOT possible"
            with pytest.raises(DoesNotFit, match=re.escape(printed.split()[0])):
                output_size(n, f, stride=stride)


@shows("001-output-size-formula-stride", "002-conv-summary", "004-conv-summary")
def formulas_of_a_convolution(case: Case) -> None:
    p = case.parameters
    side = p["W2"] if "W2" in p else p["formula"].split(" x ")[0]
    weights = (p.get("params") or p.get("weights", "F*F*D1*K")).split(" weights")[0]
    for n, f, padding, s in itertools.product(range(5, 12), (1, 2, 3, 5), (0, 1, 2), (1, 2, 3)):
        # Deck 001 counts the padding over both sides, the others per side.
        exact = worked_out(side, n_h=n, k_h=f, p_h=2 * padding, s=s, W1=n, F=f, P=padding, S=s)
        assert exact == Axis(n, f, s, (padding, padding)).exact
        if exact.denominator == 1:
            row = convolution([n, n, 3], [f, f], filters=4, stride=s, padding=padding)
            assert volume(row) == [exact, exact, 4]
            assert row.parameters == worked_out(weights, F=f, D1=3, k=4, K=4) + 4


@shows("002-pool-summary", "003-pool-summary", "004-pool-summary")
def formulas_of_a_pool(case: Case) -> None:
    for n, f, s in ((8, 2, 2), (9, 3, 2), (7, 3, 1), (12, 4, 4)):
        side = worked_out(case.parameters["W2"], W1=n, F=f, S=s)
        row = inspected(nn.MaxPool2d(f, s), 5, n, n).layers[0]
        assert row.output == (5, side, side) == max_pool(torch.zeros(1, 5, n, n), f, stride=s).shape[1:]
        assert row.parameters == case.parameters["params"]


@shows("003-common-settings")
def settings_that_keep_the_size(case: Case) -> None:
    listed = next(found for name, found in case.recomputed.items() if name.startswith("F,S,P"))
    *_, loose, one = settings = case.parameters["settings"]
    assert [list(s.values()) for s in (*settings[:2], one)] == [[f, s, p] for f, s, p, _ in listed]
    for f, s, p, sizes in listed:
        assert all(output_size(n, f, stride=s, padding=p) == side for n, side in sizes)
        assert convolution([7, 7, 3], [f, f], filters=4, padding=p).parameters == f**2 * 3 * 4 + 4
    for n in range(7, 40):  # "whatever fits": an odd side always does, an even one never
        axes = [Axis(n, loose["F"], loose["S"], (p, p)) for p in range(4)]
        assert {axis.fits for axis in axes} == {n % 2 == 1}
        assert axes[2].positions == math.ceil(n / 2)


@shows("004-valid-same")
def same_padding_never_enlarges(case: Case) -> None:
    for n, k in ((5, 3), (8, 5), (7, 4), (6, 2)):
        valid, same, full = (slid_shape([n, n], [k, k], padding)[0] for padding in ("valid", "same", k - 1))
        assert valid < same == n < full
        deck_is_wrong(case, "increased" in case.expected, same > n)


@shows("004-5x5-padded-to-6x6")
def same_padding_of_5x5_is_7x7(case: Case) -> None:
    image, kernel, right = case.inputs["image"][:2], case.parameters["kernel"], case.recomputed
    printed = [int(n) for n in numbers(case.expected)[-3:-1]]
    assert slid_shape(image, [1, 1], 1) == right["symmetric_padding_1"]
    deck_is_wrong(case, printed, right["symmetric_padding_1"])
    assert slid_shape(printed, kernel) == right["output_of_3x3_on_6x6"] != image
    assert slid_shape(image, kernel, "same") == right["output_of_3x3_on_7x7"] == image


@shows("000-resnet-stem-56")
def the_stem_of_a_resnet(case: Case) -> None:
    found = named("resnet18")
    channels, n, _ = found.input
    assert [n, n, channels] == case.inputs["image"]
    stem = rows_of(found, "Conv2d")[0], rows_of(found, "MaxPool2d")[0]
    for row, settings, right in zip(stem, case.parameters, case.recomputed.values(), strict=True):
        kernel = settings.get("conv") or settings["maxpool"]
        axis = Axis(n, kernel[0], settings["stride"], (settings["padding"], settings["padding"]))
        assert row.window is not None
        assert row.window.axes == (axis, axis)
        assert not axis.fits  # it needs the floor rule
        assert list(row.output[1:]) == right == [axis.positions] * 2
        n = axis.positions
    assert [n, n] == case.expected["spatial"]


@shows("002-alexnet-conv1-size")
def alexnet_needs_227(case: Case) -> None:
    p, right, image = case.parameters, case.recomputed, case.inputs["image"]
    row = convolution(image, [p["F"], p["F"]], filters=p["depth"], stride=p["S"], padding=p["P"])
    assert volume(row) == [*case.expected["output"], p["depth"]]
    assert row.window is not None
    assert {axis.exact for axis in row.window.axes} == {Fraction(right["227_P0"])}
    paper = Axis(224, p["F"], p["S"])
    assert paper.exact == Fraction(right["224_P0"])
    assert not paper.fits
    assert dataclasses.replace(paper, padding=(2, 2)).positions == right["224_P2_floor"]
