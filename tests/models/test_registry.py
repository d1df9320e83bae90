"""One contract for every network: counts, shapes, gradients, and how a user's own function is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from striate.errors import ModelError
from striate.models.registry import MODELS, build, is_ours

SIZES = {"mlp": 28, "lenet5": 28, "resnet20": 32, "resnet18": 64}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_builds_and_every_parameter_learns(name: str, channels: int) -> None:
    torch.manual_seed(0)
    model = build(name, classes=7, channels=channels, size=SIZES[name])
    outputs = model(torch.randn(4, channels, SIZES[name], SIZES[name]))
    assert outputs.shape == (4, 7)
    # Zero-initialised last norms let nothing through to a block's inside at first: one step opens them.
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        outputs = model(torch.randn(4, channels, SIZES[name], SIZES[name]))
        nn.functional.cross_entropy(outputs, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_counts_are_the_published_ones(shared_data: Path) -> None:
    facts = (shared_data.parent / "facts" / "architectures.json").read_text()
    published = {int(number) for number in re.findall(r"\d+", facts)}
    for name, classes, channels, size in [
        ("lenet5", 10, 1, 28),
        ("resnet20", 10, 3, 32),
        ("resnet18", 1000, 3, 224),
    ]:
        model = build(name, classes=classes, channels=channels, size=size)
        assert sum(p.numel() for p in model.parameters()) in published, name


def _own(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def test_own_function_gets_only_what_it_names() -> None:
    model = build(_own, classes=3, channels=1, size=8)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_own_function_by_name_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_here.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Flatten()\n"
        "def bad():\n    raise ValueError('two\\nlines')\n"
        "def none():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(build("mine_here:net", classes=3, channels=1, size=8), nn.Flatten)
    for name, says in [
        ("mine_here:bad", "ValueError: two lines"),
        ("mine_here:none", "returned int"),
        ("mine_here:nett", "no function 'nett'"),
        ("not_there:net", "Cannot import 'not_there'"),
    ]:
        with pytest.raises(ModelError, match=says) as caught:
            build(name, classes=3, channels=1, size=8)
        assert "\n" not in caught.value.message
        assert "\n" not in caught.value.hint


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(ModelError, match="Did you mean resnet18"):
        build("resnet8", classes=2, channels=3, size=64)
    assert is_ours("resnet18")
    assert not is_ours("a.b:c")


def test_lenet_says_what_size_it_needs() -> None:
    with pytest.raises(ModelError, match="size=8"):
        build("lenet5", classes=2, channels=1, size=8)
