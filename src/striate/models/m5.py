"""Raw waveforms, deep: a first kernel of 80 samples in place of a spectrogram, then kernels of 3.

All convolutional, with batch norm and ReLU, pooled by 4 between blocks; the mean over time feeds one dense
layer. M3, M5, M11 and M18 have that many layers with weights. The sides are padded so that each pooling gives
a quarter, as in the table; what is computed behind a sound's own end is set to zero, so it moves no answer.
Input: 32,000 samples at 8 kHz; any number from 80.
Source: Dai, Dai, Qu, Li and Das 2017, Very deep convolutional neural networks for raw waveforms, table 1.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from striate.errors import ModelError
from striate.ops import sequence

Widths = tuple[tuple[int, ...], ...]

# Widths of the layers between two poolings.
M3: Widths = ((256,), (256,))
M5: Widths = ((128,), (128,), (256,), (512,))
M11: Widths = ((64,), (64,) * 2, (128,) * 2, (256,) * 3, (512,) * 2)
M18: Widths = ((64,), (64,) * 4, (128,) * 4, (256,) * 4, (512,) * 4)
POOLINGS = 4


class Waveform(nn.Module):
    """A wide first layer, then kernels of 3, pooling between blocks, the mean over the true steps."""

    def __init__(self, classes: int, channels: int, widths: Widths) -> None:
        super().__init__()
        self.layers, before = nn.ModuleList(), channels
        for number, block in enumerate(widths):
            for width in block:
                first = not self.layers
                self.layers.append(
                    layer(before, width, 80, 4, 38) if first else layer(before, width, 3, 1, 1)
                )
                before = width
            if number < POOLINGS:
                self.layers.append(nn.MaxPool1d(4, ceil_mode=True))
        self.output = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, channels, L), give (N, classes)."""
        n = (sequence.lengths(x) // 4).clamp(min=1)
        for step in self.layers:
            if isinstance(step, nn.MaxPool1d):
                x, n = step(x), (n + 3) // 4
            else:
                x = sequence.masked(step(x), n)
        return self.output(sequence.mean_over_time(x, n))  # type: ignore[no-any-return]


def layer(before: int, width: int, kernel: int, stride: int, padding: int) -> nn.Module:
    """Build a convolution, batch norm and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv1d(before, width, kernel, stride, padding),
            norm=nn.BatchNorm1d(width),
            relu=nn.ReLU(inplace=True),
        )
    )


def m5(classes: int = 10, channels: int = 1, length: int = 32_000, widths: Widths = M5) -> Waveform:
    """Build M5, or its sisters by their widths: (N, channels, L) -> (N, classes).

    length: samples.   Raises ModelError below 80, which the first kernel takes.

    >>> sum(p.numel() for p in m5().parameters())
    559114
    """
    if length < 80:
        raise ModelError(
            f"The first kernel takes 80 samples. Received: {length}.", "This network is for waveforms."
        )
    return Waveform(classes, channels, widths)
