"""What stands in for torch's recurrent layers counts, sees and keeps what their loop over the steps does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import striate
from striate.errors import ModelError
from striate.ops import sequence
from striate.summary import recurrent

from .does import Does
from .test_memory import saved_on_cpu

LAYERS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
SETTINGS: dict[str, dict[str, Any]] = {
    "one": {},
    "deep": {"num_layers": 2, "dropout": 0.5},
    "both ways": {"num_layers": 2, "bidirectional": True},
    "no bias": {"bias": False},
}


def built(name: str, setting: str) -> nn.Module:
    return Does(
        lambda net, x: net.layer(x)[0], layer=LAYERS[name](8, 6, batch_first=True, **SETTINGS[setting])
    )


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", LAYERS)
def test_counts_are_those_of_the_loop(name: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = built(name, setting)
    ours = striate.inspect(net, (7, 8), batch=3)
    monkeypatch.setattr(recurrent, "stands_for", lambda *_: False)
    loop = striate.inspect(net, (7, 8), batch=3)
    assert ours.totals == loop.totals
    assert ours.memory.gradients == loop.memory.gradients == ours.memory.parameters
    assert [layer.output for layer in ours.layers] == [layer.output for layer in loop.layers]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["GRU", "RNN"])
def test_saved_bytes_are_the_processors(name: str, setting: str) -> None:
    net = built(name, setting)
    assert striate.inspect(net, (7, 8), batch=3).memory.activations == saved_on_cpu(net, (3, 7, 8))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="the workspace is oneDNN's")  # type: ignore[no-untyped-call]
def test_of_an_lstm_they_are_about_right() -> None:
    net = Does(lambda net, x: net.layer(x)[0], layer=nn.LSTM(64, 128, batch_first=True))
    found = striate.inspect(net, (40, 64), batch=32).memory.activations
    assert found == pytest.approx(saved_on_cpu(net, (32, 40, 64)), rel=0.05)


def test_states_come_out_and_work_does_not_grow_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def states(net: Any, x: Tensor) -> Tensor:
        _, (h, c) = net.layer(x)
        assert h.shape == c.shape == (4, 1, 6)
        total: Tensor = (h + c).flatten(1).sum(dim=0, keepdim=True)
        return total

    net = Does(states, layer=nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True))
    calls: list[int] = []
    step = recurrent.WORK["lstm"]

    def counted(*x: Tensor) -> Tensor:
        calls.append(len(x[0]))
        return step(*x)

    monkeypatch.setitem(recurrent.WORK, "lstm", counted)
    assert striate.inspect(net, (4000, 8)).layers[0].multiply_adds == 4000 * 2 * 4 * 6 * (8 + 6 + 12 + 6)
    assert calls == [4000] * 4 * 2  # layers and ways; an evaluation and a training step


@pytest.mark.parametrize("name", ["gru", "tcn"])
def test_a_picture_is_refused_in_the_networks_own_words(name: str) -> None:
    with pytest.raises(ModelError, match=r"given 1x28x28: .*is \(N, C, L\)") as refused:
        striate.inspect(name, (1, 28, 28))
    assert "channels first, time last" in refused.value.hint


def test_a_recurrent_layer_sees_everything_before_where_it_walks_in_time() -> None:
    fields = [row.receptive_field for row in striate.inspect("lstm", (3, 50)).layers if row.kind == "LSTM"]
    assert [field.size for field in fields if field] == [(50,)]
    words = Does(lambda net, x: net.layer(x)[0], layer=nn.LSTM(8, 6, batch_first=True))
    assert [row.receptive_field for row in striate.inspect(words, (7, 8)).layers] == [None]


def test_what_is_picked_by_length_may_be_anywhere() -> None:
    def last(net: Any, x: Tensor) -> Tensor:
        return sequence.last_step(net.layer(x), sequence.lengths(x))

    net = Does(last, layer=nn.Conv1d(2, 3, 3, padding=1))
    rows = striate.inspect(net, (2, 20)).layers
    assert [row.kind for row in rows] == ["Conv1d", "lengths", "last_step"]
    assert rows[0].receptive_field is not None
    assert rows[0].receptive_field.size == (3,)
    assert rows[-1].receptive_field is not None
    assert rows[-1].receptive_field.size == (22,)  # with the padding of both ends
