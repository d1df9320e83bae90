"""The map of places finds what the answer hangs on."""

from __future__ import annotations

import numpy as np
import torch

from striate.stress.place import GRID, places


def test_a_planted_cause_is_the_worst_place_and_its_class_is_named() -> None:
    pictures = 0.5 * torch.rand(60, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    targets = np.arange(60) % 3
    pictures[targets == 2, 0, -3:, :3] = 1  # a red patch in the lower left corner of class 2

    def answers(x: torch.Tensor) -> torch.Tensor:
        patched = x[:, 0, -3:, :3].mean((1, 2)) > 0.9
        return torch.stack([~patched, patched & False, patched], 1).float()

    found = places(answers, pictures, targets, classes=3)
    assert found.worst == (GRID - 1, 0)
    assert found.hurt == 2
    assert found.n.tolist() == [20, 20, 20]
    assert found.clean.tolist() == [20, 0, 20]  # the answers know no class 1
    assert found.hits[:, *found.worst].tolist() == [20, 0, 0]
    elsewhere = found.accuracy.flatten().tolist()
    elsewhere.remove(found.accuracy[found.worst])
    assert set(elsewhere) == {40 / 60}


def test_batches_add_up() -> None:
    pictures = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = np.arange(20) % 2

    def answers(x: torch.Tensor) -> torch.Tensor:
        left = x[..., :4].mean((1, 2, 3))
        return torch.stack([left, 1 - left], 1)

    whole, parts = (places(answers, pictures, targets, classes=2, batch=batch) for batch in (20, 3))
    assert np.array_equal(whole.hits, parts.hits)
    assert np.array_equal(whole.clean, parts.clean)
