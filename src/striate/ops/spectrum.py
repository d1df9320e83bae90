"""Spectrograms as modules inside a network: short-time power spectrum and log-mel, from raw sound.

Frames are never centred and nothing is padded: frame k is made of samples k hop ... k hop + window - 1 and of
no others, so frame k of a recording is frame 0 of the recording from sample k hop on. Nothing is normalised
over time either. That is what lets a network with such a front end be slid over a recording.
Shapes: (N, 1, L) sound in, (N, bins or mels, frames) out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.errors import ModelError

if TYPE_CHECKING:
    Length = TypeVar("Length", int, Tensor)


def frames(samples: Length, window: int, hop: int) -> Length:
    """Count the windows that fit: floor((samples - window) / hop) + 1; below 1 where none does.

    samples: a number, or (N,) int64 lengths.   The same formula as of a convolution without padding.

    >>> frames(8000, 200, 80)
    98
    """
    return (samples - window) // hop + 1


def mel(hertz: Tensor) -> Tensor:
    """Give the pitch in mel, 2595 log10(1 + f / 700): 1000 Hz are 1000 mel, an octave above fewer than 2000.

    Source: O'Shaughnessy 1987, Speech communication, section 4.3; the form that HTK uses.

    >>> mel(torch.tensor([0.0, 1000.0, 4000.0])).round().tolist()
    [0.0, 1000.0, 2146.0]
    """
    return 2595 * torch.log10(1 + hertz / 700)


def hertz(mel: Tensor) -> Tensor:
    """Give the frequency in Hz of a pitch in mel: the inverse of :func:`mel`.

    >>> hertz(torch.tensor([0.0, 1000.0])).round().tolist()
    [0.0, 1000.0]
    """
    return 700 * (10 ** (mel / 2595) - 1)


def hann(window: int) -> Tensor:
    """Give the periodic Hann window, (window,) float64: 0 at its first sample, 1 in the middle.

    >>> hann(4).round(decimals=9).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return torch.sin(torch.arange(window, dtype=torch.float64) * (math.pi / window)) ** 2


def dft_kernels(window: int) -> Tensor:
    """Give the real and then the imaginary parts of a windowed DFT as kernels, (2 bins, 1, window) float64.

    Bins are window // 2 + 1, bin b at b / window of the sampling rate. Scaled so that white noise of
    variance 1 has power 1 in every bin, whatever the window.
    """
    places = torch.arange(window, dtype=torch.float64)
    # The angle is taken modulo one turn in whole numbers, so that large products lose no digits.
    turns = (torch.arange(window // 2 + 1)[:, None] * torch.arange(window)) % window
    angles = turns * (2 * math.pi / window)
    taper = hann(window) / math.sqrt(3 / 8 * len(places))  # 3/8: mean of the squared window
    return torch.cat([torch.cos(angles), -torch.sin(angles)])[:, None] * taper


def mel_filters(mels: int, window: int, rate: int) -> Tensor:
    """Give triangular filters over the bins of a window, (mels, bins) float64.

    The triangles' corners are evenly spaced in mel from 0 to half the rate; each rises from its neighbour's
    peak to its own and falls to the next one's. Each row sums to 1: the mean power of a band.
    rate: samples a second.   Raises ModelError where a triangle is so narrow that no bin lies in it.
    """
    if mels > most_mels(window, rate):
        raise ModelError(
            f"{mels} mel bands are finer than a window of {window} samples at {rate:,} Hz can tell apart.",
            f"At most {most_mels(window, rate)}, or a longer window.",
        )
    top = torch.tensor(rate / 2, dtype=torch.float64)
    corners = hertz(torch.linspace(0, 1, mels + 2, dtype=torch.float64) * mel(top))
    bins = torch.arange(window // 2 + 1) * (rate / window)
    below, peak, above = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - below) / (peak - below), (above - bins) / (above - peak)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return triangles / triangles.sum(1, keepdim=True)


def most_mels(window: int, rate: int) -> int:
    """Count the mel bands whose lowest, which is the narrowest, still spans two bins: none can be empty.

    >>> most_mels(200, 8000)
    34
    """
    two_bins = 2595 * math.log10(1 + 2 * rate / window / 700)
    return int(2 * 2595 * math.log10(1 + rate / 2 / 700) / two_bins) - 1


class PowerSpectrum(nn.Module):
    """Squared magnitude of the short-time Fourier transform, (N, 1, L) -> (N, window // 2 + 1, frames).

    A convolution with fixed kernels: on a CPU and for windows of some hundred samples as fast as an FFT
    (0.10 ms a second of sound at 8 kHz on one core; torch.stft 0.12), and every tool understands it.
    window, hop: samples; fewer samples than one window are an error of torch's.
    """

    kernels: Tensor

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        self.register_buffer("kernels", dft_kernels(window).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        real, imaginary = F.conv1d(x, self.kernels, stride=self.hop).chunk(2, 1)
        return real.square() + imaginary.square()

    def extra_repr(self) -> str:
        return f"window={self.window}, hop={self.hop}"


class LogMel(nn.Module):
    """Logarithm of the power in mel bands, (N, 1, L) -> (N, mels, frames).

    rate: samples a second; window and hop: seconds, 25 and 10 ms as is usual for speech.
    floor: power that is added before the logarithm, in units of the sound's variance; so silence is
    log(floor), and what is much weaker is not heard.
    """

    filters: Tensor

    def __init__(
        self, rate: int, mels: int = 32, window: float = 0.025, hop: float = 0.01, floor: float = 1e-5
    ) -> None:
        super().__init__()
        self.power = PowerSpectrum(round(rate * window), round(rate * hop))
        self.floor = floor
        filters = mel_filters(mels, self.power.window, rate).float()
        self.register_buffer("filters", filters[:, :, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(F.conv1d(self.power(x), self.filters) + self.floor)

    def frames(self, samples: Length) -> Length:
        """Count the frames of so many samples; below 1 where not even one fits."""
        return frames(samples, self.power.window, self.power.hop)

    def extra_repr(self) -> str:
        return f"mels={len(self.filters)}, floor={self.floor}"
