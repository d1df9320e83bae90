"""Divide pictures into train, val and test: by class, by seed, and never through a group.

What the data says of its splits is kept. Otherwise groups are dealt out greedily, the large ones first: each
goes where its classes are missed most, and to train where it would overfill the others. The counts of
ungrouped pictures are therefore exact.

For cross-validation they are dealt into parts instead, each of which is the test of one training.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHARE, MOST = 0.15, 5_000
SHARE_BESIDE_TEST, MOST_BESIDE_TEST = 0.1, 2_500
ALWAYS = 5  # a class of so many pictures is on every side
QUANTILES = 10


def split(
    targets: NDArray[Any],
    given: Sequence[str | None],
    groups: NDArray[np.int64],
    *,
    val: float | None,
    test: float | None,
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Give the rows of train, val and test.

    A side that is not wanted is missing; one that is wanted is empty where the groups are too few.

    targets: (M,) class index, or numbers (then the strata are ten quantiles).   given: (M,) what the data
    says; None stands for train where it names any split.   groups: (M,) equal numbers stay together.
    val, test: shares of all pictures that no given split holds out; None: 0.15 each and at most 5,000; beside
    a given test split 0.1 and at most 2,500 for val; beside a given val split no test. val = 0 trains on
    everything but the test split.
    Raises DataError where nothing is left to train on.
    """
    sides = np.array([side or "train" for side in given], "<U5")
    shares = _shares(set(sides), len(sides), int((sides == "train").sum()), val, test)
    if val == 0:
        sides[sides == "val"] = "train"
    if sum(shares.values()) >= 1:
        asked = " and ".join(f"--{side} {share:g}" for side, share in shares.items())
        raise DataError(f"{asked} leave nothing to train on.", "Together they must stay below 1.")
    pool = np.flatnonzero(sides == "train")
    strata = _strata(targets[pool])
    if shares:
        for side, rows in _deal(strata, groups[pool], shares, seed).items():
            sides[pool[rows]] = side
    _check_train(targets, sides)
    names = ["train", *(side for side in ("val", "test") if side in shares or side in sides)]
    return {name: np.flatnonzero(sides == name) for name in names}


def fold_split(
    targets: NDArray[Any],
    given: Sequence[str | None],
    groups: NDArray[np.int64],
    *,
    folds: int,
    fold: int,
    val: float | None,
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Give the rows of train, val and test where part ``fold`` of ``folds`` is the test.

    Pictures of a given test split are on no side: they stay unseen. All others are dealt into the parts,
    those of a given val split too, so that each is tested once. val is cut from the rest, as it is beside a
    given test split.
    targets, given, groups, val: as in :func:`split`.   fold: 1 to folds.
    Raises DataError where the pictures are too few for so many parts.
    """
    pool = np.flatnonzero([side != "test" for side in given])
    parts = deal_folds(targets[pool], groups[pool], folds=folds, seed=seed)
    sides = ["test" if part == fold else None for part in parts.tolist()]
    found = split(targets[pool], sides, groups[pool], val=val, test=None, seed=seed)
    return {side: pool[rows] for side, rows in found.items()}


def deal_folds(
    targets: NDArray[Any], groups: NDArray[np.int64], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Deal pictures into parts of one size that keep the classes' shares and break no group.

    targets: (M,) class index, or numbers (then the strata are ten quantiles).   groups: (M,) equal numbers
    stay together.   Returns: (M,) part, 1 to folds. Ungrouped, the parts differ by at most one picture, and
    so they do within each class.
    Raises DataError where a class has fewer groups than there are parts, or groups are too large to deal.

    >>> parts = deal_folds(np.array([0, 0, 0, 1, 1, 1]), np.arange(6), folds=3, seed=0)
    >>> sorted(parts[:3].tolist()), sorted(parts[3:].tolist())
    ([1, 2, 3], [1, 2, 3])
    """
    strata = _strata(targets)
    classes = strata if np.issubdtype(targets.dtype, np.integer) else np.zeros_like(strata)
    fewest = min((len(np.unique(groups[classes == name])) for name in np.unique(classes)), default=0)
    if fewest < folds:
        what = "the smallest class has" if classes is strata else "there are"
        raise DataError(
            f"--folds {folds}: {what} only {fewest} pictures that differ (copies and groups count once).",
            f"Ask for at most {fewest} folds, or add pictures." if fewest > 1 else "Add pictures.",
        )
    rng = np.random.default_rng([seed, len(strata), folds])
    # Cards dealt round from a pack sorted by class: what each part should get of each class.
    pack = Counter(zip(np.arange(len(strata)) % folds, np.sort(strata).tolist(), strict=True))
    missing = [Counter({name: n for (i, name), n in pack.items() if i == part}) for part in range(folds)]
    room = [wanted.total() for wanted in missing]
    parts = np.zeros(len(strata), np.int64)
    # What parts miss adds up to what is left, so a single picture always finds a part that misses its class.
    for unit in _units(groups, rng):
        holds = Counter(strata[unit].tolist())
        best = max(range(folds), key=lambda part: (_gain(holds, missing[part]), room[part]))
        parts[unit] = best + 1
        missing[best].subtract(holds)
        room[best] -= len(unit)
    spread = [len(np.unique(parts[classes == name])) for name in np.unique(classes)]
    if min(spread) < 2 or len(np.unique(parts)) < folds:
        raise DataError(
            f"--folds {folds}: the groups are too large to be dealt into so many parts.",
            "Ask for fewer folds.",
        )
    return parts


def _shares(
    given: set[str], total: int, pool: int, val: float | None, test: float | None
) -> dict[str, float]:
    """Decide which sides are cut from the training pool, and how large."""
    default = min(SHARE, MOST / total) if given == {"train"} else 0.0
    beside = min(SHARE_BESIDE_TEST, MOST_BESIDE_TEST / max(1, pool)) if "test" in given else default
    shares = {
        "val": 0.0 if "val" in given else beside if val is None else val,
        "test": 0.0 if "test" in given else (0.0 if val == 0 else default) if test is None else test,
    }
    return {side: share for side, share in shares.items() if share > 0}


def _strata(targets: NDArray[Any]) -> NDArray[np.int64]:
    if np.issubdtype(targets.dtype, np.integer) or not len(targets):
        return targets.astype(np.int64)
    edges = np.quantile(targets, np.linspace(0, 1, min(QUANTILES, 1 + len(targets) // ALWAYS) + 1)[1:-1])
    return np.searchsorted(edges, targets)


def _deal(
    strata: NDArray[np.int64], groups: NDArray[np.int64], shares: dict[str, float], seed: int
) -> dict[str, list[int]]:
    rng = np.random.default_rng([seed, len(strata)])
    left = Counter(strata.tolist())
    missing = _wanted(left, shares, rng)
    kept_back = left.copy()  # what train should get
    for wanted in missing.values():
        kept_back.subtract(wanted)
    room = {side: missing[side].total() for side in shares}
    dealt: dict[str, list[int]] = {side: [] for side in shares}
    kept = []

    def deal(unit: list[int], holds: Counter[int], side: str, least: int) -> bool:
        fits = _gain(holds, missing[side]) >= least and all(left[stratum] > n for stratum, n in holds.items())
        if fits:
            dealt[side] += unit
            left.subtract(holds)
            missing[side].subtract(holds)
            room[side] -= len(unit)
        return fits

    for unit in _units(groups, rng):
        holds = Counter(strata[unit].tolist())
        best = max(shares, key=lambda side: (_gain(holds, missing[side]), room[side] / shares[side]))
        # Groups are dealt to train in its turn too: the other sides would be made of groups else.
        owed = kept_back.total() / (1 - sum(shares.values())) >= room[best] / shares[best]
        fills = _gain(holds, kept_back) == len(unit)
        if (len(unit) > 1 and owed and fills) or not deal(unit, holds, best, 1):
            kept.append((unit, holds))
            kept_back.subtract(holds)
    for side in shares:  # where all groups are too large: better too many pictures on a side than none
        while kept and not dealt[side]:
            deal(*kept.pop(), side, -len(strata))
    return dealt


def _wanted(
    counts: Counter[int], shares: dict[str, float], rng: np.random.Generator
) -> dict[str, Counter[int]]:
    """Count the pictures of each stratum that a side should get; largest remainders keep the totals."""
    strata = sorted(counts)
    total = np.array([counts[stratum] for stratum in strata])
    room = total - 1  # one of each stays in train
    wanted = {}
    for side, share in shares.items():
        exact = share * total
        whole = np.minimum(np.maximum(np.floor(exact + 1e-9).astype(int), total >= ALWAYS), room)
        rest = np.where(whole < room, exact - whole, 0)
        largest = np.lexsort((rng.random(len(rest)), -rest))[: max(0, round(exact.sum()) - whole.sum())]
        whole[largest[rest[largest] > 0]] += 1
        room = room - whole
        wanted[side] = Counter(dict(zip(strata, whole.tolist(), strict=True)))
    return wanted


def _units(groups: NDArray[np.int64], rng: np.random.Generator) -> list[list[int]]:
    """Give the rows of each group, in random order but the large groups first."""
    members: dict[int, list[int]] = {}
    for row in rng.permutation(len(groups)).tolist():
        members.setdefault(int(groups[row]), []).append(row)
    return sorted(members.values(), key=len, reverse=True)


def _gain(holds: Counter[int], missing: Counter[int]) -> int:
    """Pictures that are missed, less those that are too many."""
    return sum(min(n, missing[stratum]) - max(0, n - missing[stratum]) for stratum, n in holds.items())


def _check_train(targets: NDArray[Any], sides: NDArray[Any]) -> None:
    train = sides == "train"
    if not train.any():
        raise DataError("No readable picture is left to train on.", "Give a train split, or none at all.")
    if np.issubdtype(targets.dtype, np.integer):
        lost = len(np.setdiff1d(targets, targets[train]))
        if lost:
            classes = "class has" if lost == 1 else "classes have"
            raise DataError(
                f"{lost} {classes} readable pictures in val or test and none in train.",
                "striate data shows which: add pictures to train, or take those away.",
            )
