"""Weights on disk: bit-equal back, damage told, no code in the file."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from striate.errors import RunError, StriateError
from striate.runs import weights


def test_back_bit_equal(tmp_path: Path) -> None:
    shared = torch.randn(3, 4)
    tensors = {"a": shared, "tied": shared, "turned": shared.t(), "half": torch.randn(5).bfloat16()}
    weights.write(tmp_path / "w", tensors, {"step": 3, "sum": 0.1 + 0.2})
    back, note = weights.read(tmp_path / "w")
    assert note == {"step": 3, "sum": 0.1 + 0.2}
    assert back.keys() == tensors.keys()
    assert all(
        torch.equal(back[name], tensors[name]) and back[name].dtype == tensors[name].dtype for name in back
    )


def test_damage_and_absence_are_told(tmp_path: Path) -> None:
    path = tmp_path / "w"
    with pytest.raises(RunError, match="is missing"):
        weights.read(path)
    weights.write(path, {"a": torch.ones(100)})
    whole = path.read_bytes()
    for damaged in (whole[:50], whole[:-1], b"", b"\x80\x04pickle", b"\xff" * 500):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="is damaged"):
            weights.read(path)


def test_weights_of_another_model_do_not_load(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not fit the model") as caught:
        weights.fill(nn.Linear(2, 2), {"weight": torch.ones(3, 3), "bias": torch.ones(2)}, tmp_path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adadelta])
def test_an_optimiser_gets_its_memory_back(rule: Any) -> None:
    def stepped(model: nn.Linear, optimiser: torch.optim.Optimizer) -> torch.Tensor:
        optimiser.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        optimiser.step()
        return model.weight.detach().clone()

    settings = {"momentum": 0.9} if rule is torch.optim.SGD else {}
    one = nn.Linear(3, 2)
    first = rule(one.parameters(), lr=0.1, **settings)
    stepped(one, first)
    other = nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    second = rule(other.parameters(), lr=0.1, **settings)
    tensors, numbers = weights.optimiser_state(first)
    weights.fill_optimiser(second, {name: tensor.clone() for name, tensor in tensors.items()}, numbers)
    assert torch.equal(stepped(one, first), stepped(other, second))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    weights.write(path, {"a": torch.ones(3)})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("striate.files.os.fsync", full)
    with pytest.raises(StriateError, match="disk is full"):
        weights.write(path, {"a": torch.zeros(3)})
    assert torch.equal(weights.read(path)[0]["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
