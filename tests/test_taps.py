"""Every call inside a module is heard, by name, and nothing stays behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torchs

from striate import taps


def heard(model: nn.Module, x: torch.Tensor) -> list[tuple[str, str]]:
    """Run a model and list what was entered and left."""
    told: list[tuple[str, str]] = []
    with taps.calls(
        model,
        lambda call: told.append(("enter", call.name)),
        lambda call: told.append(("leave" if call.error is None else "raised", call.name)),
    ):
        model(x)
    return told


def test_a_call_that_raised_is_left_with_its_error() -> None:
    left: list[taps.Call] = []
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    with taps.calls(model, lambda _: None, left.append), pytest.raises(RuntimeError):
        model(torch.zeros(1, 3))
    assert [(call.name, call.error is None) for call in left] == [("0", True), ("1", False), ("", False)]


def hooks() -> int:
    """Count the hooks that torch holds for every module."""
    return len(torchs._global_forward_hooks) + len(torchs._global_forward_pre_hooks)


def test_calls_are_heard_by_name_from_the_outside_in() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    told = ["enter ", "enter 0", "leave 0", "enter 1", "enter 1.0", "leave 1.0", "leave 1", "leave "]
    assert [" ".join(call) for call in heard(model, torch.zeros(1, 2))] == told


def test_a_shared_module_has_its_first_name() -> None:
    layer = nn.Linear(2, 2)
    assert [
        name for what, name in heard(nn.Sequential(layer, layer), torch.zeros(1, 2)) if what == "enter"
    ] == [
        "",
        "0",
        "0",
    ]


def test_modules_outside_are_passed_over() -> None:
    outside = nn.ReLU()

    class Calls(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return outside(x)

    assert heard(Calls(), torch.zeros(1)) == [("enter", ""), ("leave", "")]


def test_nothing_stays_behind_even_after_an_error() -> None:
    model, before = nn.Linear(2, 2), hooks()
    with pytest.raises(RuntimeError):
        heard(model, torch.zeros(1, 3))
    assert hooks() == before
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_the_caller_is_given_what_the_listener_puts_in_place_of_the_result() -> None:
    def doubled(call: taps.Call) -> None:
        if call.name == "0":
            call.result = 2 * call.result

    model = nn.Sequential(nn.Identity(), nn.Identity())
    with taps.calls(model, lambda _: None, doubled):
        assert model(torch.ones(1)).item() == 2
    assert model(torch.ones(1)).item() == 1
