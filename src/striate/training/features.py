"""A few plain numbers a sequence, for a linear model that a network has to beat: its loudness in bands of
frequency, its letters, or its means; never where in the sequence anything happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.ops.sequence import lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.data.sequence import Sequences

WINDOW, FRAMES, BANDS = 256, 200, 24  # samples, windows at most a sound, bands of equal width in octaves
VALUES = 2**24  # of sequences that are looked at together
NAMES = {
    "sound": "the loudness in 24 bands",
    "symbols": "the number of each letter",
    "series": "each channel's mean and deviation",
}


def features(pixels: NDArray[Any], rows: NDArray[Any], preprocess: Sequences) -> NDArray[np.float64]:
    """Give (N, F) features of some rows of stored sequences (M, L, C'); a slice at a time, as they may be on
    disk. What they are, :data:`NAMES` says; series and symbols have their length as a last one.
    """
    of_one = {"sound": _bands, "symbols": _counts, "series": _moments}[preprocess.modality]
    found = []
    few = max(1, min(256, VALUES // pixels[0].size))
    for start in range(0, len(rows), few):
        raw = torch.from_numpy(np.ascontiguousarray(pixels[rows[start : start + few]].swapaxes(1, 2)))
        x = preprocess.tensor(raw)
        ends = lengths(x).tolist()
        found += [of_one(sequence[:, :n]) for sequence, n in zip(x.numpy(), ends, strict=True)]
    return np.array(found, np.float64)


def _bands(x: NDArray[Any]) -> NDArray[np.float64]:
    """Mean and deviation over time of the log power in each band of frequency: (1, n) -> (2 BANDS,)."""
    sound = np.pad(x[0], (0, max(0, WINDOW - x.shape[1])))
    starts = np.linspace(0, len(sound) - WINDOW, min(FRAMES, 2 * len(sound) // WINDOW)).astype(int)
    frames = sound[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(1, WINDOW // 2 + 1, BANDS + 1).round().astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    return np.concatenate((bands.mean(0), bands.std(0)))


def _counts(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.append(x.sum(1), x.shape[1])


def _moments(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate((x.mean(1), x.std(1), [x.shape[1]]))
