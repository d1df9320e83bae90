"""How often a window fits, against torch; what it never sees, by looking; and the sentences about it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import DoesNotFit, ModelError
from striate.ops import Axis, output_size
from striate.ops.size import misfit

AXES = st.builds(
    Axis,
    n=st.integers(1, 40),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 6),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    dilation=st.integers(1, 4),
)
# What torch's pools take: the same padding on both sides, at most half of the kernel.
POOLS = st.builds(
    lambda axis, ceil: replace(axis, padding=(min(axis.padding[0], axis.kernel // 2),) * 2, ceil=ceil),
    AXES,
    st.booleans(),
)


def torchs_convolution(axis: Axis) -> int:
    x = torch.zeros(1, 1, axis.n + sum(axis.padding))
    try:
        y = F.conv1d(x, torch.zeros(1, 1, axis.kernel), stride=axis.stride, dilation=axis.dilation)
    except RuntimeError:
        return 0
    return y.shape[2]


def torchs_pool(axis: Axis) -> int:
    try:
        y = F.max_pool1d(
            torch.zeros(1, 1, axis.n), axis.kernel, axis.stride, axis.padding[0], axis.dilation, axis.ceil
        )
    except RuntimeError:
        return 0
    return y.shape[2]


@settings(max_examples=300)
@given(AXES)
def test_positions_are_those_of_torchs_convolution(axis: Axis) -> None:
    assert max(0, axis.positions) == torchs_convolution(axis)


@settings(max_examples=300)
@given(POOLS)
def test_positions_are_those_of_torchs_pools_rounded_down_and_up(axis: Axis) -> None:
    assert max(0, axis.positions) == torchs_pool(axis)


@settings(max_examples=300)
@given(AXES)
def test_output_size_is_the_number_of_positions_or_a_refusal(axis: Axis) -> None:
    chosen = {"stride": axis.stride, "dilation": axis.dilation}
    if axis.fits:
        assert output_size(axis.n, axis.kernel, padding=axis.padding, **chosen) == torchs_convolution(axis)
        assert axis.left_over == axis.never_seen == 0
    else:
        with pytest.raises(DoesNotFit) as refused:
            output_size(axis.n, axis.kernel, padding=axis.padding, **chosen)
        assert (refused.value.message, refused.value.hint) == misfit([axis])
        assert axis.positions < 1 or axis.left_over > 0


def test_output_size_takes_the_padding_per_side() -> None:
    assert output_size(32, 5, padding=2) == output_size(32, 5, padding=(2, 2)) == 32
    assert output_size(32, 5, padding=(4, 0)) == 32


# What is never seen


def read_by_a_window(axis: Axis) -> list[bool]:
    """Change one input pixel after the other and see whether any output changes."""
    eye = torch.eye(axis.n)[:, None]
    y = F.conv1d(
        F.pad(eye, axis.padding), torch.ones(1, 1, axis.kernel), stride=axis.stride, dilation=axis.dilation
    )
    return [bool(one) for one in y.flatten(1).any(dim=1)]


@settings(max_examples=150)
@given(AXES)
def test_never_seen_pixels_change_nothing_and_are_all_where_windows_leave_no_gaps(axis: Axis) -> None:
    if axis.positions < 1:
        return
    seen = read_by_a_window(axis)
    behind = axis.n - axis.never_seen
    assert not any(seen[behind:])
    if axis.dilation == 1 and axis.stride <= axis.kernel and behind:
        assert all(seen[:behind])


@settings(max_examples=200)
@given(POOLS)
def test_a_pool_that_rounds_up_leaves_nothing_over(axis: Axis) -> None:
    up = replace(axis, ceil=True)
    if up.positions >= 1 and axis.stride <= axis.kernel:
        assert up.never_seen == 0
    if up.positions > axis.positions >= 1:
        assert up.positions == replace(axis, ceil=False).positions + 1


@settings(max_examples=300)
@given(AXES)
def test_left_over_pixels_could_be_cut_off(axis: Axis) -> None:
    if axis.positions < 1:
        return
    before, after = axis.padding
    left = axis.left_over
    assert 0 <= axis.never_seen <= left < axis.stride
    assert axis.exact - axis.positions == Fraction(left, axis.stride)
    cut = replace(axis, n=axis.n + before + after - left, padding=(0, 0))
    assert cut.fits
    assert cut.positions == axis.positions


def test_pixels_that_only_padding_hides_are_seen() -> None:
    axis = Axis(8, 3, stride=2, padding=(1, 1))  # 8 + 2 - 3 = 7 is odd, but it is a zero that is left over
    assert (axis.positions, axis.left_over, axis.never_seen) == (4, 1, 0)
    assert not axis.fits


# The sum, written out


@pytest.mark.parametrize(
    ("axis", "formula"),
    [
        (Axis(32, 5), "(32 - 5)/1 + 1 = 28"),
        (Axis(32, 5, padding=(2, 2)), "(32 - 5 + 2*2)/1 + 1 = 32"),
        (Axis(7, 3, stride=3), "(7 - 3)/3 + 1 = 2.33"),
        (Axis(224, 11, stride=4), "(224 - 11)/4 + 1 = 54.25"),
        (Axis(9, 4, padding=(1, 2)), "(9 - 4 + 1 + 2)/1 + 1 = 9"),
        (Axis(9, 3, padding=(4, 0), dilation=2), "(9 - (2*(3 - 1) + 1) + 4 + 0)/1 + 1 = 9"),
        (Axis(2, 5), "(2 - 5)/1 + 1 = -2"),
    ],
)
def test_the_formula_has_the_numbers_in_it(axis: Axis, formula: str) -> None:
    assert axis.formula() == formula


@given(AXES)
def test_the_formula_is_true(axis: Axis) -> None:
    left, right = axis.formula().split(" = ")
    assert round(eval(left), 2) == pytest.approx(float(right), abs=0.011)


# The sentences


@pytest.mark.parametrize(
    ("axes", "message", "hint"),
    [
        (  # the sentence of the lecture's example
            [Axis(7, 3, stride=3)] * 2,
            "7x7 input, 3x3 kernel, stride 3: (7 - 3)/3 + 1 = 2.33",
            "2 fit, the last row and column are never seen; padding 1 gives 3x3",
        ),
        (
            [Axis(8, 3, stride=2)] * 2,  # 5 + 2p is odd for every p: no padding fits
            "8x8 input, 3x3 kernel, stride 2: (8 - 3)/2 + 1 = 3.50",
            "3 fit, the last row and column are never seen; an input of 9x9 gives 4x4",
        ),
        (
            [Axis(10, 3, stride=5)] * 2,
            "10x10 input, 3x3 kernel, stride 5: (10 - 3)/5 + 1 = 2.40",
            "2 fit, the last 2 rows and columns are never seen; an input of 13x13 gives 3x3",
        ),
        (
            [Axis(7, 3, stride=3)],
            "input 7, kernel 3, stride 3: (7 - 3)/3 + 1 = 2.33",
            "2 fit, the last value is never seen; padding 1 gives 3",
        ),
        (
            [Axis(13, 4, stride=5)],
            "input 13, kernel 4, stride 5: (13 - 4)/5 + 1 = 2.80",
            "2 fit, the last 4 values are never seen; padding 3 gives 4",
        ),
        (  # not square: only the rows do not fit
            [Axis(8, 3, stride=2), Axis(9, 3, stride=2)],
            "8x9 input, 3x3 kernel, stride 2: (8 - 3)/2 + 1 = 3.50",
            "3x4 fit, the last row is never seen; an input of 9x9 gives 4x4",
        ),
        (  # only the columns, with their own stride
            [Axis(9, 3, stride=2), Axis(11, 5, stride=4)],
            "9x11 input, 3x5 kernel, stride 2x4: (11 - 5)/4 + 1 = 2.50",
            "4x2 fit, the last 2 columns are never seen; padding 1 gives 5x3",
        ),
        (  # both, by different numbers
            [Axis(8, 3, stride=2), Axis(12, 3, stride=5)],
            "8x12 input, 3x3 kernel, stride 2x5: (8 - 3)/2 + 1 = 3.50",
            "3x2 fit, the last row and the last 4 columns are never seen; an input of 9x13 gives 4x3",
        ),
        (
            [Axis(8, 3, stride=2, padding=(1, 1))] * 2,
            "8x8 input, 3x3 kernel, stride 2: (8 - 3 + 2*1)/2 + 1 = 4.50",
            "4 fit, only padding is left over; an input of 9x9 gives 5x5",
        ),
        (
            [Axis(2, 3)] * 2,
            "2x2 input, 3x3 kernel, stride 1: (2 - 3)/1 + 1 = 0",
            "not even one window fits; padding 1 gives 2x2",
        ),
    ],
)
def test_a_misfit_is_said_in_words(axes: list[Axis], message: str, hint: str) -> None:
    assert misfit(axes) == (message, hint)


@settings(max_examples=300)
@given(AXES, AXES, st.booleans())
def test_what_the_hint_names_fits(one: Axis, other: Axis, alone: bool) -> None:
    axes = [one] if alone else [one, other]
    if all(axis.fits for axis in axes):
        return
    advice, gives = misfit(axes)[1].split("; ")[1].split(" gives ")
    if advice.startswith("padding "):
        p = int(advice.removeprefix("padding "))
        changed = [replace(axis, padding=(p, p)) for axis in axes]
    else:
        sizes = advice.removeprefix("an input of ").split("x")
        changed = [replace(axis, n=int(n)) for axis, n in zip(axes, sizes, strict=True)]
    assert all(axis.fits for axis in changed)
    assert gives == "x".join(str(axis.positions) for axis in changed)


@settings(max_examples=200)
@given(AXES)
def test_what_fits_has_a_position(axis: Axis) -> None:
    assert axis.positions >= 1 or not axis.fits


def test_a_pool_that_rounds_up_fits_as_soon_as_there_is_a_window() -> None:
    axis = Axis(2, 3, stride=2, ceil=True)
    assert axis.positions == torchs_pool(axis) == 1
    assert axis.fits


def test_the_sum_shown_is_of_the_axis_that_has_no_window_at_all() -> None:
    message, hint = misfit([Axis(7, 3, stride=3), Axis(2, 3, stride=3)])
    assert "(2 - 3)/3 + 1" in message
    assert hint.startswith("not even one window fits")


@pytest.mark.parametrize(
    "wrong", [{"kernel": 0}, {"stride": 0}, {"dilation": 0}, {"padding": (-1, 0)}, {"n": 0}]
)
def test_a_window_that_cannot_slide_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="No window slides like this"):
        Axis(**{"n": 7, "kernel": 3, **wrong})


def test_a_pool_is_offered_only_padding_that_torch_takes() -> None:
    assert "padding 2" in misfit([Axis(8, 3, stride=3)])[1]
    assert "an input of 9" in misfit([Axis(8, 3, stride=3)], pools=True)[1]
