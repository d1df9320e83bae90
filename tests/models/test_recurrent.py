"""Recurrent networks give each sequence the answer that it has alone, in whatever batch it lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from striate.errors import ModelError
from striate.models.recurrent import Recurrent, gru, lstm, rnn
from striate.ops import recurrent

BUILDERS: dict[str, Callable[..., Recurrent]] = {"rnn": rnn, "gru": gru, "lstm": lstm}
STEPS = {"rnn": recurrent.rnn_step, "gru": recurrent.gru_step, "lstm": recurrent.lstm_step}
LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def built(name: str, **how: Any) -> Recurrent:
    torch.manual_seed(0)
    return BUILDERS[name](classes=3, channels=2, **({"widths": (5, 4)} | how)).double()


def drawn(steps: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(steps))
    return [torch.randn(2, n, dtype=torch.float64, generator=generator) for n in steps]


def padded(sequences: list[Tensor], length: int) -> Tensor:
    return torch.stack([F.pad(one, (0, length - one.shape[1])) for one in sequences])


@pytest.mark.parametrize("both", [False, True], ids=["onward", "both ways"])
@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=25)
@given(steps=LENGTHS, beyond=st.integers(0, 3))
def test_a_batch_of_unequal_lengths_is_its_sequences_one_by_one(
    name: str, both: bool, steps: list[int], beyond: int
) -> None:
    network, sequences = built(name, bidirectional=both), drawn(steps)
    together = network(padded(sequences, max(steps) + beyond))
    alone = torch.cat([network(one[None]) for one in sequences])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["onward", "both ways"])
@pytest.mark.parametrize("name", BUILDERS)
def test_padded_gives_the_loss_and_the_gradients_of_torchs_packed(name: str, both: bool) -> None:
    network, steps = built(name, widths=(5, 5), bidirectional=both), [6, 1, 4, 7]
    sequences, targets = drawn(steps), torch.tensor([0, 2, 1, 2])
    loss = F.cross_entropy(network(padded(sequences, 9)), targets)
    gradients = torch.autograd.grad(loss, list(network.parameters()))

    packed = pack_sequence([one.T for one in sequences], enforce_sorted=False)
    layers = getattr(nn, name.upper())(2, 5, num_layers=2, bidirectional=both).double()
    ours = [[w for way in ways for w in way.all_weights[0]] for ways in by_layer(network)]
    weights = [weight for layer in ours for weight in layer]
    for its, weight in zip(layers.parameters(), weights, strict=True):
        its.data.copy_(weight)
    end = layers(packed)[1]
    h = (end[0] if name == "lstm" else end)[-2 if both else -1 :]  # of the last layer, each way
    right = F.cross_entropy(network.output(torch.cat([*h], dim=1)), targets)
    torch.testing.assert_close(loss, right)
    wanted = torch.autograd.grad(right, [*layers.parameters(), *network.output.parameters()])
    found = dict(zip(map(id, network.parameters()), gradients, strict=True))
    for weight, gradient in zip([*weights, *network.output.parameters()], wanted, strict=True):
        torch.testing.assert_close(found[id(weight)], gradient)


def by_layer(network: Recurrent) -> list[tuple[Any, ...]]:
    return [*zip(network.onward, network.back, strict=True)] if network.back else [*zip(network.onward)]


@pytest.mark.parametrize("name", BUILDERS)
def test_it_is_the_cells_of_ops_on_top_of_each_other(name: str) -> None:
    network, x = built(name, every=True), torch.randn(3, 2, 6, dtype=torch.float64)
    h = x
    for layer in network.onward:
        assert isinstance(layer, nn.RNNBase)
        none = torch.zeros(3, layer.hidden_size, dtype=torch.float64)
        state = (none, none) if name == "lstm" else (none,)
        w, u, b, d = layer.all_weights[0]
        h, _ = recurrent.unrolled(STEPS[name], h, state, (w, u, b, d))
    torch.testing.assert_close(network(x), network.output(h.mT).mT)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_stream_gets_the_answers_of_the_whole(name: str) -> None:
    x = torch.randn(3, 2, 6, dtype=torch.float64)
    each, once = built(name, every=True), built(name)
    memory: Any = ()
    for t in range(6):
        answer, memory = once.step(x[:, :, t], memory)
        torch.testing.assert_close(answer, once(x[:, :, : t + 1]))
        torch.testing.assert_close(answer, each(x)[:, :, t])


@pytest.mark.parametrize("name", BUILDERS)
def test_what_comes_later_does_not_move_an_answer_at_every_step(name: str) -> None:
    network, x = built(name, every=True), torch.randn(3, 2, 9, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 5:] += 1
    before, after = network(x), network(changed)
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert (before[:, :, 5:] != after[:, :, 5:]).all()


def test_both_ways_is_refused_where_it_would_know_what_comes() -> None:
    with pytest.raises(ModelError, match="every step"):
        lstm(bidirectional=True, every=True)
    with pytest.raises(ModelError, match="sequence's end"):
        gru(bidirectional=True).step(torch.zeros(1, 28))


@pytest.mark.parametrize("name", BUILDERS)
def test_weights_are_as_many_as_the_formulas_say(name: str, architectures: dict[str, Any]) -> None:
    entries = {entry["variant"]: entry["value"] for entry in architectures["recurrent cells"]["params"]}
    text = entries["two bias vectors (torch)"][name.upper()].replace(" (", "*(").replace("2h", "2*h")
    formula = text.replace("x h", "x*h").replace("h^2", "h*h")

    def right(x: int, h: int) -> int:
        return int(eval(formula, {"__builtins__": {}}, {"x": x, "h": h}))

    def count(**how: Any) -> int:
        return sum(p.numel() for p in BUILDERS[name](**how).onward.parameters())

    assert count(channels=28, widths=(128,)) == right(28, 128)
    assert right(28, 128) == entries["x=28, h=128 (torch)"][name.upper()]
    assert count(channels=3, widths=(7, 5)) == right(3, 7) + right(7, 5)
    deep = architectures["deep rnn"]["params"][0]["value"][name.upper()]
    assert count(channels=28, widths=(128, 128)) == deep
    both = BUILDERS[name](channels=3, widths=(7, 5), bidirectional=True)
    assert sum(p.numel() for p in both.parameters()) == 2 * (right(3, 7) + right(14, 5)) + 10 * 10 + 10


def test_the_sizes_of_about_70_thousand(architectures: dict[str, Any]) -> None:
    variants = {entry["variant"]: entry["value"] for entry in architectures["recurrent cells"]["params"]}
    sizes = variants["about 70K for sequential MNIST (x=1, plus linear to 10)"]
    for text, count in sizes.items():
        kind, width = text.split(" h=")
        network = BUILDERS[kind.lower()](channels=1, widths=(int(width),))
        assert sum(p.numel() for p in network.parameters()) == count


def test_forget_gates_start_open() -> None:
    (layer,) = lstm(widths=(6,)).onward
    gates = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().view(4, 6)  # type: ignore[operator]
    assert (gates[1] == 1).all()
    assert (gates[[0, 2, 3]].abs() < 1).all()
