"""Principal components against scikit-learn's, and the plain answers that an autoencoder is held against."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn

from striate.data.preprocess import Preprocess
from striate.models.registry import build
from striate.training.codes import codes, components, encoder_of, learnt_on, plain_codes, size_of
from striate.training.reconstruction import Reconstruction


@given(st.integers(2, 30), st.integers(1, 30), st.integers(1, 12), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_components_are_those_of_scikit_learn(n: int, width: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(n, width)) @ random.normal(size=(width, width)) + 3
    found, few = components(values, count), min(count, n, width)
    right = PCA(few, svd_solver="full").fit(values)
    again = right.inverse_transform(right.transform(values))
    np.testing.assert_allclose(found.rebuilt(values), again, atol=1e-4)
    gram = found.axes @ found.axes.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6)


def test_samples_that_are_all_alike_have_no_direction() -> None:
    values = np.full((3, 8), 0.25)
    assert np.isfinite(components(values, 2).axes).all()
    np.testing.assert_allclose(components(values, 2).rebuilt(values), values)


def test_as_many_as_memory_holds_and_evenly() -> None:
    rows = np.arange(100_000)[::-1]
    wide = learnt_on(rows, (3, 64, 64))
    assert 3_000 < len(wide) <= 4_096
    assert len(np.unique(np.diff(wide))) == 1
    assert len(learnt_on(rows, (1, 28, 28))) == 100_000


def test_plain_answers_are_the_mean_and_components_of_the_codes_size() -> None:
    random = np.random.default_rng(0)
    pixels = (random.random((60, 4, 4, 1)) * random.random(16).reshape(4, 4, 1) * 255).astype(np.uint8)
    preprocess = Preprocess(channels=1, size=4, mean=(0.3,), std=(0.2,))
    task, train = Reconstruction((0.3,), (0.2,)), np.arange(40)
    truths = task.truths(pixels, np.zeros(60), np.arange(40, 60), preprocess)
    np.testing.assert_allclose(truths, pixels[40:].transpose(0, 3, 1, 2) / 255, atol=1e-6)
    (mean, pca), said = plain_codes(pixels, train, truths, task=task, preprocess=preprocess, size=5)
    flat, asked = pixels[:40].reshape(40, -1) / 255, pixels[40:].reshape(20, -1) / 255
    right = PCA(5, svd_solver="full").fit(flat)
    errors = [np.square(asked - flat.mean(0)).sum(1).mean()]
    errors += [np.square(asked - right.inverse_transform(right.transform(asked))).sum(1).mean()]
    assert [mean.scores["squared_error"], pca.scores["squared_error"]] == pytest.approx(errors, rel=1e-4)
    assert pca.name == "PCA of 5 numbers"
    assert said is not None
    assert said.shape == truths.shape
    assert len(plain_codes(pixels, train, truths, task=task, preprocess=preprocess, size=None)[0]) == 1


def test_codes_are_what_the_encoder_says_in_order() -> None:
    torch.manual_seed(0)
    network = build("autoencoder-9-3", channels=2, size=4)
    encoder = encoder_of(network)
    assert encoder is network.encoder
    assert size_of(encoder, (2, 4, 4)) == 3
    pixels = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 2), dtype=np.uint8)
    preprocess, rows = (
        Preprocess(channels=2, size=4, low=(0.0,) * 2, high=(255.0,) * 2),
        np.arange(299, 0, -1),
    )
    found = codes(encoder, pixels, rows, preprocess)
    with torch.no_grad():
        right = encoder(torch.from_numpy(pixels[rows].transpose(0, 3, 1, 2) / 255).float())
    np.testing.assert_allclose(found, right.numpy(), atol=1e-5)
    assert encoder_of(nn.Linear(2, 2)) is None
