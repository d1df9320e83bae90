"""The form that answers fastest gives the plain network's answers, for any network and any batch."""

from __future__ import annotations

import copy
import types
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from striate.models import registry
from striate.native import library
from striate.native.fixed import Fixed
from striate.runs import fused as fusing
from striate.runs.fused import Packed, compiled, fastest, fused

if TYPE_CHECKING:
    from collections.abc import Callable


def lived(model: nn.Module) -> nn.Module:
    """Give norms what a training gives them: nothing of theirs may be 0 or 1."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def pictures(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def apart(form: nn.Module, model: nn.Module, x: Tensor) -> float:
    """Length of the difference over length of the answers."""
    with torch.no_grad():
        wanted = model(x)
        return float((form(x) - wanted).norm() / wanted.norm())


class Block(nn.Module):
    """What follows a convolution, in the forms it is written in."""

    def __init__(self, after: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1, stride=2, bias=True)
        self.norm, self.relu = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.side = nn.Conv2d(4, 8, 1, stride=2, groups=2)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self, x, self.conv(x))


AFTER: dict[str, Any] = {
    "nothing": lambda _m, _, y: y,
    "norm": lambda m, _, y: m.norm(y),
    "relu module": lambda m, _, y: m.relu(y),
    "relu method": lambda m, _, y: m.norm(y).relu(),
    "sum": lambda m, x, y: m.norm(y) + m.side(x),
    "sum, relu": lambda m, x, y: m.relu(m.side(x) + m.norm(y)),
    "added in place": lambda m, x, y: torch.relu(m.norm(y).add_(m.side(x))),
    "a number added": lambda m, _, y: torch.relu(m.norm(y) + 1),
    "one value added to all": lambda m, _, y: torch.relu(m.norm(y) + y.mean((2, 3), keepdim=True)),
    "used twice": lambda m, _, y: m.relu(m.norm(y)) - y.sum(),
    "added to itself": lambda m, _, y: (m.norm(y) + m.norm(y)).relu(),
    "scaled sum": lambda m, x, y: torch.add(m.norm(y), m.side(x), alpha=2),
    "norm after relu": lambda m, _, y: m.norm(m.relu(y)),
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER.keys())
def test_whatever_follows_a_convolution_the_answers_stay(after: Any) -> None:
    torch.manual_seed(0)
    model = lived(Block(after))
    before = copy.deepcopy(model.state_dict())
    form = fused(model, pictures(2, 4, 9, 9))
    for shape in ((2, 4, 9, 9), (5, 4, 9, 9), (1, 4, 12, 7)):
        assert apart(form, model, pictures(*shape)) < 1e-5
    after_it = model.state_dict()
    assert all(torch.equal(before[name], after_it[name]) for name in before)  # the network is left alone


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "densenet121", "googlenet", "vgg11", "lenet5"])
def test_our_networks_answer_the_same_fused(name: str) -> None:
    torch.manual_seed(0)
    side = 32 if name in {"resnet20", "lenet5"} else 64
    model = lived(registry.build(name, classes=7, channels=3, size=side))
    assert apart(fused(model, pictures(2, 3, side, side)), model, pictures(3, 3, side, side)) < 1e-5


def test_a_residual_network_becomes_one_operator_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lived(registry.build("resnet18", classes=3, channels=3, size=32))
    made: list[tuple[bool, bool]] = []
    forward = Packed.forward

    def heard(self: Packed, x: Tensor, addend: Tensor | None = None) -> Tensor:
        made.append((self.relu, addend is not None))
        return forward(self, x, addend)

    monkeypatch.setattr(Packed, "forward", heard)
    fused(model, pictures(1, 3, 32, 32))(pictures(1, 3, 32, 32))
    assert len(made) == 20
    assert sum(added for _, added in made) == 8  # every block's sum
    assert sum(relu for relu, _ in made) == 17  # all but the three convolutions of the shortcuts


@pytest.mark.parametrize("way", ["library", "winograd"])
def test_either_way_of_a_convolution_answers_the_same(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if library.unavailable():
        pytest.skip(library.unavailable())
    slower = {"library": Fixed, "winograd": types.MethodType}[way]
    monkeypatch.setattr(fusing, "_seconds", lambda form, *_: float(isinstance(form, slower)))
    torch.manual_seed(0)
    model = lived(registry.build("resnet18", classes=7, channels=3, size=32))
    form = fused(model, pictures(2, 3, 32, 32))
    ways = [isinstance(module.way, Fixed) for module in form.modules() if isinstance(module, Packed)]
    assert sum(ways) == (13 if way == "winograd" else 0)  # the 3 x 3 convolutions of stride 1
    for shape in ((2, 3, 32, 32), (5, 3, 40, 56)):
        assert apart(form, model, pictures(*shape)) < 1e-5


def test_bfloat16_is_near() -> None:
    torch.manual_seed(0)
    model = lived(registry.build("resnet18", classes=7, channels=3, size=32))
    form = fused(model, pictures(2, 3, 32, 32), torch.bfloat16)
    assert 1e-5 < apart(form, model, pictures(2, 3, 32, 32)) < fusing.BOUND[torch.bfloat16]
    assert form(pictures(2, 3, 32, 32)).dtype == next(model.parameters()).dtype == torch.float32


class Undecided(nn.Module):
    """Its steps depend on its values, so there is no one graph of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if y.sum() > 0 else -y


def test_a_network_that_cannot_be_traced_answers_as_it_is() -> None:
    model = Undecided().eval()
    x = pictures(2, 3, 8, 8)
    assert apart(fastest(model, x), model, x) < 1e-6


def test_the_precision_of_the_run_decides() -> None:
    model = lived(registry.build("resnet20", classes=7, channels=3, size=32))
    x = pictures(4, 3, 32, 32)
    assert apart(fastest(model, x), model, x) < 1e-5
    assert 1e-4 < apart(fastest(model, x, precision="bfloat16"), model, x) < fusing.BOUND[torch.bfloat16]


class Off(nn.Module):
    """Answers a little too much."""

    def __init__(self, model: nn.Module, off: float) -> None:
        super().__init__()
        self.model, self.off = model, off

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.model(x) * (1 + self.off)
        return answer


@pytest.mark.parametrize(("off", "chosen"), [(1e-3, False), (1e-6, True)])
def test_a_form_that_answers_otherwise_is_not_chosen(
    off: float, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusing, "_seconds", lambda form, _: 0.0 if isinstance(form, Off) else 1.0)
    monkeypatch.setattr(fusing, "fused", lambda model, *_: Off(model, off))
    found = fastest(nn.Conv2d(3, 5, 3).eval(), pictures(2, 3, 8, 8))
    assert isinstance(found, Off) is chosen


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch
def test_compiling_keeps_the_answers_too() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception:  # noqa: BLE001 - whatever says that there is none
        pytest.skip("no compiler")
    model = lived(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    form = compiled(model, pictures(2, 3, 8, 8))
    for count in (2, 3):
        assert apart(form, model, pictures(count, 3, 8, 8)) < 1e-5
