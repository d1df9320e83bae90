"""A split is exact, stratified, seeded, whole in its groups, and what the data gives is kept."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.split import split
from striate.errors import DataError

NONE = [None]


def divided(
    targets: Any, given: Any = None, groups: Any = None, *, val: Any = None, test: Any = None, seed: int = 0
) -> dict[str, list[int]]:
    """Split with everything ungiven and ungrouped by default."""
    targets = np.asarray(targets)
    count = len(targets)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    found = split(targets, given or NONE * count, groups, val=val, test=test, seed=seed)
    return {side: rows.tolist() for side, rows in found.items()}


def sizes(found: dict[str, list[int]]) -> dict[str, int]:
    """Count each side."""
    return {side: len(rows) for side, rows in found.items()}


def test_defaults() -> None:
    assert sizes(divided([0, 1] * 500)) == {"train": 700, "val": 150, "test": 150}
    assert sizes(divided([0, 1] * 50_000)) == {"train": 90_000, "val": 5_000, "test": 5_000}
    assert sizes(divided([0, 1] * 500, val=0)) == {"train": 1000}
    assert sizes(divided([0, 1] * 500, val=0, test=0.2)) == {"train": 800, "test": 200}
    assert sizes(divided([0, 1] * 500, test=0)) == {"train": 850, "val": 150}
    assert sizes(divided([0, 1] * 500, val=0.3, test=0.3)) == {"train": 400, "val": 300, "test": 300}


def test_given_splits_are_kept() -> None:
    sides = ["train"] * 600 + ["test"] * 400
    found = divided([0, 1] * 500, sides)
    assert sizes(found) == {"train": 540, "val": 60, "test": 400}
    assert found["test"] == list(range(600, 1000))
    assert sizes(divided([0, 1] * 500, sides, val=0)) == {"train": 600, "test": 400}
    assert sizes(divided([0, 1] * 500, sides, test=0.5)) == {"train": 540, "val": 60, "test": 400}
    sides = ["train"] * 600 + ["val"] * 400
    assert sizes(divided([0, 1] * 500, sides)) == {"train": 600, "val": 400}
    assert sizes(divided([0, 1] * 500, sides, test=0.1)) == {"train": 540, "val": 400, "test": 60}
    assert sizes(divided([0, 1] * 500, sides, val=0)) == {"train": 1000}
    sides = ["train"] * 600 + ["val"] * 200 + ["test"] * 200
    assert sizes(divided([0, 1] * 500, sides, val=0.4)) == {"train": 600, "val": 200, "test": 200}
    assert sizes(divided([0, 1] * 500, [None] * 600 + ["test"] * 400)) == {
        "train": 540,
        "val": 60,
        "test": 400,
    }
    many = divided([0, 1] * 35_000, ["train"] * 60_000 + ["test"] * 10_000)
    assert sizes(many) == {"train": 57_500, "val": 2_500, "test": 10_000}


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    shares=st.tuples(st.sampled_from([0, 0.05, 0.15, 0.3]), st.sampled_from([0, 0.05, 0.15, 0.3])),
    seed=st.integers(0, 99),
)
def test_every_picture_is_on_one_side_and_classes_keep_their_share(
    counts: list[int], shares: tuple[float, float], seed: int
) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    found = divided(targets, val=shares[0], test=shares[1], seed=seed)
    assert sorted(itertools.chain(*found.values())) == list(range(len(targets)))
    assert set(targets[found["train"]]) == set(targets.tolist())
    for side, share in zip(("val", "test"), shares, strict=True):
        got = np.bincount(targets[found.get(side, [])], minlength=len(counts))
        assert (np.abs(got - share * np.array(counts)) <= 1).all()
        assert share == 0 or all(got[c] > 0 for c, n in enumerate(counts) if n >= 5)


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(st.integers(0, 12), min_size=2, max_size=120),
    classes=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_no_class_leaves_train(groups: list[int], classes: int, seed: int) -> None:
    targets = np.random.default_rng(seed).integers(0, classes, len(groups))
    found = divided(targets, groups=groups, seed=seed)
    homes = [{groups[row] for row in rows} for rows in found.values()]
    assert sum(map(len, homes)) == len(set().union(*homes))
    assert set(targets[found["train"]]) == set(targets.tolist())


def test_groups_of_several_sizes_come_close_to_the_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 20, 200))
    targets = rng.integers(0, 3, 200)[groups]
    found = sizes(divided(targets, groups=groups))
    for side in ("val", "test"):
        assert found[side] == pytest.approx(0.15 * len(groups), abs=20)  # the largest group


def test_where_all_groups_are_too_large_one_is_taken_whole() -> None:
    found = divided([0, 1] * 30, groups=np.arange(60) // 20)
    assert sizes(found) == {"train": 20, "val": 20, "test": 20}
    assert sizes(divided([0, 1] * 30, groups=np.arange(60) // 30)) == {"train": 30, "val": 30, "test": 0}
    assert sizes(divided([0, 1] * 30, groups=np.zeros(60, int))) == {"train": 60, "val": 0, "test": 0}


def test_small_classes() -> None:
    single = divided([0] * 100 + [1])
    assert 100 in single["train"]
    pairs = divided(np.repeat(np.arange(100), 2))
    assert sizes(pairs) == {"train": 140, "val": 30, "test": 30}
    assert sizes(divided([0, 1])) == {"train": 2, "val": 0, "test": 0}


def test_a_seed_decides() -> None:
    targets = [0, 1, 2] * 100
    assert divided(targets, seed=1) == divided(targets, seed=1)
    assert divided(targets, seed=1) != divided(targets, seed=2)


def test_numbers_are_stratified_by_quantiles() -> None:
    targets = np.random.default_rng(0).exponential(size=2000).astype(np.float32)
    for side in divided(targets).values():
        assert np.quantile(targets[side], (0.25, 0.5, 0.75)) == pytest.approx(
            np.quantile(targets, (0.25, 0.5, 0.75)), rel=0.12
        )
    assert sizes(divided(np.ones(20, np.float32))) == {"train": 14, "val": 3, "test": 3}


@pytest.mark.parametrize(
    ("targets", "given", "options", "says"),
    [
        ([0, 1] * 9, None, {"val": 0.5, "test": 0.5}, "--val 0.5 and --test 0.5 leave nothing"),
        ([0, 1] * 9, ["test"] * 18, {}, "No readable picture is left to train on"),
        (
            [0, 1] * 9,
            ["train", "test"] * 9,
            {},
            "1 class has readable pictures in val or test and none in train",
        ),
        ([], [], {}, "No readable picture"),
    ],
)
def test_nothing_to_train_on_is_an_error(targets: Any, given: Any, options: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        divided(np.array(targets, int), given, **options)


def test_copies_are_as_common_on_every_side() -> None:
    groups = np.concatenate([np.repeat(np.arange(200), 3), np.arange(200, 1600)])  # 600 copies of 2,000
    targets = np.random.default_rng(0).integers(0, 3, len(groups))
    sides = split(targets, [None] * len(groups), groups, val=0.15, test=0.15, seed=0)
    for rows in sides.values():
        assert (groups[rows] < 200).mean() == pytest.approx(0.3, abs=0.06)
