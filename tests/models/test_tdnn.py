"""The networks for sound: nothing behind a sound's end moves an answer, and units move with it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import striate
from striate.errors import ModelError
from striate.models.m5 import M3, M11, M18, m5
from striate.models.registry import build
from striate.models.tdnn import TimeDelay, tdnn, tdnn_1989
from striate.runs import weights
from striate.scan.convolutional import fully_convolutional


def sound(length: int, *, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(batch, 1, length, generator=torch.Generator().manual_seed(seed))


def settled(network: nn.Module) -> nn.Module:
    """Give norms that change something, as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            module.running_mean.normal_(generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(generator=generator)
    return network.eval()


NARROW = partial(m5, widths=((4,), (4, 4), (8,), (8, 8), (8,)))


@pytest.mark.parametrize("made", [tdnn, NARROW], ids=["tdnn", "m5"])
@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 3000), zeros=st.integers(0, 2000))
def test_zeros_behind_the_end_move_no_answer(
    made: Callable[..., nn.Module], samples: int, zeros: int
) -> None:
    torch.manual_seed(0)
    network = settled(made(length=8000))
    short = nn.functional.pad(sound(samples), (0, max(0, 2000 - samples)))
    with torch.no_grad():
        longer = network(nn.functional.pad(short, (0, zeros)))
        torch.testing.assert_close(longer, network(short), rtol=1e-4, atol=1e-5)


def test_what_is_true_in_a_batch_is_true_alone() -> None:
    network = settled(tdnn())
    batch = torch.zeros(3, 1, 8000)
    for row, samples in enumerate((8000, 3000, 2100)):
        batch[row, :, :samples] = sound(samples, batch=1, seed=row)
    with torch.no_grad():
        together = network(batch)
        for row, samples in enumerate((8000, 3000, 2100)):
            alone = network(batch[row : row + 1, :, :samples])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_the_window_of_a_unit_is_the_one_that_inspect_measures(rate: int) -> None:
    network = tdnn(rate=rate, length=rate)
    assert isinstance(network, TimeDelay)
    rows = striate.inspect(network, (1, rate)).layers
    found = next(row.receptive_field for row in rows if row.name == "blocks.3.conv")
    assert found is not None
    assert (found.size, found.stride, found.offset) == ((network.field,), (network.stride,), (0,))


def test_units_move_with_the_sound() -> None:
    network = settled(tdnn())
    assert isinstance(network, TimeDelay)
    x = sound(8000)

    def units(x: Tensor) -> Tensor:
        return network.blocks(network.norm(network.mel(x)))  # type: ignore[no-any-return]

    with torch.no_grad():
        whole = units(x)
        for k in (1, 7, 20):
            moved = units(x[..., k * network.stride :])
            torch.testing.assert_close(moved, whole[..., k:], rtol=1e-4, atol=1e-4)


def test_slid_over_a_recording_it_says_what_it_says_of_each_window() -> None:
    network = settled(tdnn())
    recording = sound(12_000, batch=1)
    with torch.no_grad():
        slid = fully_convolutional(network, sound(8000, batch=1))(recording)
        for k in range(0, slid.shape[2], 9):
            window = recording[..., k * 160 : k * 160 + 8000]
            torch.testing.assert_close(slid[..., k], network(window), rtol=1e-4, atol=1e-4)


def test_the_papers_network_adds_up_its_units_over_time() -> None:
    torch.manual_seed(0)
    network = tdnn_1989()
    x = torch.randn(2, 16, 15)
    first, second = network.hidden1, network.hidden2
    assert isinstance(first, nn.Conv1d)
    assert isinstance(second, nn.Conv1d)
    assert first.bias is not None
    assert second.bias is not None
    evidence = torch.zeros(2, 3)
    for t in range(9):  # by hand: unit by unit and frame by frame
        hidden = torch.stack(
            [
                torch.sigmoid(torch.einsum("nck,hck->nh", x[:, :, u : u + 3], first.weight) + first.bias)
                for u in range(t, t + 5)
            ],
            dim=2,
        )
        evidence += torch.sigmoid(torch.einsum("nhk,ohk->no", hidden, second.weight) + second.bias)
    torch.testing.assert_close(network(x), evidence)


@pytest.mark.parametrize(
    ("widths", "millions"), [(M3, 0.2), (M11, 1.8), (M18, 3.7)], ids=["m3", "m11", "m18"]
)
def test_as_many_parameters_as_table_1_prints(widths: tuple[tuple[int, ...], ...], millions: float) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in m5(widths=widths).parameters())
    assert round(count / 1e6, 1) == millions


def test_each_pooling_leaves_a_quarter_as_in_table_1() -> None:
    with torch.device("meta"):
        network = m5()
    rows = striate.inspect(network, (1, 32_000)).layers
    assert [row.output[-1] for row in rows if row.kind == "MaxPool1d"] == [2000, 500, 125, 32]


def test_weights_come_back_and_the_front_end_is_made_anew(tmp_path: Path) -> None:
    network = settled(tdnn())
    path = tmp_path / "model.safetensors"
    weights.write(path, network.state_dict(), {})
    tensors, _ = weights.read(path)
    other = tdnn().eval()
    other.load_state_dict(tensors)
    assert not any(name.startswith("mel") for name in tensors)
    x = sound(8000)
    with torch.no_grad():
        assert torch.equal(network(x), other(x))


def test_a_folder_of_tones_is_learnt_through_the_front_door(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, pitch in (("low", 300), ("high", 1800)):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for number in range(24):
            samples = int(random.integers(2400, 4000))
            tone = np.sin(2 * np.pi * (pitch * random.uniform(0.9, 1.1)) / 8000 * np.arange(samples))
            with wave.open(f"{tmp_path}/tones/{name}/{number}.wav", "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((9000 * tone + random.normal(0, 300, samples)).astype("<i2").tobytes())
    run = striate.train(tmp_path / "tones", epochs=6, tune="off", out=tmp_path / "run")
    assert run.info["model"] == "tdnn"
    assert run.metrics["test"]["accuracy"] == 1


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ModelError, match=r"tdnn needs 1960 samples at 8,000 Hz. Received: 1959"):
        build("tdnn", channels=1, length=1959, rate=8000)
    with pytest.raises(ModelError, match="nothing to tell apart at 100 Hz"):
        tdnn(length=1000, rate=100)
    with pytest.raises(ModelError, match="one channel of sound"):
        build("tdnn", channels=2, length=8000, rate=8000)
    with pytest.raises(ModelError, match="7 frames"):
        build("tdnn_1989", channels=16, length=6)
    with pytest.raises(ModelError, match="80 samples"):
        build("m5", channels=1, length=79)
