"""Pictures for the tests of distortions: natural in their spectrum, and handwritten digits."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F


def natural(count: int, channels: int, height: int, width: int) -> Tensor:
    """Seeded noise whose amplitude falls with the frequency, as that of photographs: (N, C, H, W) in 0..1."""
    noise = np.random.default_rng(5).standard_normal((count, channels, height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / max(height, width)
    smooth = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.5).real
    least, most = smooth.min((1, 2, 3), keepdims=True), smooth.max((1, 2, 3), keepdims=True)
    return torch.from_numpy((smooth - least) / (most - least)).float()


def digits(count: int) -> Tensor:
    """Handwritten digits with a margin: (N, 1, 28, 28) in 0..1."""
    small = torch.from_numpy(load_digits().images[:count]).float()[:, None] / 16
    return F.pad(F.interpolate(small, (20, 20), mode="bilinear"), (4, 4, 4, 4))
