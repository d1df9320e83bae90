"""Temporal convolutional network: what comes now is read from what came before, by convolutions only.

A block: twice a causal convolution with weight norm, ReLU and dropout, and the block's input is added
(through 1x1 where the width changes). Block i leaves 2^i - 1 steps between its taps, so n blocks of kernel k
see 1 + 2 (k - 1)(2^n - 1) steps. Input: (N, channels, L) of any length; the zeros of its end are padding.
Source: Bai, Kolter and Koltun 2018, An empirical evaluation of generic convolutional and recurrent networks
for sequence modeling (arXiv 1803.01271), section 3 and table 2.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from striate.ops import sequence


class Block(nn.Module):
    """Two causal convolutions beside a shortcut (figure 1b)."""

    def __init__(self, before: int, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        past = (kernel - 1) * dilation  # zeros before the first step, so that no tap looks ahead
        self.body = nn.Sequential(
            OrderedDict(
                pad1=nn.ConstantPad1d((past, 0), 0.0),
                conv1=_normed(nn.Conv1d(before, width, kernel, dilation=dilation)),
                relu1=nn.ReLU(inplace=True),
                drop1=nn.Dropout(dropout),
                pad2=nn.ConstantPad1d((past, 0), 0.0),
                conv2=_normed(nn.Conv1d(width, width, kernel, dilation=dilation)),
                relu2=nn.ReLU(inplace=True),
                drop2=nn.Dropout(dropout),
            )
        )
        self.shortcut = nn.Identity() if before == width else _drawn(nn.Conv1d(before, width, 1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, before, L), give (N, width, L)."""
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y


class TemporalConvolutional(nn.Module):
    """Blocks whose dilation doubles, and a dense layer on the last true step, or on every step."""

    def __init__(self, blocks: list[Block], width: int, classes: int, *, every: bool) -> None:
        super().__init__()
        self.every = every
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, channels, L), give (N, classes), or (N, classes, L) with ``every``.

        Raises ModelError for other shapes.
        """
        n = sequence.lengths(x)
        y: Tensor = self.blocks(x)
        if self.every:
            return self.output(y.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]
        return self.output(sequence.last_step(y, n))  # type: ignore[no-any-return]


def tcn(
    classes: int = 10,
    channels: int = 1,
    kernel: int = 7,
    levels: int = 8,
    hidden: int = 25,
    dropout: float = 0.0,
    every: bool = False,
) -> TemporalConvolutional:
    """Build the network: (N, channels, L) -> (N, classes), or (N, classes, L) with ``every``.

    kernel, levels, hidden, dropout: k, n, the channels of every block and the dropout of the paper's table 2;
    the defaults are those of sequential MNIST.

    >>> sum(p.numel() for p in tcn().parameters())
    66910
    """
    widths = [channels] + [hidden] * levels
    blocks = [Block(widths[i], hidden, kernel, 2**i, dropout) for i in range(levels)]
    return TemporalConvolutional(blocks, hidden, classes, every=every)


def _drawn(layer: nn.Conv1d) -> nn.Conv1d:
    nn.init.normal_(layer.weight, std=0.01)  # the paper's
    return layer


def _normed(layer: nn.Conv1d) -> nn.Module:
    # From torch's own first weights. The authors' code draws N(0, 0.01) here too, but into a weight that its
    # weight norm computes anew before it is used; drawn in earnest, JSB is learnt far more slowly.
    normed: nn.Module = weight_norm(layer)
    return normed
