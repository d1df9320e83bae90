"""Codes: what an autoencoder makes of its input in its middle, and principal components to hold it to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from striate.runs.forward import outputs
from striate.training.baseline import Answer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.training.reconstruction import Reconstruction
    from striate.training.task import Prepared

VALUES = 2**27  # that components are fitted on: 512 MB
WIDE = 4096  # samples, where each has more values than that
CHUNK = 4096


def encoder_of(model: nn.Module) -> nn.Module | None:
    """Give the part of a network that makes the code, its attribute `encoder`; None without one."""
    encoder = getattr(model, "encoder", None)
    return encoder if isinstance(encoder, nn.Module) else None


def codes(
    encoder: nn.Module, pixels: NDArray[Any], rows: NDArray[Any], preprocess: Prepared, device: str = "cpu"
) -> NDArray[np.float32]:
    """Encode some rows of the pixels, as they are: (len(rows), K) float32.   device: of the encoder."""
    found = outputs(encoder, pixels, rows, preprocess, precision="float32", device=device)
    return np.asarray(found.flatten(1).numpy())


@dataclass(frozen=True, eq=False)
class Components:
    """The directions along which values vary most. mean: (D,).   axes: (K, D), orthonormal, widest first."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def codes(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Give the place of each sample along the axes: (N, ...) -> (N, K)."""
        return np.asarray(_centred(values.reshape(len(values), -1), self.mean) @ self.axes.T)

    def rebuilt(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Say each sample again from its K numbers: (N, ...) -> (N, ...)."""
        said = np.empty(values.shape, np.float32)
        for start in range(0, len(values), CHUNK):
            some = slice(start, start + CHUNK)
            flat = self.codes(values[some]) @ self.axes + self.mean
            said[some] = flat.reshape(said[some].shape)
        return said


def components(values: NDArray[Any], count: int) -> Components:
    """Find the principal components of values (N, ...), N >= 1; fewer than ``count`` where N or D is less.

    No linear code of so many numbers has a smaller squared error on these samples (Pearson 1901). A value
    that is NaN, the padding of a sequence, counts as the mean of the others.

    >>> components(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]), 1).rebuilt(np.array([[3.0, 6.0]])).round(4)
    array([[3., 6.]], dtype=float32)
    """
    flat = values.reshape(len(values), -1)
    known = ~np.isnan(flat)
    mean = np.where(known, flat, 0).sum(0, dtype=np.float64) / np.maximum(known.sum(0), 1)
    count = min(count, *flat.shape)
    few = len(flat) < flat.shape[1]
    axes = _by_samples(_centred(flat, mean), count) if few else _by_values(flat, mean, count)
    return Components(mean, np.ascontiguousarray(axes))


def _centred(flat: NDArray[Any], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.nan_to_num(flat - mean))


def _by_values(flat: NDArray[Any], mean: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Take the widest axes of the matrix between values, (D, D), summed up in pieces."""
    products = np.zeros((flat.shape[1], flat.shape[1]))
    for start in range(0, len(flat), CHUNK):
        centred = _centred(flat[start : start + CHUNK], mean)
        products += centred.T @ centred
    return _widest(products, count)[1].T


def _by_samples(centred: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Take them from the matrix between samples, which is the smaller one: each axis is a sum of samples."""
    widths, vectors = _widest(centred @ centred.T, count)
    varies = widths > 1e-12 * widths[0]
    axes = np.zeros((count, centred.shape[1]))
    axes[varies] = (centred.T @ vectors[:, varies] / np.sqrt(widths[varies])).T
    return axes


def _widest(matrix: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.linalg import eigh

    widths, vectors = eigh(matrix, subset_by_index=(len(matrix) - count, len(matrix) - 1))
    return widths[::-1], vectors[:, ::-1]


def learnt_on(rows: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Choose the rows that components are fitted on, evenly taken: all where they are not too many."""
    most = WIDE if math.prod(shape) > WIDE else VALUES // math.prod(shape)
    return np.sort(rows)[:: max(1, math.ceil(len(rows) / most))]


def size_of(encoder: nn.Module, shape: tuple[int, ...]) -> int:
    """Count the numbers of a code. shape: of an input, without the batch."""
    training = encoder.training
    where = next((p.device for p in encoder.parameters()), None)
    with torch.no_grad():
        code = encoder.eval()(torch.zeros(1, *shape, device=where))
    encoder.train(training)
    return int(code.numel())


def plain_codes(
    pixels: NDArray[Any],
    train: NDArray[np.int64],
    truths: NDArray[Any],
    *,
    task: Reconstruction,
    preprocess: Prepared,
    size: int | None,
) -> tuple[list[Answer], NDArray[np.float32] | None]:
    """Score two plain ways to say a sample again: the mean one, and its place along principal components.

    train: rows of the pixels to learn from, clean.   truths: (N, ...) values to say again.
    size: numbers of the code that they are held against; None leaves the second away.
    Returns: the answers, and what the components say (N, ...), or None.
    """
    learnt = task.truths(pixels, train, learnt_on(train, preprocess.shape), preprocess)
    found = components(learnt, size or 1)
    constant = np.broadcast_to(found.mean.reshape(truths.shape[1:]).astype(np.float32), truths.shape)
    answers = [Answer("Always saying the mean", task.score(constant, truths).summary())]
    if size is None:
        return answers, None
    said = found.rebuilt(truths)
    return [*answers, Answer(f"PCA of {size} numbers", task.score(said, truths).summary())], said
