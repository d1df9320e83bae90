"""One series of numbers: steps along time, one or more channels a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data.decode import Header, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.data.sequence import Sequences

LARGEST = 3e38  # values become float32


def header(data: NDArray[Any]) -> Header:
    """Count steps and channels of one series (n, C). Raises Unreadable for what is not all numbers."""
    steps, channels = _series(data).shape
    return Header(steps, 1, channels, "float32", f"{channels} numbers a step" if channels > 1 else "series")


def decode(data: NDArray[Any], preprocess: Sequences) -> NDArray[np.float32]:
    """Give one series as it is stored: (n, C) float32; values are normalised on the way to the network.

    Raises Unreadable, for another number of channels than the network takes, too.
    """
    values = _series(data)
    if values.shape[1] != preprocess.channels:
        raise Unreadable(f"{values.shape[1]} numbers a step, where the run takes {preprocess.channels}")
    return values.astype(np.float32)


def _series(data: NDArray[Any]) -> NDArray[np.float64]:
    """Check one series; a single channel may lack its axis."""
    if data.dtype.kind not in "biuf" or data.ndim not in {1, 2} or 0 in data.shape:
        raise Unreadable(f"is no series of numbers: {data.dtype} of shape {data.shape}")
    values = data.astype(np.float64).reshape(len(data), -1)
    wrong = np.argwhere(~(np.abs(values) < LARGEST))
    if len(wrong):
        step, channel = wrong[0]
        where = f"step {step}" + (f", channel {channel}" if values.shape[1] > 1 else "")
        raise Unreadable(f"holds values that are no numbers (NaN or infinite), the first at {where}")
    return values
