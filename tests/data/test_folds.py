"""Folds are exact, stratified, seeded and whole in their groups; each picture is tested once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from striate.data.split import deal_folds, fold_split
from striate.errors import DataError


def all_folds(
    targets: Any, sides: Any = None, groups: Any = None, *, folds: int = 3, val: Any = None, seed: int = 0
) -> list[dict[str, list[int]]]:
    """Split for each fold, with everything ungiven and ungrouped by default."""
    targets = np.asarray(targets)
    count = len(targets)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    return [
        {
            side: rows.tolist()
            for side, rows in fold_split(
                targets, sides or [None] * count, groups, folds=folds, fold=fold, val=val, seed=seed
            ).items()
        }
        for fold in range(1, folds + 1)
    ]


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(2, 40), min_size=1, max_size=6),
    folds=st.integers(2, 7),
    val=st.sampled_from([None, 0, 0.2]),
    seed=st.integers(0, 99),
)
def test_every_picture_is_tested_once_and_parts_are_even_in_each_class(
    counts: list[int], folds: int, val: float | None, seed: int
) -> None:
    assume(min(counts) >= folds)
    targets = np.repeat(np.arange(len(counts)), counts)
    found = all_folds(targets, folds=folds, val=val, seed=seed)
    assert sorted(itertools.chain(*(each["test"] for each in found))) == list(range(len(targets)))
    for each in found:
        assert sorted(itertools.chain(*each.values())) == list(range(len(targets)))
        assert set(targets[each["train"]]) == set(targets.tolist())
    sizes = np.array([np.bincount(targets[each["test"]], minlength=len(counts)) for each in found])
    assert (np.ptp(sizes, axis=0) <= 1).all()
    assert np.ptp(sizes.sum(1)) <= 1


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(st.integers(0, 30), min_size=10, max_size=150),
    classes=st.integers(1, 3),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_every_part_is_used(
    groups: list[int], classes: int, folds: int, seed: int
) -> None:
    targets = np.random.default_rng(seed).integers(0, classes, len(groups))
    try:
        parts = deal_folds(targets, np.array(groups), folds=folds, seed=seed)
    except DataError as error:
        # Refused only where a class has too few groups; the hint then names how many folds are possible.
        fewest = min(len({groups[i] for i in np.flatnonzero(targets == name)}) for name in np.unique(targets))
        assert fewest < folds
        assert "groups count once" in error.message  # noqa: PT017 - refusal and success are both checked
        return
    assert all(len(set(parts[np.array(groups) == group])) == 1 for group in set(groups))
    assert set(parts.tolist()) == set(range(1, folds + 1))
    for name in np.unique(targets):
        assert len(set(parts[targets == name])) >= 2


def test_groups_of_several_sizes_are_dealt_evenly() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 20, 200))
    targets = rng.integers(0, 3, 200)[groups]
    parts = deal_folds(targets, groups, folds=5, seed=0)
    sizes = np.array([np.bincount(targets[parts == part], minlength=3) for part in range(1, 6)])
    assert (np.abs(sizes - sizes.mean(0)) <= 10).all()  # half of the largest group


def test_pictures_of_a_given_test_split_are_on_no_side_and_a_given_val_split_joins_in() -> None:
    sides = ["train"] * 60 + ["val"] * 30 + ["test"] * 30
    found = all_folds([0, 1] * 60, sides, folds=3)
    assert sorted(itertools.chain(*(each["test"] for each in found))) == list(range(90))
    for each in found:
        assert sorted(itertools.chain(*each.values())) == list(range(90))
        assert {side: len(rows) for side, rows in each.items()} == {"train": 54, "val": 6, "test": 30}


def test_numbers_are_dealt_by_quantiles() -> None:
    targets = np.random.default_rng(0).exponential(size=900).astype(np.float32)
    parts = deal_folds(targets, np.arange(900), folds=3, seed=0)
    for part in (1, 2, 3):
        assert (parts == part).sum() == 300
        assert np.median(targets[parts == part]) == pytest.approx(np.median(targets), rel=0.1)


def test_a_seed_decides() -> None:
    targets = [0, 1, 2] * 30
    assert all_folds(targets, seed=1) == all_folds(targets, seed=1)
    assert all_folds(targets, seed=1) != all_folds(targets, seed=2)


@pytest.mark.parametrize(
    ("targets", "groups", "says"),
    [
        (
            [0] * 9 + [1] * 2,
            None,
            "--folds 3: the smallest class has only 2 pictures.*\nAsk for at most 2 folds",
        ),
        ([0] * 9 + [1], None, "the smallest class has only 1 pictures.*\nAdd pictures"),
        ([0, 1] * 6, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], "groups count once"),
        (np.ones(2, np.float32), None, "--folds 3: there are only 2 pictures"),
        (np.zeros(0, np.int64), None, "only 0 pictures"),
    ],
)
def test_too_few_pictures_are_an_error(targets: Any, groups: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        all_folds(targets, groups=groups)


def test_a_class_in_groups_too_large_to_part_is_an_error() -> None:
    # Two groups hold all of class 1, each so large that one part would take everything else.
    with pytest.raises(DataError, match=r"too large to be dealt|only \d"):
        deal_folds(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), folds=2, seed=0)
