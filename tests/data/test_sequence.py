import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from striate.data.preprocess import from_json
from striate.data.sequence import FULL, Sequences, enough, measured
from striate.ops.sequence import lengths

SOUND = Sequences(modality="sound", channels=1, length=6, rate=8000, dtype="int16")
LETTERS = Sequences(modality="symbols", channels=3, length=5, alphabet="abc", dtype="uint8")
SERIES = Sequences(modality="series", channels=2, length=5, mean=(1.0, 0.0), std=(2.0, 1.0))


def tensor(how: Sequences, *raw: np.ndarray) -> torch.Tensor:
    stored = np.stack([how.pixels(each) for each in raw])
    assert stored.shape[1:] == how.stored
    return how.tensor(torch.from_numpy(stored).movedim(-1, 1))


def test_a_sound_is_padded_with_silence_and_cut_at_its_end() -> None:
    short, long = np.array([[16384], [-8192]], np.int16), np.full((9, 1), 100, np.int16)
    x = tensor(SOUND, short, long)
    assert x.shape == (2, *SOUND.shape)
    assert x[0, 0].tolist() == [0.5, -0.25, 0, 0, 0, 0]
    torch.testing.assert_close(x[1, 0], torch.full((6,), 100 / FULL))
    assert lengths(x).tolist() == [2, 6]


def test_letters_are_one_hot_padding_is_nothing_and_an_unknown_letter_may_be_any() -> None:
    x = tensor(LETTERS, np.array([[1], [3], [4]], np.uint8))
    expected = torch.tensor([[1.0, 0, 1 / 3, 0, 0], [0, 0, 1 / 3, 0, 0], [0, 1, 1 / 3, 0, 0]])
    torch.testing.assert_close(x[0], expected)
    assert lengths(x).tolist() == [3]


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.just(2)), elements=st.sampled_from([0, 1, -2.5])
    )
)
def test_a_true_step_of_a_series_is_never_taken_for_padding(raw: np.ndarray) -> None:
    x = tensor(SERIES, raw)
    assert lengths(x).tolist() == [len(raw)]
    expected = (raw - np.array(SERIES.mean)) / np.array(SERIES.std)
    np.testing.assert_allclose(x[0, :, : len(raw)].T, expected, atol=1e-6)
    assert not x[0, :, len(raw) :].any()


def test_sounds_are_scaled_by_the_deviation_of_what_is_no_padding() -> None:
    stored = np.stack([SOUND.pixels(np.array([[3], [-4], [0], [5]], np.int16) * 1000)])
    found = measured(SOUND, stored, np.array([0]))
    assert found.mean == (0.0,)
    assert found.std[0] == pytest.approx(1000 * np.sqrt((9 + 16 + 25) / 4) / FULL)
    x = found.tensor(torch.from_numpy(stored).movedim(-1, 1))
    assert x[0, 0, :4].square().mean().item() == pytest.approx(1, rel=1e-5)


def test_series_are_scaled_by_channel_and_zeros_and_ones_stay() -> None:
    draw = np.random.default_rng(0)
    raw = [draw.normal((5, -3), (2, 0.1), (n, 2)).astype(np.float32) for n in (3, 5, 4)]
    found = measured(SERIES, np.stack([SERIES.pixels(r) for r in raw]), np.arange(3))
    every = np.concatenate(raw)
    np.testing.assert_allclose(found.mean, every.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.std, every.std(0), rtol=1e-5)
    assert not found.binary
    rolls = measured(SERIES, np.stack([SERIES.pixels((r > 0).astype(np.float32)) for r in raw]), np.arange(3))
    assert (rolls.binary, rolls.mean, rolls.std) == (True, (0.0, 0.0), (1.0, 1.0))


def test_a_length_holds_nearly_all() -> None:
    assert enough(np.arange(1, 101)) == 100
    assert enough(np.array([100] * 500 + [10_000])) == 100


@pytest.mark.parametrize("how", [SOUND, LETTERS, SERIES], ids=lambda how: how.modality)
def test_it_comes_back_from_json(how: Sequences) -> None:
    import json

    assert from_json(json.loads(json.dumps(how.json()))) == how
