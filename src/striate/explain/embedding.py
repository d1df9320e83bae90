"""How a network sees pictures just before it decides: its last features, laid flat, and who is near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate import taps
from striate.errors import ModelError
from striate.explain.layers import batches, still

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import nn

PERPLEXITY = 30.0  # neighbours that t-SNE keeps near; fewer where there are few pictures
CHUNK = 1024  # pictures whose distances to all others are held at a time


def features(model: nn.Module, pictures: Tensor | Iterable[Tensor]) -> Tensor:
    """Give what the last layer with a matrix of weights is given: (N, D) float32, on the CPU.

    pictures: (N, C, ...) as the network takes them, or batches of them.   A classifier that is a convolution
    has its input averaged over the places.   Raises ModelError without such a layer, or without pictures.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> features(net, torch.zeros(3, 2, 4)).shape
    torch.Size([3, 5])
    """
    found = []
    for x in batches(pictures):
        given: list[tuple[Tensor, bool]] = []

        def note(call: taps.Call, given: list[tuple[Tensor, bool]] = given) -> None:
            weight = getattr(call.module, "weight", None)
            if isinstance(weight, Tensor) and weight.dim() > 1 and call.arguments:
                given[:] = [(call.arguments[0], weight.dim() == 2)]

        with torch.no_grad(), still(model), taps.calls(model, note, lambda _: None):
            model(x)
        if not given:
            raise ModelError("The network has no dense layer or convolution.", "It has no features to give.")
        found.append(_flat(given[0][0].float().cpu(), len(x), dense=given[0][1]))
    if not found:
        raise ModelError("There are no pictures to give features of.", "Give at least one.")
    return torch.cat(found)


def flattened(features: Tensor, how: Literal["pca", "tsne"] = "pca", seed: int = 0) -> NDArray[np.float32]:
    """Lay features (N, D) out flat: (N, 2), the same for the same seed.

    pca: the two directions along which they vary most, distances true as far as two can tell.
    tsne: neighbours stay together, and distances between groups mean nothing (van der Maaten and Hinton 2008,
    Visualizing data using t-SNE); of fewer than 5 pictures there is only the first.

    >>> flattened(torch.eye(3)).shape
    (3, 2)
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    values = features.numpy().astype(np.float64)
    count, width = values.shape
    if how == "tsne" and count >= 5:
        perplexity = min(PERPLEXITY, (count - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, init="random" if width < 2 else "pca", random_state=seed)
        return np.asarray(tsne.fit_transform(values), np.float32)
    flat = np.zeros((count, 2), np.float32)
    if (axes := min(2, count, width)) and np.ptp(values, 0).any():
        flat[:, :axes] = PCA(axes, svd_solver="full").fit_transform(values)
    return flat


def nearest(known: Tensor, asked: Tensor, count: int = 5) -> tuple[Tensor, Tensor]:
    """Find for each picture the known ones whose features point the same way most.

    known: (M, D).   asked: (N, D).   Returns: their numbers (N, count), nearest first, and their cosine
    distances, 0 to 2; fewer where M is smaller.

    >>> nearest(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0]]), 1)
    (tensor([[1]]), tensor([[0.]]))
    """
    known = F.normalize(known.float(), dim=1)
    numbers, distances = [], []
    for part in batches(F.normalize(asked.float(), dim=1), CHUNK):
        found = (1 - part @ known.T).clamp_min(0).topk(min(count, len(known)), largest=False)
        numbers.append(found.indices)
        distances.append(found.values)
    return torch.cat(numbers), torch.cat(distances)


def _flat(given: Tensor, count: int, *, dense: bool) -> Tensor:
    """Average a convolution's input over its places, and a dense layer's over its tokens: (N, D)."""
    if dense:
        return given.reshape(count, -1, given.shape[-1]).mean(1)
    return given.reshape(count, given.shape[1], -1).mean(2)
