"""The spectrogram front end: against numpy and torch.stft, on sounds whose spectrum is known, and shifted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from striate.errors import ModelError
from striate.ops.spectrum import (
    LogMel,
    PowerSpectrum,
    dft_kernels,
    frames,
    hann,
    hertz,
    mel,
    mel_filters,
    most_mels,
)

RATE, WINDOW, HOP = 8000, 200, 80


def noise(samples: int, *, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(batch, 1, samples, generator=torch.Generator().manual_seed(seed))


def sine(frequency: float, samples: int = 2000) -> Tensor:
    return torch.sin(2 * math.pi * frequency / RATE * torch.arange(samples))[None, None]


@pytest.mark.parametrize("window", [64, 101, 200])
def test_equals_numpys_fft_of_each_windowed_frame(window: int) -> None:
    x = noise(1000, batch=2)
    ours = PowerSpectrum(window, 50)(x).numpy()
    taper = (1 - np.cos(2 * np.pi * np.arange(window) / window)) / 2
    scale = (taper**2).sum()
    starts = range(0, 1000 - window + 1, 50)
    assert ours.shape == (2, window // 2 + 1, len(starts))
    for k, start in enumerate(starts):
        frame = x[:, 0, start : start + window].numpy().astype(float)
        right = np.abs(np.fft.rfft(frame * taper)) ** 2 / scale
        assert ours[:, :, k] == pytest.approx(right, rel=1e-4, abs=1e-5)


def test_equals_torch_stft_without_centring() -> None:
    x = noise(3000, batch=3)
    window = torch.hann_window(WINDOW)
    theirs = torch.stft(x[:, 0], WINDOW, HOP, WINDOW, window, center=False, return_complex=True)
    right = theirs.abs().square() / window.square().sum()
    torch.testing.assert_close(PowerSpectrum(WINDOW, HOP)(x), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bin_", [5, 25, 77])
def test_a_sine_peaks_at_its_bin_with_the_power_that_a_hann_window_leaves(bin_: int) -> None:
    power = PowerSpectrum(WINDOW, HOP)(sine(bin_ * RATE / WINDOW))
    assert (power.argmax(1) == bin_).all()
    # |sum w e^0| / 2 = W / 4 of a sine at a bin; its neighbours get half the amplitude; all else nothing.
    right = (WINDOW / 4) ** 2 / (3 / 8 * WINDOW)
    assert power[0, bin_].numpy() == pytest.approx(right, rel=1e-4)
    assert power[0, bin_ + 1].numpy() == pytest.approx(right / 4, rel=1e-3)
    assert power[0, bin_ + 2 :].amax().item() < 1e-6 * right


def test_parseval() -> None:
    x = noise(WINDOW, batch=50).double()
    kernels = dft_kernels(WINDOW)
    real, imaginary = torch.nn.functional.conv1d(x, kernels).chunk(2, 1)
    power = (real.square() + imaginary.square())[:, :, 0]
    twice = torch.full((101,), 2.0, dtype=torch.float64)  # each bin but the first and the last stands for two
    twice[[0, -1]] = 1
    energy = (x[:, 0] * hann(WINDOW)).square().sum(1) / hann(WINDOW).square().mean()
    torch.testing.assert_close((power * twice).sum(1), energy)


def test_white_noise_of_variance_1_has_power_1_in_every_bin() -> None:
    power = PowerSpectrum(WINDOW, WINDOW)(noise(WINDOW * 4000)).mean(2)[0]
    inner = power[2:-2]  # the ends are real, and leak
    assert inner.numpy() == pytest.approx(1.0, abs=0.1)
    assert inner.mean().item() == pytest.approx(1.0, abs=0.01)


@given(samples=st.integers(1, 500), window=st.integers(2, 60), hop=st.integers(1, 40))
def test_frames_are_counted_as_they_are_made(samples: int, window: int, hop: int) -> None:
    count = frames(samples, window, hop)
    if samples < window:
        assert count < 1
    else:
        assert PowerSpectrum(window, hop)(torch.zeros(1, 1, samples)).shape[2] == count
        assert frames(torch.tensor([samples]), window, hop).tolist() == [count]


def test_frame_k_is_frame_0_from_its_sample_on() -> None:
    front, x = LogMel(RATE), noise(1600)
    whole = front(x)
    for k in range(whole.shape[2]):
        torch.testing.assert_close(front(x[..., k * HOP :])[..., 0], whole[..., k], rtol=1e-5, atol=1e-5)


def test_what_comes_before_or_after_moves_no_frame() -> None:
    front, x = LogMel(RATE), noise(1600)
    around = torch.cat([100 * noise(10 * HOP, seed=1), x, 100 * noise(900, seed=2)], dim=2)
    torch.testing.assert_close(front(around)[..., 10:28], front(x), rtol=1e-5, atol=1e-5)


@given(st.floats(0, 2e4))
def test_mel_and_hertz_are_inverse(frequency: float) -> None:
    there = torch.tensor(frequency, dtype=torch.float64)
    assert hertz(mel(there)).item() == pytest.approx(frequency, abs=1e-6)


@given(st.sampled_from([4000, 8000, 11025, 16000, 22050, 44100, 48000]), st.data())
def test_each_filter_is_a_triangle_that_sums_to_1_with_its_peak_where_it_belongs(
    rate: int, data: st.DataObject
) -> None:
    window = round(rate * 0.025)
    mels = data.draw(st.integers(1, most_mels(window, rate)))
    filters = mel_filters(mels, window, rate)
    assert filters.shape == (mels, window // 2 + 1)
    torch.testing.assert_close(filters.sum(1), torch.ones(mels, dtype=torch.float64))
    spacing = rate / window
    corners = np.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), mels + 2)
    peaks = 700 * (10 ** (corners / 2595) - 1)
    for row, below, peak, above in zip(filters, peaks[:-2], peaks[1:-1], peaks[2:], strict=True):
        inside = row.nonzero().flatten() * spacing
        assert below < inside.min().item() <= inside.max().item() < above + 1e-9
        assert abs(row.argmax().item() * spacing - peak) <= spacing
    with pytest.raises(ModelError, match="finer than a window"):
        mel_filters(most_mels(window, rate) + 1, window, rate)


def test_flat_noise_has_the_same_level_in_every_band() -> None:
    log_mel = LogMel(RATE, floor=0.0)(noise(RATE * 60)).exp().mean(2)[0]
    assert log_mel[1:].numpy() == pytest.approx(1.0, abs=0.1)


def test_silence_is_the_floor_and_twice_the_power_is_log_2_louder() -> None:
    front = LogMel(RATE, floor=1e-4)
    assert front(torch.zeros(1, 1, 400)).numpy() == pytest.approx(math.log(1e-4))
    front = LogMel(RATE, floor=0.0)
    louder = front(math.sqrt(2) * noise(400)) - front(noise(400))
    assert louder.numpy() == pytest.approx(math.log(2), abs=1e-4)


def test_nothing_in_it_is_learnt_or_saved() -> None:
    assert not list(LogMel(RATE).parameters())
    assert not LogMel(RATE).state_dict()


def test_gradients_reach_the_sound() -> None:
    x = noise(400).double().requires_grad_()
    assert torch.autograd.gradcheck(LogMel(RATE, mels=4).double(), x)
