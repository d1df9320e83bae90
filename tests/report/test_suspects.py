"""The page of suspects: complete, escaped, small."""

from __future__ import annotations

import re

import numpy as np

from striate.report.contents import Shown
from striate.report.suspects import SHOWN, Doubts, page
from striate.training.metrics import measured

from .conftest import EVIL, noise, told


def doubts(count: int = 300, evil: str = EVIL, side: int = 160) -> Doubts:
    """So many suspects, with ``evil`` in every name."""
    story = told(evil=evil)
    scores = story.scores["test"]
    return Doubts(
        name=f"runs-{evil}",
        info=story.run,
        runs=[(f"fold-{i}", scores.summary()) for i in range(1, 6)],
        scores=scores,
        shown=[
            Shown(noise(side, i), f"{evil}, or {evil}?", f"1 % · {evil}") for i in range(min(count, SHOWN))
        ],
        doubts=[(f"{evil}{i % 3}", evil) for i in range(count)],
    )


def test_shows_the_first_hundred_and_counts_the_rest() -> None:
    body = page(doubts(300, "cat"))
    assert body.count('class="thumb"') == SHOWN
    assert ">300<" in body
    assert "The other 200 are in <code>suspects.csv</code>" in body
    assert "<td>100</td>" in body  # each pair of label and suggestion
    assert len(re.findall(r">fold-\d<", body)) == 5


def test_stays_under_three_megabytes_and_carries_no_script() -> None:
    body = page(doubts())
    assert len(body.encode()) < 3e6
    assert "<script" not in body
    assert "<img" not in body


def test_says_so_where_nothing_is_doubted() -> None:
    body = page(doubts(0, "cat"))
    assert "No label is doubted" in body
    assert 'id="pairs"' not in body


def test_a_weak_network_is_told_apart_from_many_wrong_labels() -> None:
    story = doubts(300, "cat")
    assert story.scores.n * 0.2 < 300
    assert "more of the network than of the labels" in page(story)
    assert "more of the network than of the labels" not in page(doubts(3, "cat"))


def test_numbers_have_no_pairs_of_classes() -> None:
    story = doubts(3, "cat")
    scores = measured(np.array([1.0, 2.0, 3.5]), np.array([1.0, 2.0, 3.0]))
    numbers = Doubts(story.name, story.info, [("fold-1", {"mae": 0.2})], scores, story.shown, story.doubts)
    body = page(numbers)
    assert "off by far more" in body
    assert "mean absolute error out of fold" in body
    assert 'id="pairs"' not in body
