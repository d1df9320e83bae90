"""torch's recurrent layers in a few operators on all steps at once: the same arithmetic without its loop.

On the meta device a layer is its steps, a dozen operators each: seconds for a sequence of some hundreds. Here
the products and the element-wise work are those of all steps, a running sum stands for the one operation in
which the new meets the remembered (so that step t sees steps 0 to t), and what is kept for the backward pass
is what a processor keeps: for RNN and GRU to the byte, for LSTM about, as oneDNN lays out its own workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def stands_for(kind: str, args: Any) -> bool:
    """Tell whether a call of torch.lstm and so on can be replaced: not packed, without projection."""
    if kind not in GATES or len(args) != 9 or not isinstance(args[3], bool):
        return False
    weights, biased, layers, both = args[2], args[3], args[4], args[7]
    return bool(weights[0].is_meta) and len(weights) == layers * (2 if both else 1) * (4 if biased else 2)


def stand_in(kind: str, args: Sequence[Any]) -> tuple[Tensor, ...]:
    """Give what torch.lstm, torch.gru, torch.rnn_tanh or torch.rnn_relu does, for these arguments.

    Returns: h (L, N, H) or (N, L, H), and the states after the last step, (layers, N, H) each.
    """
    x, states, weights, biased, layers, dropout, training, both, batch_first = args
    states = list(states) if isinstance(states, (tuple, list)) else [states]
    x = x.transpose(0, 1) if batch_first else x
    ways, per, ends = 2 if both else 1, 4 if biased else 2, []
    for layer in range(layers):
        several = []
        for way in range(ways):
            at = per * (layer * ways + way)
            h, end = _Layer.apply(kind, way == 1, x, states[0], *weights[at : at + per])  # type: ignore[no-untyped-call]
            several.append(h)
            ends.append(end)
        x = torch.cat(several, 2) if both else several[0]
        if dropout and training and layer < layers - 1:
            x = F.dropout(x, dropout)
    after = torch.stack(ends)
    return (x.transpose(0, 1) if batch_first else x, *([after] * len(states)))


class _Layer(torch.autograd.Function):
    """One layer, one way: (L, N, C) -> h (L, N, H), and h after the last step that it reads."""

    @staticmethod
    def forward(
        ctx: Any, kind: str, is_back: bool, x: Tensor, state: Tensor, w: Tensor, u: Tensor, *biases: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, width = x.contiguous(), u.shape[1]
        ctx.save_for_backward(x, state, w, u, *biases, _kept(kind, len(x), x.new_empty(x.shape[1], width)))
        b, d = biases or (None, None)
        seen = F.linear(x.flip(0) if is_back else x, w, b)
        remembered = F.linear(seen.narrow(2, 0, width), u, d)  # of as many values as h has
        h = WORK[kind](seen, remembered)
        return h.flip(0) if is_back else h, h[-1].clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, _, *weights, _ = ctx.saved_tensors
        wanted = zip((x, None, *weights), ctx.needs_input_grad[2:], strict=True)
        return None, None, *(torch.empty_like(t) if need and t is not None else None for t, need in wanted)


def _lstm(seen: Tensor, remembered: Tensor) -> Tensor:
    i, f, g, o = (seen + remembered).chunk(4, 2)
    c = f.sigmoid() * (i.sigmoid() * g.tanh()).cumsum(0)
    return o.sigmoid() * c.tanh()


def _gru(seen: Tensor, remembered: Tensor) -> Tensor:
    width = seen.shape[2] // 3
    r, z = (seen.narrow(2, 0, 2 * width) + remembered.narrow(2, 0, 2 * width)).sigmoid().chunk(2, 2)
    n = (seen.narrow(2, 2 * width, width) + r * remembered.narrow(2, 2 * width, width)).tanh()
    return n.cumsum(0) * z + n


def _rnn(seen: Tensor, remembered: Tensor) -> Tensor:
    return (seen + remembered).cumsum(0)


WORK = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn, "rnn_relu": _rnn}


def _kept(kind: str, steps: int, state: Tensor) -> Tensor:
    """Make as much as torch keeps beside input, weights and first state (torch 2.13, counted)."""
    states = {"lstm": 16 * steps + 10, "gru": 7 * steps - 1}.get(kind, steps)
    return state.new_empty(states, *state.shape)
