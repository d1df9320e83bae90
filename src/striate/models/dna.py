"""One-hot letters and motif detectors: each first kernel is a pattern that is looked for everywhere.

A wide convolution over the letters, ReLU, pooling that forgives a few steps of displacement, then dense
layers that know where in the sequence each motif stood. For sequences that are aligned, such as promoters
around the start of transcription. Its first kernels are read with :mod:`striate.explain.motifs`.
Input: (N, letters, L) one-hot, L fixed; 81 bases are what it was made for.
Source: after Umarov and Solovyev 2017, Recognition of prokaryotic and eukaryotic promoters using
convolutional deep learning neural networks: convolution, pooling, dense; the sizes are ours.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from striate.errors import ModelError

MOTIFS, KERNEL, POOL, HIDDEN = 64, 9, 4, 32


def dna(classes: int = 2, channels: int = 4, length: int = 81) -> nn.Module:
    """Build the network: (N, channels, length) -> (N, classes).

    Raises ModelError below 12 steps.

    >>> tuple(dna().motifs.weight.shape)
    (64, 4, 9)
    """
    places = (length - KERNEL + 1) // POOL
    if places < 1:
        raise ModelError(
            f"dna needs at least {KERNEL + POOL - 1} steps. Received: {length}.", "Give a larger --length."
        )
    return nn.Sequential(
        OrderedDict(
            motifs=nn.Conv1d(channels, MOTIFS, KERNEL),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool1d(POOL),
            flatten=nn.Flatten(),
            drop1=nn.Dropout(0.5),
            hidden=nn.Linear(MOTIFS * places, HIDDEN),
            relu2=nn.ReLU(inplace=True),
            drop2=nn.Dropout(0.5),
            output=nn.Linear(HIDDEN, classes),
        )
    )
