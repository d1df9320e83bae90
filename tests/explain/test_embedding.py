"""The last features, laid flat, and nearest neighbours: equal to plain computations of the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain import features, flattened, nearest
from striate.explain.layers import batches


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 4), nn.Linear(4, 2)

    def penultimate(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu(self.hidden(self.conv(x).mean((2, 3))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(F.dropout(self.penultimate(x), 0.5, self.training))
        return y


def test_features_are_what_the_last_dense_layer_is_given() -> None:
    net, x = Functional(), torch.randn(10, 1, 6, 6)
    expected = net.penultimate(x).detach()
    torch.testing.assert_close(features(net, x), expected)
    torch.testing.assert_close(features(net, batches(x, 3)), expected)
    assert net.training


def test_a_classifier_that_is_a_convolution_has_the_mean_over_places() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    x = torch.randn(4, 1, 6, 6)
    torch.testing.assert_close(features(net, x), net[:2](x).mean((2, 3)).detach())


def test_a_network_without_weights_has_no_features() -> None:
    with pytest.raises(ModelError, match="no dense layer"):
        features(nn.Flatten(), torch.zeros(1, 1, 2))
    with pytest.raises(ModelError, match="no pictures"):
        features(Functional(), iter([]))


def test_pca_is_the_singular_vectors_projection() -> None:
    values = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)
    flat = flattened(values)
    u, s, _ = np.linalg.svd((values - values.mean(0)).numpy(), full_matrices=False)
    np.testing.assert_allclose(np.abs(flat), np.abs(u[:, :2] * s[:2]), rtol=1e-4, atol=1e-4)


def test_tsne_keeps_groups_together_and_repeats() -> None:
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 10, generator=draw) * 20
    values = (centres[:, None] + torch.randn(3, 15, 10, generator=draw)).flatten(0, 1)
    flat = flattened(values, "tsne", 1)
    assert np.array_equal(flat, flattened(values, "tsne", 1))
    groups = flat.reshape(3, 15, 2)
    inside = np.linalg.norm(groups - groups.mean(1, keepdims=True), axis=2).max()
    apart = min(np.linalg.norm(groups[a].mean(0) - groups[b].mean(0)) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 2 * inside


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("how", ["pca", "tsne"])
@pytest.mark.parametrize("width", [1, 3])
def test_few_pictures_are_laid_flat_too(count: int, how: str, width: int) -> None:
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    flat = flattened(values, how)  # type: ignore[arg-type]
    assert flat.shape == (count, 2)
    assert np.isfinite(flat).all()


def test_pictures_that_are_all_the_same_lie_in_one_point() -> None:
    assert not flattened(torch.ones(5, 3)).any()


def test_neighbours_are_those_of_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.explain.embedding.CHUNK", 7)
    draw = torch.Generator().manual_seed(0)
    known, asked = torch.randn(100, 8, generator=draw), torch.randn(20, 8, generator=draw)
    numbers, distances = nearest(known, asked, 4)
    rule = NearestNeighbors(n_neighbors=4, metric="cosine").fit(known.numpy())
    expected_distances, expected = rule.kneighbors(asked.numpy())
    assert np.array_equal(numbers.numpy(), expected)
    np.testing.assert_allclose(distances.numpy(), expected_distances, atol=1e-6)


def test_a_picture_is_its_own_nearest_neighbour_whatever_its_brightness() -> None:
    known = torch.randn(10, 5, generator=torch.Generator().manual_seed(0))
    numbers, distances = nearest(known, 3 * known, 20)
    assert numbers.shape == (10, 10)
    assert numbers[:, 0].tolist() == list(range(10))
    assert distances[:, 0].max() < 1e-6
