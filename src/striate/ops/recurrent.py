"""Recurrent cells: the same few products at every step of a sequence, and a state that they hand on.

A step takes x (N, C), the state and the weights, and gives the next state, whose first tensor h (N, H) is the
step's output too; :func:`unrolled` takes it through a sequence. The weights are torch's four: W (G H, C) and
U (G H, H), each with its bias b, d (G H), where the G gates lie below each other. Exact in float64 and
differentiable; networks use torch's fused layers, these explain and check them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from striate.ops.activation import sigmoid, tanh

if TYPE_CHECKING:
    from collections.abc import Callable

    State: TypeAlias = tuple[Tensor, ...]
    Weights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]  # W, U, b, d
    Step: TypeAlias = Callable[[Tensor, State, Weights], State]


def rnn_step(x: Tensor, state: State, weights: Weights) -> State:
    """Take one step of the plain cell: what is seen and what is remembered, mixed and squashed.

        h' = tanh(W x + b + U h + d)

    x: (N, C); state: (h,) of (N, H); weights: one gate.   Returns: (h',).
    Source: Elman 1990, Finding structure in time (with tanh for its logistic function).

    >>> one, none = torch.ones(1, 1), torch.zeros(1)
    >>> (h,) = rnn_step(one, (one,), (one, -one, none, none))
    >>> h.tolist()
    [[0.0]]
    """
    (h,) = state
    w, u, b, d = weights
    return (tanh(x @ w.T + b + h @ u.T + d),)


def lstm_step(x: Tensor, state: State, weights: Weights) -> State:
    """Take one step of long short-term memory: a cell c that is added to, and three gates that open and shut.

        i, f, o = sigmoid(W x + b + U h + d), each with its rows;   g = tanh(likewise)
        c' = f c + i g;   h' = o tanh(c')

    With f = 1 and i = 0 a value stays in c for as long as it takes, and its gradient with it.
    x: (N, C); state: (h, c) of (N, H) each; weights: four gates, in torch's order i, f, g, o.
    Returns: (h', c').
    Source: Hochreiter and Schmidhuber 1997; the forget gate f is of Gers, Schmidhuber and Cummins 2000.

    >>> one, none = torch.ones(1, 1), torch.zeros(4, 1)
    >>> shut, open = -1e3, 1e3
    >>> keep = torch.tensor([shut, open, 0.0, open])
    >>> h, c = lstm_step(one, (one, 3 * one), (none, none, keep, none[:, 0]))
    >>> c.tolist()
    [[3.0]]
    """
    h, c = state
    w, u, b, d = weights
    i, f, g, o = (x @ w.T + b + h @ u.T + d).chunk(4, dim=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(x: Tensor, state: State, weights: Weights) -> State:
    """Take one step of the gated recurrent unit: the state itself is what is kept or written over.

        r, z = sigmoid(W x + b + U h + d), each with its rows
        n = tanh(W x + b + r (U h + d));   h' = (1 - z) n + z h

    x: (N, C); state: (h,) of (N, H); weights: three gates, in torch's order r, z, n.   Returns: (h',).
    Source: Cho et al. 2014, section 2.3. There r multiplies h before the product with U, and z keeps the new
    value's share, not the old one's; this is the form that torch and cuDNN compute.

    >>> one, none = torch.ones(1, 1), torch.zeros(3, 1)
    >>> keep = torch.tensor([0.0, 1e3, 0.0])
    >>> (h,) = gru_step(one, (7 * one,), (none, none, keep, none[:, 0]))
    >>> h.tolist()
    [[7.0]]
    """
    (h,) = state
    w, u, b, d = weights
    seen, remembered = (x @ w.T + b).chunk(3, dim=1), (h @ u.T + d).chunk(3, dim=1)
    r, z = sigmoid(seen[0] + remembered[0]), sigmoid(seen[1] + remembered[1])
    n = tanh(seen[2] + r * remembered[2])
    return ((1 - z) * n + z * h,)


def unrolled(step: Step, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Take a cell through a sequence, from its first step to its last.

    step: one of the above, or your own; x: (N, C, L); state: what it starts from, zeros as a rule.
    Returns: (N, H, L), the h after each step, and the state after the last.
    All steps share the weights, whose gradient is the sum over steps: back-propagation through time.
    Source: Werbos 1990, Backpropagation through time.

    >>> one, none = torch.ones(1, 1), torch.zeros(1)
    >>> h, _ = unrolled(rnn_step, torch.zeros(1, 1, 3), (one,), (one, one, none, none))
    >>> [f"{value:.3f}" for value in h.flatten().tolist()]
    ['0.762', '0.642', '0.566']
    """
    outputs = []
    for seen in x.unbind(dim=2):
        state = step(seen, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs, dim=2), state
