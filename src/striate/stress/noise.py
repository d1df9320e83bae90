"""Pictures with noise: (N, C, H, W) in 0..1 in, the same shape out.

The noise of a picture is drawn once for all levels, except shot noise, which follows the light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from striate.stress import chance
from striate.stress.severity import constants

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation
SHOT = (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)  # photons that make full light
IMPULSE = (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)  # share of the values


def noise(pictures: Tensor, level: float, keys: NDArray[np.uint64]) -> Tensor:
    """Add normal noise to every value. level: its standard deviation, of a range of 0..1."""
    return pictures + level * chance.normal("noise", keys, tuple(pictures.shape[1:])).to(pictures)


def gaussian_noise(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Add normal noise to every value, as in little light."""
    return noise(pictures, constants(pictures, severity, *GAUSSIAN), keys)


def shot_noise(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Count photons: each value is a Poisson number with the light as its mean."""
    photons = constants(pictures, severity, *SHOT)
    light = (pictures.cpu().numpy() * np.float64(photons)).clip(0)
    counted = [one.poisson(mean) for one, mean in zip(chance.generators("shot", keys), light, strict=True)]
    return torch.from_numpy(np.stack(counted)).to(pictures) / photons


def impulse_noise(pictures: Tensor, severity: float, keys: NDArray[np.uint64]) -> Tensor:
    """Set a share of the values to 0 or 1, as bit errors do; those of a severity stay in the next one."""
    share = constants(pictures, severity, *IMPULSE)
    drawn = [one.random(pictures.shape[1:], dtype=np.float32) for one in chance.generators("impulse", keys)]
    # Within a value's own last bits: which way it goes must not depend on the share.
    numbers = torch.from_numpy(np.stack(drawn)).to(pictures.device)
    salt = (numbers * 2**16).frac() < 0.5
    return torch.where(numbers < share, salt.to(pictures), pictures)
