"""The picture that maximises a unit excites it more than real and random ones, and is the same each time."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain import maximise, output_of


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return torch.tensor(load_digits().images[:, None] / 8 - 1, dtype=torch.float32)


@pytest.fixture(scope="module")
def net(digits: Tensor) -> nn.Sequential:
    """A small network that reads digits."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    targets, rule = torch.tensor(load_digits().target), torch.optim.Adam(model.parameters(), 0.01)
    for rows in torch.arange(1792).view(28, 64).repeat(4, 1):
        rule.zero_grad()
        nn.functional.cross_entropy(model(digits[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
        rule.step()
    return model.eval()


def answers(net: nn.Module, x: Tensor, layer: str | None, unit: int) -> Tensor:
    found = net(x).detach() if layer is None else output_of(net, x, layer)
    return found[:, unit].flatten(1).mean(1) if found.dim() > 2 else found[:, unit]


@pytest.mark.parametrize("layer", ["0", "3", "6", None])
def test_it_excites_more_than_real_and_random_pictures(
    net: nn.Module, digits: Tensor, layer: str | None
) -> None:
    made = maximise(net, (1, 8, 8), unit=[0, 3, 7], layer=layer, like=digits, steps=96)
    noise = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for picture, unit in zip(made, (0, 3, 7), strict=True):
        reached = answers(net, picture[None], layer, unit)
        assert reached > torch.quantile(answers(net, digits, layer, unit), 0.999)
        assert reached > answers(net, noise, layer, unit).max()


@pytest.mark.parametrize("layer", ["3", None])
def test_each_objective_rises_with_the_steps(net: nn.Module, digits: Tensor, layer: str | None) -> None:
    reached = [
        float(
            answers(net, maximise(net, (1, 8, 8), unit=2, layer=layer, like=digits, steps=n)[None], layer, 2)
        )
        for n in (0, 8, 32, 96)
    ]
    assert reached == sorted(reached)
    assert reached[-1] > reached[0] + 1


def test_it_stays_within_the_range_of_the_pictures(net: nn.Module, digits: Tensor) -> None:
    made = maximise(net, (1, 8, 8), unit=1, like=digits, steps=48)
    assert digits.min() <= made.min() < made.max() <= digits.max()
    assert maximise(net, (1, 8, 8), unit=1, steps=48).abs().max() <= 2


def test_the_same_seed_is_the_same_picture_and_another_another(net: nn.Module) -> None:
    torch.manual_seed(1)
    first = maximise(net, (1, 8, 8), unit=1, steps=16)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(maximise(net, (1, 8, 8), unit=1, steps=16), first)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        pair = [maximise(net, (1, 8, 8), unit=1, steps=16, seed=seed) for seed in (a, b)]
        assert (pair[0] - pair[1]).abs().max() > 0.1


def test_a_unit_is_made_the_same_alone_and_among_others(net: nn.Module) -> None:
    alone = maximise(net, (1, 8, 8), unit=3, steps=8)
    together = maximise(net, (1, 8, 8), unit=[5, 3], steps=8)
    torch.testing.assert_close(together[1], alone, atol=1e-3, rtol=0)


def test_colours_are_mixed_as_those_of_the_pictures() -> None:
    """Pictures whose channels are all alike make a grey picture, though the network asks for red only."""
    grey = torch.rand(50, 1, 12, 12).expand(50, 3, 12, 12)
    conv = nn.Conv2d(3, 1, 3)
    net = nn.Sequential(conv, nn.Flatten(), nn.Linear(100, 1))
    with torch.no_grad():
        conv.weight[:, 1:] = 0
    made = maximise(net, (3, 12, 12), unit=0, like=grey, layer="0", steps=32)
    assert (made[0] - made[1]).abs().max() < 0.02
    assert made.std() > 0.01


def test_a_series_of_any_channels_is_made_too() -> None:
    """A kernel that asks for an alternating series gets one."""
    conv = nn.Conv1d(5, 2, 3)
    net = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.Linear(60, 2))
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[1, 4] = torch.tensor([-1.0, 2.0, -1.0])
    made = maximise(net, (5, 32), unit=1, layer="1", steps=64)
    assert made.shape == (5, 32)
    assert (
        output_of(net, made[None], "1")[0, 1].mean()
        > output_of(net, torch.randn(500, 5, 32), "1")[:, 1].mean()
    )


def test_nothing_of_the_network_is_changed(net: nn.Module) -> None:
    net.train()
    before = [tensor.clone() for tensor in net.state_dict().values()]
    maximise(net, (1, 8, 8), unit=1, steps=2)
    assert net.training
    net.eval()
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert all(p.requires_grad for p in net.parameters())


def test_it_works_where_gradients_are_off(net: nn.Module) -> None:
    like = torch.rand(5, 1, 8, 8)
    expected = maximise(net, (1, 8, 8), unit=[1, 2], like=like, steps=2)
    with torch.inference_mode():
        torch.testing.assert_close(maximise(net, (1, 8, 8), unit=[1, 2], like=like * 1, steps=2), expected)


def test_a_unit_that_answers_to_nothing_says_so(net: nn.Module) -> None:
    dead = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    nn.init.constant_(dead[0].bias, -1e6)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="Nothing changes what 1 answers for unit 1") as error:
        maximise(dead, (1, 8, 8), unit=1, layer="1", steps=3)
    assert "name the layer before it" in error.value.hint
    assert maximise(dead, (1, 8, 8), unit=1, layer="0", steps=3).shape == (1, 8, 8)
    with pytest.raises(ModelError, match="no unit 16"):
        maximise(net, (1, 8, 8), unit=16, layer="3")
    with pytest.raises(ModelError, match="no output 10"):
        maximise(net, (1, 8, 8), unit=10)
