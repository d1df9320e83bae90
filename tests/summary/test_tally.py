"""The totals alone are those that torch counts, for every network of ours."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from striate.models.registry import MODELS, build
from striate.summary.meta import unallocated
from striate.summary.tally import tally


@pytest.mark.parametrize("name", MODELS)
def test_equals_torchs_own_count(name: str) -> None:
    known = MODELS[name]
    with unallocated():
        model = build(name, **known.sizes)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.empty(1, *known.input, device="meta"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert tally(model.train(), known.input) == (parameters, counter.get_total_flops() // 2)
