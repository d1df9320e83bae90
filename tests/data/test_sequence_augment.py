"""Changing sequences: what each kind does, that padding stays padding, and whose draws they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.batches import Batches
from striate.data.sequence import Sequences
from striate.data.sequence_augment import SequenceAugment, parse
from striate.errors import RecipeError
from striate.ops.sequence import lengths

SOUND = Sequences(modality="sound", channels=1, length=40, rate=8000, dtype="int16", std=(0.1,))
SERIES = Sequences(modality="series", channels=2, length=40, mean=(5.0, -1.0), std=(2.0, 3.0))
SYMBOLS = Sequences(modality="symbols", channels=4, length=40, alphabet="ACGT", dtype="uint8")
LENGTHS = (7, 25, 40)


def stored(preprocess: Sequences) -> torch.Tensor:
    """Three sequences of unequal lengths that hold 1, 2, 3, ... in every channel: (N, C', L) raw."""
    columns = preprocess.stored[1]
    raw = [np.tile(np.arange(1, n + 1)[:, None], columns) for n in LENGTHS]
    if preprocess.modality == "symbols":
        raw = [values % 4 + 1 for values in raw]
    return torch.from_numpy(np.stack([preprocess.pixels(values) for values in raw])).movedim(2, 1)


def changed(text: str, preprocess: Sequences, epoch: int = 0, samples: Any = (0, 1, 2)) -> torch.Tensor:
    augment = parse(text, preprocess.modality)
    return augment.apply(stored(preprocess), 0, epoch, np.array(samples), preprocess)


def test_place_moves_a_recording_as_a_whole_and_anywhere() -> None:
    starts: list[set[int]] = [set(), set(), set()]
    for epoch in range(400):
        for found, n, seen in zip(changed("place", SOUND, epoch)[:, 0], LENGTHS, starts, strict=True):
            begin = int(np.flatnonzero(found.numpy())[0])
            assert found[begin : begin + n].tolist() == list(range(1, n + 1))
            assert int((found != 0).sum()) == n
            seen.add(begin)
    assert starts == [set(range(40 - n + 1)) for n in LENGTHS]


@pytest.mark.parametrize("preprocess", [SOUND, SERIES, SYMBOLS], ids=lambda p: p.modality)
def test_shift_lets_what_leaves_the_window_go(preprocess: Sequences) -> None:
    raw, seen = stored(preprocess), set()
    for epoch in range(60):
        found = changed("shift=0.1", preprocess, epoch)
        for before, after in zip(raw, found, strict=True):
            matches = [by for by in range(-4, 5) if same(rolled(before, by, preprocess), after)]
            assert matches
            seen.add(matches[0])
    assert seen == set(range(-4, 5))


def rolled(x: torch.Tensor, by: int, preprocess: Sequences) -> torch.Tensor:
    """Move by slices."""
    moved = torch.full_like(x, preprocess.padding)
    if by >= 0:
        moved[:, by:] = x[:, : x.shape[1] - by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Compare stored sequences, whose padding may be NaN."""
    return torch.equal(a.double().nan_to_num(-1), b.double().nan_to_num(-1))


def test_gain_multiplies_what_deviates_from_the_mean() -> None:
    factors = []
    for epoch in range(100):
        found, raw = changed("gain=6", SERIES, epoch), stored(SERIES)
        mean = torch.tensor(SERIES.mean)[:, None]
        factor = (found - mean) / (raw - mean)
        for each in factor:
            kept = each[each.isfinite()]
            torch.testing.assert_close(kept, kept[:1].expand_as(kept))
            factors.append(20 * np.log10(float(kept[0])))
    assert -6 <= min(factors) < -5
    assert 5 < max(factors) <= 6
    loud = changed("gain=6", SOUND)
    assert loud.dtype == torch.float32
    assert torch.equal(lengths(loud), torch.tensor(LENGTHS))


def test_noise_has_the_strength_that_was_asked_for() -> None:
    wide = Sequences(modality="sound", channels=1, length=20_000, rate=8000, dtype="int16", std=(0.1,))
    raw = torch.ones(2, 1, 20_000, dtype=torch.int16)
    found = parse("noise=0.5", "sound").apply(raw, 0, 0, np.array([0, 1]), wide)
    noise = wide.tensor(found) - wide.tensor(raw)
    assert noise.std(2).flatten().tolist() == pytest.approx([0.5, 0.5], rel=0.03)
    assert abs(float(torch.corrcoef(noise[:, 0])[0, 1])) < 0.03


@given(
    st.floats(0, 0.5), st.floats(0, 20), st.floats(0, 1), st.booleans(), st.integers(0, 99),
    st.sampled_from([SOUND, SERIES]),
)  # fmt: skip
def test_padding_stays_padding_whatever_is_done(
    shift: float, gain: float, noise: float, place: bool, epoch: int, preprocess: Sequences
) -> None:
    augment = SequenceAugment(shift=shift, gain=gain, noise=noise, place=place)
    raw = stored(preprocess)
    moved = SequenceAugment(shift=shift, place=place)
    found, still = (
        preprocess.tensor(each.apply(raw, 0, epoch, np.arange(3), preprocess)) for each in (augment, moved)
    )
    assert torch.equal(lengths(found), lengths(still))
    assert found.isfinite().all()
    assert (lengths(found) <= 40).all()


@pytest.mark.parametrize("text", ["place,shift=0.2,gain=6,noise=0.1"])
def test_draws_belong_to_the_sample_not_to_its_place_in_the_batch(text: str) -> None:
    raw = stored(SOUND)[:1].expand(3, -1, -1).clone()
    augment = parse(text, "sound")
    together = augment.apply(raw, 3, 5, np.array([8, 2, 8]), SOUND)
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together[1:2], augment.apply(raw[:1], 3, 5, np.array([2]), SOUND))
    assert not torch.equal(together[1:2], augment.apply(raw[:1], 3, 6, np.array([2]), SOUND))


def test_one_kind_leaves_the_draws_of_the_others_alone() -> None:
    assert torch.equal(changed("place", SOUND).float() != 0, changed("place,gain=3", SOUND) != 0)


def test_batches_change_sequences_by_their_rows() -> None:
    pixels = np.zeros((6, 40, 1), np.int16)
    pixels[:, :5] = 1
    batches = Batches(
        pixels, np.arange(6), np.arange(6), SOUND, batch=6, seed=1, augment=parse("place", "sound")
    )
    batch = batches.at(2, 0)
    alone = parse("place", "sound").apply(
        torch.from_numpy(pixels[:1]).movedim(2, 1), 1, 2, np.array([4]), SOUND
    )
    at = int(np.flatnonzero(batch.index == 4)[0])
    assert torch.equal(batch.inputs[at : at + 1], SOUND.tensor(alone))


@pytest.mark.parametrize(
    ("text", "modality", "message"),
    [
        ("flip", "sound", "'flip' is nothing that can be done to recordings"),
        ("noise=0.1", "symbols", "'noise' is nothing that can be done to letters"),
        ("light", "symbols", "'light' is nothing that can be done to letters"),
        ("strong", "series", "Known: off, light, place"),
        ("shift=0.9", "sound", "shift must be a number from 0 to 0.5"),
        ("shift", "sound", "shift must be a number"),
        ("gain=nan", "sound", "gain must be a number from 0 to 40"),
        ("place=1", "sound", "place takes no value"),
        ("gain=1,gain=2", "sound", "gain is named twice"),
        ("light,gain=2", "sound", "light stands alone"),
    ],
)
def test_what_is_refused(text: str, modality: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse(text, modality)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["off", "place", "place,shift=0.1,gain=6,noise=0.05", "noise=0.5"])
def test_written_as_it_is_read(text: str) -> None:
    assert str(parse(text, "sound")) == text
