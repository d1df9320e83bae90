"""The sweep counts what it says, on the draws that the seed gives, with intervals that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from striate.events import Event, Working
from striate.stress import chance, consistency, offsets, places
from striate.stress.distortion import CORRUPTIONS, CURVES
from striate.stress.measure import Point, sweep

SOME = {name: {**CURVES, **CORRUPTIONS}[name] for name in ("shift", "noise", "clutter", "fog", "brightness")}
N = 60


def bright(pictures: torch.Tensor) -> torch.Tensor:
    """A classifier that looks at the middle: class 1 where it is bright."""
    logit = 20 * (pictures[:, :, 6:10, 6:10].mean((1, 2, 3)) - 0.5)
    return torch.stack([-logit, logit], 1).softmax(1)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    middle = torch.rand(N, 1, 1, 1, generator=draw)
    return (middle + 0.3 * torch.randn(N, 3, 16, 16, generator=draw)).clamp(0, 1)


@pytest.fixture(scope="module")
def targets(pictures: torch.Tensor) -> np.ndarray:
    return bright(pictures).argmax(1).numpy()


KEYS = chance.keys(0, np.arange(N))


def test_every_point_is_what_a_loop_by_hand_counts(pictures: torch.Tensor, targets: np.ndarray) -> None:
    found = sweep(bright, pictures, targets, SOME, keys=KEYS)
    assert list(found.curves) == list(SOME)
    for name, curve in found.curves.items():
        for point in curve.points:
            spoilt = SOME[name].apply(pictures, point.level, KEYS, pictures)
            sure, said = bright(spoilt).max(1)
            assert point.hits == (said.numpy() == targets).sum(), (name, point.level)
            assert point.confidence == pytest.approx(sure.mean().item(), abs=1e-5)


def test_a_network_that_learns_is_asked_without_a_gradient(pictures: torch.Tensor) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    told = []

    def answers(x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = model(x).softmax(1)
        told.append(said.requires_grad)
        return said

    targets = np.zeros(N, np.int64)
    sweep(answers, pictures, targets, {"shift": CURVES["shift"]}, keys=KEYS)
    places(answers, pictures, targets, classes=2)
    consistency(answers, pictures, offsets(KEYS, 16))
    assert told
    assert not any(told)


def test_the_batch_changes_nothing(pictures: torch.Tensor, targets: np.ndarray) -> None:
    whole = sweep(bright, pictures, targets, SOME, keys=KEYS)
    parts = sweep(bright, pictures, targets, SOME, keys=KEYS, batch=60)
    assert parts == whole
    small = sweep(bright, pictures, targets, SOME, keys=KEYS, batch=7)
    for name, curve in small.curves.items():
        assert [point.hits for point in curve.points] == [point.hits for point in whole.curves[name].points]


def test_a_curve_begins_at_the_clean_accuracy(pictures: torch.Tensor, targets: np.ndarray) -> None:
    wrong = targets.copy()
    wrong[:9] = 1 - wrong[:9]
    found = sweep(bright, pictures, wrong, SOME, keys=KEYS)
    assert found.clean.accuracy == 1 - 9 / N
    for name in ("shift", "noise", "clutter"):
        start = found.curves[name].points[0]
        assert (start.level, start.accuracy) == (CURVES[name].identity, found.clean.accuracy)
    assert [point.level for point in found.curves["fog"].points] == [1, 2, 3, 4, 5]


def test_the_same_seed_gives_the_same_curve_and_another_one_another(
    pictures: torch.Tensor, targets: np.ndarray
) -> None:
    only = {name: SOME[name] for name in ("shift", "noise")}
    first, again, other = (
        sweep(bright, pictures, targets, only, keys=chance.keys(seed, np.arange(N))) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.clean == other.clean
    assert first != other


def test_what_means_nothing_for_such_pictures_is_left_out_with_its_reason(
    pictures: torch.Tensor, targets: np.ndarray
) -> None:
    two = {name: CURVES[name] for name in ("colour_cast", "darkness")}
    found = sweep(bright, pictures[:, :1], targets, two, keys=KEYS)
    assert list(found.curves) == ["darkness"]
    assert "grey" in found.skipped["colour_cast"]


def test_levels_in_pixels_are_the_same_share_of_another_side(
    pictures: torch.Tensor, targets: np.ndarray
) -> None:
    """A run of 8 pixels beside one of 16: 4 pixels of the large one are 2 of the small one."""
    small = torch.nn.functional.avg_pool2d(pictures, 2)

    def answers(x: torch.Tensor) -> torch.Tensor:
        return bright(x.repeat_interleave(2, 2).repeat_interleave(2, 3))

    only = {"shift": CURVES["shift"]}
    found = sweep(answers, small, targets, only, keys=KEYS, side=16)
    own = sweep(answers, small, targets, only, keys=KEYS)
    assert [point.level for point in found.curves["shift"].points] == [0, 1, 2, 3, 4]
    assert [point.level for point in own.curves["shift"].points] == [0, 1, 2]
    assert found.curves["shift"].points[4].hits == own.curves["shift"].points[2].hits


def test_progress_ends_at_the_number_that_was_announced(pictures: torch.Tensor, targets: np.ndarray) -> None:
    told: list[Event] = []
    sweep(bright, pictures, targets, {"shift": CURVES["shift"]}, keys=KEYS, batch=25, emit=told.append)
    last = told[-1]
    assert isinstance(last, Working)
    assert last.done == last.total == N * 5  # clean, and 1 to 4 pixels
    assert [event.done for event in told if isinstance(event, Working)] == sorted(
        event.done for event in told if isinstance(event, Working)
    )


def test_the_intervals_hold_a_simulated_truth() -> None:
    """95 % of them, over many samples of a network whose true accuracy is known."""
    draw = np.random.default_rng(0)
    for truth in (0.5, 0.9, 0.98):
        hits = draw.binomial(500, truth, 2000)
        held = [low <= truth <= high for low, high in (Point(0, 500, int(h), 0.5).interval for h in hits)]
        assert 0.93 < np.mean(held) < 0.97


def test_a_curve_breaks_at_the_first_level_under_half(pictures: torch.Tensor, targets: np.ndarray) -> None:
    curve = sweep(bright, pictures, targets, {"shift": CURVES["shift"]}, keys=KEYS).curves["shift"]
    clean = Point(0, N, 50, 0.9)
    points = tuple(Point(level, N, hits, 0.9) for level, hits in ((0, 50), (1, 26), (2, 24), (3, 30)))
    assert replace(curve, points=points).breaks(clean) == 2
    assert replace(curve, points=points[:2]).breaks(clean) is None
