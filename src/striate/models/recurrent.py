"""Recurrent networks: layers of tanh cells, LSTM or GRU that read a sequence, and what they say at its end.

Input: (N, channels, L) of any length, such as the 28 rows of a digit, read from the top. Zeros at the end are
padding: the answer is what the network says at the last true step, whatever the padding's length.
Source: Elman 1990, Finding structure in time (rnn); Hochreiter and Schmidhuber 1997, Long short-term memory
(lstm, with the forget gate of Gers, Schmidhuber and Cummins 2000); Cho et al. 2014 (gru). Deep: Graves,
Mohamed and Hinton 2013, layer l reads the h of layer l - 1. Bidirectional: Schuster and Paliwal 1997.
The formulas are in :mod:`striate.ops.recurrent`; here they are torch's fused layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.ops import sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Memory: TypeAlias = tuple[Any, ...]  # for each layer what torch's layer gives: h, or (h, c)


class Recurrent(nn.Module):
    """Layers of one cell, and a dense layer that reads the last one's h.

    onward: the layers that read in the order of time.   back: beside each, one that reads from the sequence's
    true end; None if the network only looks back.   every: an answer at every step, not only at the last.
    """

    def __init__(
        self,
        cell: Callable[[int, int], nn.RNNBase],
        classes: int,
        channels: int,
        widths: Sequence[int],
        *,
        bidirectional: bool,
        every: bool,
    ) -> None:
        super().__init__()
        if bidirectional and every:
            raise ModelError(
                "A bidirectional network cannot answer at every step: it would see what is to be foretold.",
                "Leave bidirectional away, in a name the bi in front.",
            )
        self.every = every
        ways = 2 if bidirectional else 1
        befores = (channels, *(ways * width for width in widths[:-1]))
        pairs = [*zip(befores, widths, strict=True)]
        self.onward = nn.ModuleList(cell(*pair) for pair in pairs)
        self.back = nn.ModuleList(cell(*pair) for pair in pairs) if bidirectional else None
        self.output = nn.Linear(ways * widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, channels, L), give (N, classes), or (N, classes, L) with ``every``.

        Raises ModelError for other shapes.
        """
        n = sequence.lengths(x)
        if self.back is not None:
            return self._both_ways(x, n, self.back)
        for layer in self.onward:
            x = _read(layer, x)
        if self.every:
            return self.output(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]
        return self.output(sequence.last_step(x, n))  # type: ignore[no-any-return]

    def _both_ways(self, x: Tensor, n: Tensor, others: nn.ModuleList) -> Tensor:
        ends = x
        for layer, other in zip(self.onward, others, strict=True):
            onward, back = _read(layer, x), _read(other, sequence.backwards(x, n))
            ends = torch.cat([onward, back], dim=1)
            x = torch.cat([onward, sequence.backwards(back, n)], dim=1)
        # Each way has read everything at its own end, the other one's being the first step.
        return self.output(sequence.last_step(ends, n))  # type: ignore[no-any-return]

    def step(self, x: Tensor, memory: Memory = ()) -> tuple[Tensor, Memory]:
        """Read one step of a stream and say what the whole so far would give.

        x: (N, channels); memory: what the step before returned, nothing at the start.
        Returns: (N, classes), and the memory for the next step.   Raises ModelError if bidirectional.
        """
        if self.back is not None:
            raise ModelError("A bidirectional network needs a sequence's end.", "Give it the whole.")
        x, now = x[None], []
        for layer, before in zip(self.onward, memory or [None] * len(self.onward), strict=True):
            x, after = layer(x, before)
            now.append(after)
        return self.output(x[0]), tuple(now)


def _read(layer: nn.Module, x: Tensor) -> Tensor:
    h: Tensor = layer(x.permute(2, 0, 1))[0]  # torch's layers take time first
    return h.permute(1, 2, 0)


def rnn(
    classes: int = 10,
    channels: int = 28,
    widths: Sequence[int] = (128,),
    bidirectional: bool = False,
    every: bool = False,
) -> Recurrent:
    """Build layers of tanh cells: (N, channels, L) -> (N, classes), or (N, classes, L) with ``every``.

    widths: the cells of each layer.   bidirectional: a second network reads from the end, as wide again.
    Raises ModelError if it is to answer at every step and is bidirectional.

    >>> sum(p.numel() for p in rnn().onward.parameters())
    20224
    """
    return Recurrent(nn.RNN, classes, channels, widths, bidirectional=bidirectional, every=every)


def gru(
    classes: int = 10,
    channels: int = 28,
    widths: Sequence[int] = (128,),
    bidirectional: bool = False,
    every: bool = False,
) -> Recurrent:
    """Build layers of gated recurrent units; arguments and shapes as in :func:`rnn`.

    >>> sum(p.numel() for p in gru().onward.parameters())
    60672
    """
    return Recurrent(nn.GRU, classes, channels, widths, bidirectional=bidirectional, every=every)


def lstm(
    classes: int = 10,
    channels: int = 28,
    widths: Sequence[int] = (128,),
    bidirectional: bool = False,
    every: bool = False,
) -> Recurrent:
    """Build layers of long short-term memory; arguments and shapes as in :func:`rnn`.

    The forget gates start open, with bias 1 (Jozefowicz, Zaremba and Sutskever 2015), so that a value lives
    on until training finds what to forget; at torch's 0 half of it is gone after one step.

    >>> sum(p.numel() for p in lstm().onward.parameters())
    80896
    """
    return Recurrent(_remembering, classes, channels, widths, bidirectional=bidirectional, every=every)


def _remembering(before: int, width: int) -> nn.LSTM:
    layer = nn.LSTM(before, width)
    with torch.no_grad():
        forget = slice(width, 2 * width)  # torch's order of gates: i, f, g, o
        _, _, input_bias, hidden_bias = layer.all_weights[0]
        input_bias[forget] = 1.0
        hidden_bias[forget] = 0.0
    return layer
