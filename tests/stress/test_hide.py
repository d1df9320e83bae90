"""What is covered, how much of it and where; what clutter leaves in sight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.stress import chance, hide
from tests.stress.pictures import natural

KEYS = chance.keys(0, np.arange(200))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (20, 40), (33, 33)])
def test_occlusion_covers_the_stated_share_with_the_mean(share: float, height: int, width: int) -> None:
    pictures = natural(20, 3, height, width)
    hidden = hide.occlusion(pictures, share, KEYS[:20])
    changed = (hidden != pictures).all(1)
    assert changed.sum((1, 2)).tolist() == [round(share * height) * round(share * width)] * 20
    mean = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
    assert torch.equal(hidden.movedim(1, 3)[changed], mean.movedim(1, 3)[changed])


def test_every_place_is_covered_now_and_then_and_the_middle_most() -> None:
    pictures = torch.arange(64.0).view(1, 1, 8, 8).expand(200, 1, 8, 8) / 64
    often = (hide.occlusion(pictures, 0.5, KEYS) != pictures).float().mean((0, 1))
    assert often.min() > 0
    assert often[3:5, 3:5].min() > often[0, 0]


def test_a_place_is_where_it_says() -> None:
    pictures = natural(4, 1, 10, 20)
    places = torch.tensor([(0, 0), (0, 1), (1, 0), (1, 1)])
    changed = (hide.covered(pictures, 0.3, places) != pictures)[:, 0]
    assert bool(changed[0, :3, :6].all())
    assert bool(changed[1, :3, -6:].all())
    assert bool(changed[2, -3:, :6].all())
    assert bool(changed[3, -3:, -6:].all())
    assert changed.sum((1, 2)).tolist() == [18] * 4


def test_clutter_comes_from_the_pool_and_leaves_the_middle() -> None:
    pictures = natural(50, 3, 28, 28)
    cluttered = hide.clutter(pictures, 16, KEYS[:50], torch.full((3, 3, 28, 28), 2.0))
    pasted = cluttered == 2
    assert torch.equal(cluttered[~pasted], pictures[~pasted])
    assert not pasted[:, :, 8:20, 8:20].any()
    assert bool(pasted[:, 0].any(0)[:8].all())  # every place of the border, in one picture or another
    assert bool(pasted[:, 0].any(0)[:, -8:].all())


def test_a_piece_is_two_sevenths_of_the_side_and_more_pieces_keep_the_first() -> None:
    pictures, pool = natural(50, 1, 28, 28), torch.full((1, 1, 28, 28), 2.0)
    counts = []
    before = torch.zeros(50, 1, 28, 28, dtype=torch.bool)
    for level in (1, 2, 4):
        pasted = hide.clutter(pictures, level, KEYS[:50], pool) == 2
        assert bool((pasted | ~before).all())
        before = pasted
        counts.append(pasted.flatten(1).sum(1))
    assert counts[0].tolist() == [64] * 50
    assert float(counts[2].float().mean()) > 150
