"""One-hot letters and motif detectors: each first kernel is a pattern that is looked for everywhere.

A wide convolution over the letters, ReLU, pooling that forgives a few steps of displacement; a second
convolution for motifs beside one another; dense layers that know where in the sequence each stood. For
sequences that are aligned, such as promoters around the start of transcription. What its first kernels have
learnt is read with :mod:`striate.explain.motifs`.
Input: (N, letters, L) one-hot, L fixed; 81 bases are what it was made for.
Source: after Umarov and Solovyev 2017, Recognition of prokaryotic and eukaryotic promoters using
convolutional deep learning neural networks: convolution, pooling, dense; layers and sizes are ours.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from striate.errors import ModelError

MOTIFS, HIDDEN, SHORTEST = 64, 32, 26


def dna(classes: int = 2, channels: int = 4, length: int = 81) -> nn.Module:
    """Build the network: (N, channels, length) -> (N, classes).

    Raises ModelError below 26 steps.

    >>> tuple(dna().motifs.weight.shape)
    (64, 4, 9)
    """
    if length < SHORTEST:
        raise ModelError(f"dna needs {SHORTEST} steps. Received: {length}.", "--model tcn takes any length.")
    places = ((length - 8) // 3 - 4) // 2
    return nn.Sequential(
        OrderedDict(
            motifs=nn.Conv1d(channels, MOTIFS, 9),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool1d(3),
            drop1=nn.Dropout(0.2),
            pairs=nn.Conv1d(MOTIFS, MOTIFS, 5),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool1d(2),
            flatten=nn.Flatten(),
            drop2=nn.Dropout(0.5),
            hidden=nn.Linear(MOTIFS * places, HIDDEN),
            relu3=nn.ReLU(inplace=True),
            drop3=nn.Dropout(0.5),
            output=nn.Linear(HIDDEN, classes),
        )
    )
