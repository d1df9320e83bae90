"""The health of layers: planted faults are found, nothing else is, and the network is as it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.training.health import LayerHealth, effective_rank, measure, singular_values

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def look(net: nn.Module, x: Tensor, *, as_trained: bool = False) -> dict[str, LayerHealth]:
    """Measure with the cross-entropy of class 0."""

    def loss(output: Tensor, part: slice) -> Tensor:
        return F.cross_entropy(output, torch.zeros(len(output), dtype=torch.int64), reduction="sum")

    return {layer.name: layer for layer in measure(net, x, loss, as_trained=as_trained)}


class Spelled(nn.Module):
    """A network whose ReLU is spelled in one of many ways."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3)
        self.relu = relu
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x))).mean((2, 3))
        y: Tensor = self.head(torch.tanh(self.hidden(x)))
        return y


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "method": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: x.clamp_min_(0),
    "relu6": F.relu6,
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_planted_dead_unit_is_found_and_nothing_else(spelling: str) -> None:
    net = Spelled(SPELLINGS[spelling])
    x = torch.randn(100, 2, 8, 8)
    assert {name: layer.dead for name, layer in look(net, x).items()} == {
        "conv": (), "hidden": None, "head": None,
    }  # fmt: skip
    nn.init.constant_(net.norm.bias[3:4], -1e6)
    found = look(net, x)
    assert found["conv"].dead == (3,)
    assert found["conv"].units == 6
    assert found["hidden"].dead is None
    assert found["hidden"].saturated == ()


def test_planted_saturated_units_are_found_and_nothing_else() -> None:
    first, second = nn.Linear(4, 6), nn.Linear(6, 5)
    net = nn.Sequential(first, nn.Tanh(), second, nn.Sigmoid(), nn.Linear(5, 2)).eval()
    x = torch.randn(50, 4)
    assert [layer.saturated for layer in look(net, x).values()] == [(), (), None]
    with torch.no_grad():
        first.bias[1] = 50.0
        first.weight[4] *= 1e4  # now at one end, now at the other
        second.bias[2] = -50.0
    assert [layer.saturated for layer in look(net, x).values()] == [(1, 4), (2,), None]


def test_a_unit_that_answers_to_one_picture_of_all_is_alive() -> None:
    first = nn.Linear(3, 2, bias=False)
    net = nn.Sequential(first, nn.ReLU(), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    x = -torch.rand(500, 3)
    assert look(net, x)["0"].dead == (0, 1)
    x[317, 1] = 0.5
    assert look(net, x)["0"].dead == (0,)


def test_a_layer_used_twice_is_dead_where_both_uses_are() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Linear(4, 4)
            with torch.no_grad():
                self.same.bias[2] = -1e6

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.same(F.relu(self.same(x))))

    (layer,) = look(Twice(), torch.randn(60, 4)).values()
    assert layer.dead is not None
    assert 2 in layer.dead


def test_dense_layers_on_tokens_have_their_units_last() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(3, 8), nn.Linear(8, 2)
            with torch.no_grad():
                self.up.bias[5] = -1e6

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.down(F.relu(self.up(x))).mean(1)
            return y

    assert look(Tokens(), torch.randn(40, 7, 3))["up"].dead == (5,)


def test_gradients_are_those_of_backward_however_the_pictures_are_parted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Spelled(F.relu)
    x = torch.randn(90, 2, 8, 8)
    found = look(net, x)
    monkeypatch.setattr("striate.training.health.LARGEST_BATCH", 7)
    parted = look(net, x)
    F.cross_entropy(net(x), torch.zeros(90, dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
    for name in ("conv", "hidden", "head"):
        weight = net.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        assert weight.grad is not None
        expected = weight.grad.square().mean().sqrt().item()
        assert found[name].gradient == pytest.approx(expected, rel=1e-5)
        assert parted[name].gradient == pytest.approx(expected, rel=1e-4)
        assert found[name].weight == pytest.approx(weight.detach().square().mean().sqrt().item())


def test_frozen_layers_have_gradients_too() -> None:
    net = Spelled(F.relu)
    x = torch.randn(20, 2, 8, 8)
    free = look(net, x)["conv"].gradient
    assert look(net.requires_grad_(False), x)["conv"].gradient == free
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_as_trained_is_what_a_training_step_sees() -> None:
    net = Spelled(F.relu).train()
    x = torch.randn(30, 2, 8, 8) * 5
    found = look(net, x, as_trained=True)["conv"].gradient
    F.cross_entropy(net(x), torch.zeros(30, dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
    assert net.conv.weight.grad is not None
    assert found == pytest.approx(net.conv.weight.grad.square().mean().sqrt().item(), rel=1e-4)
    assert look(net.eval(), x, as_trained=True)["conv"].gradient != pytest.approx(found, rel=0.01)


@pytest.mark.parametrize("as_trained", [False, True])
def test_nothing_of_the_network_or_the_random_state_is_changed(as_trained: bool) -> None:
    spelled = Spelled(F.relu)
    net = nn.Sequential(spelled, nn.Dropout(0.5)).train()
    spelled.hidden.eval()
    spelled.head.weight.grad = torch.ones_like(spelled.head.weight)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    look(net, torch.randn(50, 2, 8, 8, generator=torch.Generator().manual_seed(0)), as_trained=as_trained)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(spelled.head.weight.grad, torch.ones_like(spelled.head.weight))
    assert spelled.conv.weight.grad is None
    assert net.training
    assert not spelled.hidden.training
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in net.parameters())


def test_of_one_picture_norms_use_what_they_have_learnt() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    assert look(net, torch.randn(1, 3), as_trained=True)["0"].gradient is not None


def test_spectra_are_those_of_torch() -> None:
    for shape in ((5, 3, 3, 3), (40, 6), (7, 7)):
        weight = torch.randn(shape)
        values = singular_values(weight)
        assert values is not None
        expected = torch.linalg.svdvals(weight.flatten(1))
        torch.testing.assert_close(values.float(), expected, atol=1e-5, rtol=1e-4)
    net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(6, 2))
    layer = look(net, torch.randn(5, 2, 3, 3))["0"]
    assert isinstance(net[0].weight, Tensor)
    assert layer.largest == pytest.approx(
        torch.linalg.matrix_norm(net[0].weight.flatten(1), 2).item(), rel=1e-5
    )


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_the_effective_rank_of_equal_directions_is_their_number(rank: int) -> None:
    basis, _ = torch.linalg.qr(torch.randn(8, 8))
    values = singular_values(basis[:, :rank] @ basis[:, :rank].T)
    assert values is not None
    assert effective_rank(values) == pytest.approx(rank, rel=1e-3)
    assert effective_rank(torch.zeros(4)) == 0


def test_what_is_no_number_is_none() -> None:
    first = nn.Linear(3, 4)
    net = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        first.weight[0, 0] = math.nan
    layer = look(net, torch.randn(5, 3))["0"]
    assert (layer.weight, layer.gradient, layer.largest, layer.rank) == (None,) * 4


def test_weight_normed_and_faster_convolutions_are_layers_of_their_kind() -> None:
    class Faster(nn.Conv2d):
        pass

    net = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 3, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2)
    )
    found = look(net, torch.randn(9, 1, 3, 3))
    assert {name: (layer.kind, layer.units) for name, layer in found.items()} == {
        "0": ("Conv2d", 3), "3": ("Linear", 2),
    }  # fmt: skip
    assert found["0"].gradient
    assert look(nn.Sequential(Faster(1, 2, 3), nn.Flatten()), torch.randn(2, 1, 3, 3))["0"].kind == "Conv2d"
