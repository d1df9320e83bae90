"""Autoencoders: what goes in comes out in the same shape, and a code of the asked size is between."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.errors import ModelError
from striate.models.autoencoder import Autoencoder, autoencoder, autoencoder_conv
from striate.models.registry import build


@given(
    st.sampled_from(["autoencoder", "autoencoder_relu", "autoencoder_linear", "autoencoder_conv"]),
    st.integers(1, 4),
    st.integers(1, 8),
    st.integers(1, 9),
)
@settings(max_examples=30, deadline=None)
def test_any_channels_size_and_code(name: str, channels: int, half: int, code: int) -> None:
    model = build(f"{name}-12-{code}", channels=channels, size=2 * half)
    x = torch.randn(3, channels, 2 * half, 2 * half)
    assert isinstance(model, Autoencoder)
    assert model(x).shape == x.shape
    assert model.encoder(x).shape == (3, code)


def test_a_sequence_of_fixed_length_comes_back() -> None:
    x = torch.randn(2, 3, 50)
    model = build("autoencoder-20-4", channels=3, length=50)
    assert model(x).shape == x.shape


def test_the_linear_one_is_linear_and_the_others_are_not() -> None:
    x, y = torch.randn(2, 5, 1, 6, 6)
    for name, linear in {"autoencoder_linear-4": True, "autoencoder-9-4": False}.items():
        model = build(name, channels=1, size=6)
        about_zero = model(x + y) - model(x) - model(y) + model(torch.zeros_like(x))
        assert (about_zero.abs().max() < 1e-5) == linear


def test_hidden_layers_are_logistic_and_the_code_is_linear_as_in_the_paper() -> None:
    model = autoencoder()
    kinds = [type(module).__name__ for module in (*model.encoder, *model.decoder)]
    half = ["Linear", "Sigmoid"] * 3 + ["Linear"]
    assert kinds == ["Flatten", *half, *half, "Unflatten"]


def test_sigmoids_start_as_a_network_of_tanh() -> None:
    """Else each layer's output is nearly the same for every input, and training stands still."""
    torch.manual_seed(0)
    sigmoids = autoencoder(size=8, widths=(30, 20, 5))
    torch.manual_seed(0)
    tanh = autoencoder(size=8, widths=(30, 20, 5), nonlinearity=nn.Tanh)
    x = torch.randn(9, 1, 8, 8)
    torch.testing.assert_close(sigmoids(x), tanh(x), rtol=1e-4, atol=1e-5)
    assert sigmoids(x).std(0).mean() > 0.1


def test_the_last_kernels_cover_every_place_equally_often() -> None:
    model = autoencoder_conv(channels=1, size=32)
    last = model.decoder[-1]
    assert isinstance(last, nn.ConvTranspose2d)
    with torch.no_grad():
        last.weight.fill_(1.0)
        assert last.bias is not None
        last.bias.zero_()
        inner = last(torch.ones(1, 32, 8, 8))[0, 0, 1:-1, 1:-1]
    assert inner.unique().numel() == 1


def test_halvings_as_far_as_the_side_is_even_and_an_odd_side_refused() -> None:
    assert [len([m for m in autoencoder_conv(1, size).encoder if isinstance(m, nn.Conv2d)]) for size in
            (30, 28, 64, 96)] == [1, 2, 3, 3]  # fmt: skip
    with pytest.raises(ModelError, match="29 pixels only 0 times"):
        autoencoder_conv(size=29)
    with pytest.raises(ModelError, match="28 pixels only 2 times"):
        autoencoder_conv(size=28, widths=(4, 8, 16, 5))
