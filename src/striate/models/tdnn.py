"""Time-delay neural networks: one small network looks at every place of a sound, and time is summed away.

Two forms. tdnn_1989 is the paper's, on 15 frames of 16 mel coefficients: units that see 3 frames, units that
see 5 of these, and each class adds up its evidence over time (515 weights for B, D and G).
tdnn is for spoken words: raw sound in, log-mel inside, four convolutions over time, the mean over the sound's
own frames. It pads nowhere, so that it can be slid over a recording, and zeros after a sound's end move no
answer.
Input: tdnn (N, 1, L) sound of 150 Hz and more; tdnn_1989 (N, 16, 15).
Source: Waibel, Hanazawa, Hinton, Shikano and Lang 1989, Phoneme recognition using time-delay neural networks,
section II and figure 2. Of tdnn, widths, strides, dilation, norm and ReLU are ours.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.ops import sequence
from striate.ops.spectrum import LogMel, frames, most_mels

MELS, WIDTH = 32, 64
# Kernel, stride and dilation of each convolution, in frames.
LAYERS = ((5, 1, 1), (3, 2, 1), (3, 1, 2), (3, 1, 2))


class TimeDelay(nn.Module):
    """Log-mel, convolutions over time, the mean over the true frames, a dense layer."""

    def __init__(self, classes: int, rate: int) -> None:
        super().__init__()
        mels = min(MELS, most_mels(round(rate * 0.025), rate))
        self.mel = LogMel(rate, mels)
        self.norm = nn.BatchNorm1d(mels)
        self.field, self.stride = self.mel.power.window, self.mel.power.hop
        blocks, before = [], mels
        for kernel, stride, dilation in LAYERS:
            blocks.append(block(before, WIDTH, kernel, stride, dilation))
            self.field += (kernel - 1) * dilation * self.stride
            self.stride *= stride
            before = WIDTH
        self.blocks = nn.Sequential(*blocks)
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, 1, L), give (N, classes)."""
        # Without padding, layers on layers count their outputs as one layer of their joint window does.
        n = frames(sequence.lengths(x), self.field, self.stride).clamp(min=1)
        x = self.blocks(self.norm(self.mel(x)))
        return self.output(self.drop(sequence.mean_over_time(x, n)))  # type: ignore[no-any-return]


def block(before: int, width: int, kernel: int, stride: int, dilation: int) -> nn.Module:
    """Build a convolution over time without padding, its norm and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv1d(before, width, kernel, stride, dilation=dilation, bias=False),
            norm=nn.BatchNorm1d(width),
            relu=nn.ReLU(inplace=True),
        )
    )


def tdnn(classes: int = 10, channels: int = 1, length: int = 8000, rate: int = 8000) -> nn.Module:
    """Build the network for spoken words: (N, 1, L) -> (N, classes).

    length: samples that it is to be given; rate: samples a second.
    Raises ModelError for more than one channel, a rate near 100 Hz, and where length is less than the 0.245 s
    that a unit sees.

    >>> sum(p.numel() for p in tdnn().parameters())
    48330
    """
    if not most_mels(round(rate * 0.025), rate):
        raise ModelError(f"tdnn has nothing to tell apart at {rate:,} Hz.", "--model tcn takes any rate.")
    if channels != 1:
        raise ModelError(
            f"tdnn hears one channel of sound. Received: {channels}.", "Take tcn or dna for series."
        )
    network = TimeDelay(classes, rate)
    if length < network.field:
        raise ModelError(
            f"tdnn needs {network.field} samples at {rate:,} Hz. Received: {length}.",
            "Give a larger --length.",
        )
    return network


# ---- the network of 1989 ---------------------------------------------------------------------------------


class SumOverTime(nn.Module):
    """Units that see 3 frames, units that see 5 of these, and each class adds up its units' over time."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.hidden1 = nn.Conv1d(channels, 8, 3)
        self.hidden2 = nn.Conv1d(8, classes, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, channels, L), give (N, classes)."""
        n = (sequence.lengths(x) - 6).clamp(min=1)
        evidence = torch.sigmoid(self.hidden2(torch.sigmoid(self.hidden1(x))))
        return sequence.masked(evidence, n).sum(2)


def tdnn_1989(classes: int = 3, channels: int = 16, length: int = 15) -> nn.Module:
    """Build the paper's network on spectral frames of 10 ms: (N, channels, L) -> (N, classes).

    The paper sends each class's sum through one more sigmoid and trains by squared error; here the sums are
    logits.   Raises ModelError below 7 frames.

    >>> sum(p.numel() for p in tdnn_1989().parameters())
    515
    """
    if length < 7:
        raise ModelError(f"tdnn_1989 needs 7 frames. Received: {length}.", "Give longer sequences.")
    return SumOverTime(classes, channels)
