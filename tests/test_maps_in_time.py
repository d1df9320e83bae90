"""A coarse map along a sequence lies over the steps that its values see."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from striate.api.maps import Asked, centres, shown


def network(padding: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 2, 9, stride=4, padding=padding), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    )


def test_without_padding_a_value_stands_in_the_middle_of_what_it_sees() -> None:
    x = torch.ones(1, 1, 41)
    at = centres(network(0), x, Asked(("grad-cam",)), "grad-cam", 9)
    assert at is not None
    assert at.tolist() == [4 + 4 * u for u in range(9)]
    values = torch.zeros(1, 1, 9)
    values[0, 0, 3] = 1
    drawn = shown(values, x, at)[0]
    assert drawn.argmax() == 16
    assert drawn.shape == (41,)


def test_elsewhere_the_map_is_drawn_out_evenly() -> None:
    x = torch.ones(1, 1, 40)
    assert centres(network(4), x, Asked(("grad-cam",)), "grad-cam", 10) is None
    assert centres(network(0), x, Asked(("saliency",)), "saliency", 40) is None
    drawn = shown(torch.arange(10.0)[None, None], x)[0]
    np.testing.assert_allclose(drawn[[0, 39]], [0, 9])
    np.testing.assert_allclose(drawn[20], 4.625)
