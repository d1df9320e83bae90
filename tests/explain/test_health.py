"""A network's health in sentences: each planted fault has its own, and a network that is well has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor, nn

from striate.explain import look
from striate.explain.health import Spectra, sentences
from striate.training.health import LayerHealth


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    return torch.tensor(found.images[:, None] / 8 - 1, dtype=torch.float32), torch.tensor(found.target)


def reader(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A small network that has learnt to read digits."""
    conv, hidden = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(128, 32)
    norm, last = nn.BatchNorm1d(32), nn.Linear(32, 10)
    net = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), hidden, norm, nn.ReLU(), last)
    rule = torch.optim.Adam(net.parameters(), 0.002)
    for rows in torch.arange(1792).view(28, 64):
        rule.zero_grad()
        loss = nn.functional.cross_entropy(net(digits[0][rows]), digits[1][rows])
        for parameter, gradient in zip(
            net.parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True
        ):
            parameter.grad = gradient
        rule.step()
    return net.eval()


def test_a_network_that_is_well_has_no_sentence(digits: tuple[Tensor, Tensor]) -> None:
    net = reader(digits)
    health = look(net, digits[0][:256], digits[1][:256])
    assert health.sentences == ()
    assert health.pictures == 256
    assert [layer.name for layer in health.layers] == ["0", "4", "7"]


def test_planted_dead_units_have_a_sentence_that_says_what_to_try(digits: tuple[Tensor, Tensor]) -> None:
    net = reader(digits)
    before = look(net, digits[0][:256], digits[1][:256]).layers
    with torch.no_grad():
        net.get_parameter("0.bias")[1::3] = -1e6  # 1, 4 and 7
        net.get_parameter("4.bias")[:20] = -1e6
    health = look(net, digits[0][:256], digits[1][:256])
    assert health.layers[0].dead == tuple(sorted({1, 4, 7, *(before[0].dead or ())}))
    assert health.layers[1].dead is not None
    assert set(range(20)) <= set(health.layers[1].dead)
    assert [told.split(" on ")[0] for told in health.sentences] == [
        f"layer {layer.name}: {len(layer.dead or ())} of {layer.units} units are dead"
        for layer in health.layers[:2]
    ]
    assert all(told.endswith(": lower --lr or use --init he_normal") for told in health.sentences)


def test_the_records_tell_units_born_dead_from_units_that_died() -> None:
    layer = LayerHealth("conv", "Conv2d", 8, 0.1, 0.1, dead=(1, 2, 3, 4))
    spectra = {"conv": Spectra((), ())}
    for before, told in (
        (
            [1, 2, 3],
            "(3 before training): use another --init, or fewer units",
        ),
        ([7], "(1 before training): lower --lr or raise --warmup"),
    ):
        records = [{"layers": [{"name": "conv", "dead": before, "update": None}]}]
        assert sentences([layer], spectra, "99 pictures", records) == (
            f"layer conv: 4 of 8 units are dead on 99 pictures {told}",
        )


def test_saturated_units_have_a_sentence() -> None:
    hidden = nn.Linear(6, 8)
    net = nn.Sequential(nn.Flatten(), hidden, nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        hidden.weight.mul_(1e3)
    (told,) = look(net, torch.randn(100, 6, 1)).sentences
    assert told == (
        "layer 1: 8 of 8 units are saturated on 100 pictures: lower --lr, use --init xavier_normal, or a ReLU"
    )


class Deep(nn.Module):
    """Fifty layers of ten units, with the input of each added to its output or not."""

    def __init__(self, *, skips: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(10, 10) for _ in range(50))
        self.skips = skips
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=0.15 * gain)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x * self.skips + torch.tanh(layer(x))
        return x


def test_gradients_that_vanish_or_explode_over_fifty_layers_have_a_sentence() -> None:
    x, targets = torch.randn(64, 10), torch.arange(64) % 10
    told = look(Deep(skips=False), x, targets).sentences
    assert told[0].startswith("gradients vanish: what arrives at layer layers.0 is ")
    assert told[0].endswith(": use --init he_normal, batch norm or skip connections")
    assert not [told for told in look(Deep(skips=True, gain=0.3), x, targets).sentences if "gradient" in told]
    told = look(Deep(skips=False, gain=6.0), x, targets).sentences
    assert told[0].startswith("gradients explode: what arrives at layer layers.0 is ")


def test_layers_that_no_gradient_reaches_have_a_sentence() -> None:
    cut = nn.Linear(4, 4)
    nn.init.zeros_(cut.weight)
    net = nn.Sequential(nn.Linear(4, 4), cut, nn.Linear(4, 2))
    told = look(net, torch.randn(64, 4), torch.arange(64) % 2).sentences[0]
    assert told.startswith("no gradient reaches 1 of 3 layers, such as 0: ")


def test_weights_that_are_no_numbers_have_a_sentence() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    nn.init.constant_(net[1].weight, torch.nan)  # type: ignore[arg-type]
    assert look(net, torch.randn(64, 4), torch.arange(64) % 2).sentences == (
        "layer 0: weights or gradients are no numbers: lower --lr or use --clip 1",
    )


@pytest.mark.parametrize(("step", "cure"), [(0.1, "lower --lr"), (1e-3, ""), (1e-8, "raise --lr")])
def test_steps_that_are_too_long_or_too_short_have_a_sentence(step: float, cure: str) -> None:
    layers = [{"name": "fc", "update": None}], *[[{"name": "fc", "update": step * k}] for k in (2, 1, 0.5, 0)]
    records: list[dict[str, Any]] = [{"layers": layer} for layer in layers]
    told = sentences([], {}, "9 pictures", records)
    assert [sentence.rpartition(": ")[2] for sentence in told] == ([cure] if cure else [])


def test_units_that_all_say_the_same_have_a_sentence() -> None:
    same = nn.Linear(8, 32)
    net = nn.Sequential(same, nn.ReLU(), nn.Linear(32, 5))
    with torch.no_grad():
        same.weight.copy_(same.weight[:1].expand(32, 8))
    told = look(net, torch.randn(100, 8)).sentences[-1]
    assert told.startswith("layer 0: its 32 units vary in 1.0 directions: ")


def test_many_layers_with_one_fault_share_a_sentence() -> None:
    names = [f"fc{i}" for i in range(20)]
    layers = [LayerHealth(name, "Linear", 32, 0.1, 0.1, flow=1.0) for name in [*names, "last"]]
    spectra = {layer.name: Spectra((1.0,), (1.0,) + (0.0,) * 31) for layer in layers}
    steps = [{"layers": [{"name": name, "update": 0.1} for name in names]}] * 2
    told = sentences(layers, spectra, "9 pictures", steps)
    assert len(told) == 8
    assert [line for line in told if line.startswith("17 more layers")] == [
        "17 more layers take steps as long or so",
        "17 more layers vary in as few directions or so",
    ]


def test_the_activation_spectrum_is_sklearns_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.training.health.LARGEST_BATCH", 7)
    conv = nn.Conv2d(2, 5, 3)
    net = nn.Sequential(conv, nn.Flatten(), nn.Linear(80, 3))
    x = torch.randn(40, 2, 6, 6)
    found = look(net, x).spectra["0"]
    samples = conv(x).detach().movedim(1, -1).flatten(0, -2).numpy()
    expected = PCA(5).fit(samples).explained_variance_ratio_
    np.testing.assert_allclose(found.activations, expected, rtol=1e-4)
    assert found.participation == pytest.approx(1 / np.sum(expected**2), rel=1e-4)
    weights = torch.linalg.svdvals(conv.weight.detach().flatten(1))
    np.testing.assert_allclose(found.weights, weights.numpy(), rtol=1e-4)


def test_a_layer_that_does_not_vary_has_no_direction() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight.zero_()  # type: ignore[operator]
    found = look(net, torch.randn(20, 3)).spectra["0"]
    assert found.activations == (0.0,) * 4
    assert found.participation == 0


def test_numbers_may_be_targets_and_nothing_is_changed() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)).train()
    before = [tensor.clone() for tensor in net.state_dict().values()]
    health = look(net, torch.randn(20, 3), torch.randn(20))
    assert all(layer.gradient for layer in health.layers)
    assert net.training
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())
