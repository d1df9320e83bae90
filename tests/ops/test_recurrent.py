"""The cells are torch's, step by step and as a sequence, and their gradients are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.ops import recurrent

CELLS: dict[str, tuple[Any, Callable[[int, int], nn.RNNBase], int]] = {
    "rnn": (recurrent.rnn_step, nn.RNN, 1),
    "lstm": (recurrent.lstm_step, nn.LSTM, 2),
    "gru": (recurrent.gru_step, nn.GRU, 1),
}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))


def weights_of(layer: nn.RNNBase) -> tuple[Tensor, ...]:
    w, u, b, d = layer.all_weights[0]
    return w, u, b, d


@pytest.mark.parametrize("name", CELLS)
@given(sizes=SIZES)
def test_a_sequence_is_its_steps_and_torchs_layer(name: str, sizes: tuple[int, int, int, int]) -> None:
    step, kind, parts = CELLS[name]
    batch, channels, hidden, length = sizes
    torch.manual_seed(sum(sizes))
    layer = kind(channels, hidden).double()
    x = torch.randn(batch, channels, length, dtype=torch.float64)
    state = tuple(torch.randn(parts, batch, hidden, dtype=torch.float64))

    h, after = recurrent.unrolled(step, x, state, weights_of(layer))  # type: ignore[arg-type]
    begun = [part[None] for part in state]
    right, end = layer(x.permute(2, 0, 1), tuple(begun) if parts == 2 else begun[0])
    torch.testing.assert_close(h, right.permute(1, 2, 0), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.stack(after), torch.cat(end if parts == 2 else (end,)))

    for t in range(length):
        state = step(x[:, :, t], state, weights_of(layer))
        assert torch.equal(state[0], h[:, :, t])


@pytest.mark.parametrize("name", CELLS)
def test_single_precision_is_torchs_to_a_millionth(name: str) -> None:
    step, kind, parts = CELLS[name]
    torch.manual_seed(0)
    layer = kind(28, 32)
    x, none = torch.randn(8, 28, 40), torch.zeros(8, 32)
    h, _ = recurrent.unrolled(step, x, (none,) * parts, weights_of(layer))  # type: ignore[arg-type]
    torch.testing.assert_close(h, layer(x.permute(2, 0, 1))[0].permute(1, 2, 0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_the_slopes(name: str) -> None:
    step, kind, parts = CELLS[name]
    torch.manual_seed(1)
    layer = kind(3, 4).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    state = [torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(parts)]
    weights = [weight.detach().requires_grad_() for weight in weights_of(layer)]

    def run(x: Tensor, *rest: Tensor) -> Tensor:
        return recurrent.unrolled(step, x, rest[:parts], rest[parts:])[0]  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(run, (x, *state, *weights))


def test_an_open_forget_gate_keeps_a_value_and_its_gradient_where_a_plain_cell_loses_both() -> None:
    first = torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    none = torch.zeros(1, 1, dtype=torch.float64)
    silence = torch.zeros(1, 1, 600, dtype=torch.float64)
    gates = torch.tensor([-40.0, 40.0, 0.0, 40.0], dtype=torch.float64)  # i, f, g, o
    zeros = torch.zeros(4, 1, dtype=torch.float64)
    _, (_, c) = recurrent.unrolled(
        recurrent.lstm_step, silence, (none, first), (zeros, zeros, gates, zeros[:, 0])
    )
    assert slope(c, first) == pytest.approx(1.0)
    half = torch.full((1, 1), 0.5, dtype=torch.float64)
    h, _ = recurrent.unrolled(recurrent.rnn_step, silence, (first,), (half, half, none[0], none[0]))
    assert slope(h[..., -1], first) < 0.5**600


def slope(of: Tensor, by: Tensor) -> float:
    return float(torch.autograd.grad(of, by)[0])
