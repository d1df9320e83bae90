"""Distortions along time: what each level does, the padding stays padding, draws follow the key alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.sequence import TINY, Sequences
from striate.ops.sequence import lengths
from striate.stress import in_time
from striate.stress.chance import keys
from striate.stress.distortion import Distortion
from striate.stress.measure import Curve, Curves, Point
from striate.stress.verdict import WORDS_IN_TIME, verdict

SOUND = Sequences(modality="sound", channels=1, length=40, rate=8000)
TEXT = Sequences(modality="symbols", channels=4, length=40, alphabet="ACGT")
SERIES = Sequences(modality="series", channels=3, length=40)
ROLL = Sequences(modality="series", channels=3, length=40, binary=True)
KEYS = keys(0, np.arange(16))


def batch(about: Sequences, ends: int = 30) -> torch.Tensor:
    """Give 16 sequences, of which the last ``40 - ends`` steps are padding."""
    draw = torch.Generator().manual_seed(0)
    if about.modality == "symbols":
        x = torch.eye(4)[torch.randint(4, (16, 40), generator=draw)].movedim(2, 1).contiguous()
    else:
        x = torch.randn(16, about.channels, 40, generator=draw)
    x[..., ends:] = 0
    return x


def test_each_kind_of_sequence_has_the_distortions_that_mean_something_for_it() -> None:
    loud = ["time_shift", "speed", "white_noise", "gain", "gap"]
    assert list(in_time.curves(SOUND)) == loud
    assert list(in_time.curves(SERIES)) == loud
    assert list(in_time.curves(ROLL)) == ["time_shift", "gap"]
    assert list(in_time.curves(TEXT)) == ["letter_shift", "mutation", "gap"]
    assert {one.name for _, one in CASES} == set(WORDS_IN_TIME)


CASES = [(about, one) for about in (SOUND, TEXT, SERIES, ROLL) for one in in_time.curves(about).values()]


@pytest.mark.parametrize(
    ("about", "one"), CASES, ids=[f"{a.modality}{a.binary:d}-{o.name}" for a, o in CASES]
)
def test_the_first_level_changes_nothing_and_the_last_is_the_same_in_any_batch(
    about: Sequences, one: Distortion
) -> None:
    x = batch(about)
    before = x.clone()
    assert torch.equal(one.apply(x, one.identity, KEYS), x)
    level = one.levels(40)[-1]
    together = one.apply(x, level, KEYS)
    assert torch.equal(x, before)
    assert not torch.equal(together, x)
    assert together.shape == x.shape
    assert torch.isfinite(together).all()
    alone = torch.cat([one.apply(x[i : i + 1], level, KEYS[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone)


@given(st.integers(0, 10))
def test_a_shift_moves_by_whole_steps_both_ways(steps: int) -> None:
    x = batch(SOUND)
    found = in_time.shift(x, steps, KEYS, blank=TINY, share=False)
    later, earlier = 0, 0
    for one, was in zip(found[:, 0], x[:, 0], strict=True):
        if torch.equal(one[steps:], was[: 40 - steps]):
            assert (one[:steps] == TINY).all()
            later += 1
        else:
            assert torch.equal(one[: 40 - steps], was[steps:])
            assert not one[40 - steps :].any()
            earlier += 1
    assert later + earlier == 16
    assert steps == 0 or min(later, earlier) > 0


def test_a_shift_brings_unknown_letters_in() -> None:
    found = in_time.curves(TEXT)["letter_shift"].apply(batch(TEXT), 4, KEYS)
    assert {tuple(one[:, 0].tolist()) for one in found if one[0, 0] == 0.25} == {(0.25,) * 4}
    assert set(lengths(found).tolist()) == {26, 34}


@pytest.mark.parametrize("about", [SOUND, TEXT, SERIES], ids=lambda about: about.modality)
def test_a_gap_hides_its_share_within_the_sequence_and_no_sequence_gets_shorter(about: Sequences) -> None:
    x = batch(about)
    found = in_time.curves(about)["gap"].apply(x, 0.2, KEYS)
    assert set((found != x).any(1).sum(1).tolist()) == {6}
    assert set(lengths(found).tolist()) == {30}
    first = (found != x).any(1).float().argmax(1)
    assert len(set(first.tolist())) > 4


def test_noise_has_the_power_that_its_level_says() -> None:
    x = torch.randn(16, 1, 4000) * torch.linspace(0.1, 5, 16)[:, None, None]
    x[..., 3000:] = 0
    noise = in_time.white_noise(x, 10, KEYS) - x
    assert not noise[..., 3000:].any()
    ratio = x.square().sum((1, 2)) / noise.square().sum((1, 2))
    torch.testing.assert_close(10 * ratio.log10(), torch.full((16,), 10.0), atol=0.3, rtol=0)


def test_a_gain_is_decibels_either_way() -> None:
    x = batch(SOUND)
    found = in_time.gain(x, 20, KEYS)
    ratios = (found / x)[..., 0].flatten()
    torch.testing.assert_close(ratios.log10().abs(), torch.ones(16))
    assert len(set(ratios.gt(1).tolist())) == 2


def test_speed_changes_the_period_of_a_sine_and_the_length() -> None:
    time = torch.arange(2000.0)
    x = torch.sin(2 * torch.pi * time / 50)[None, None].repeat(16, 1, 1)
    x[..., 1000:] = 0
    found = in_time.speed(x, 1.25, KEYS)
    for one, n in zip(found[:, 0], lengths(found).tolist(), strict=True):
        faster = n < 1000
        assert n == pytest.approx(1000 / 1.25 if faster else 1250, abs=2)
        spectrum = torch.fft.rfft(one[:700], 7000).abs()
        period = 7000 / int(spectrum.argmax())
        assert period == pytest.approx(40 if faster else 62.5, rel=0.02)


def test_mutations_change_their_share_of_letters_to_others_and_more_at_higher_levels() -> None:
    x = torch.eye(4)[torch.randint(4, (16, 2000), generator=torch.Generator().manual_seed(1))].movedim(2, 1)
    x[:, :, -100:] = 0
    x[:, :, :50] = 0.25
    few, many = (in_time.mutation(x, level, KEYS) for level in (0.1, 0.4))
    changed, more = ((found != x).any(1) for found in (few, many))
    assert changed[:, 50:-100].float().mean() == pytest.approx(0.1, abs=0.01)
    assert more[:, 50:-100].float().mean() == pytest.approx(0.4, abs=0.01)
    assert not changed[:, :50].any()
    assert not changed[:, -100:].any()
    assert (more | ~changed).all()
    assert torch.equal(few.movedim(1, 2)[changed], many.movedim(1, 2)[changed])
    assert set(few.sum(1)[:, 50:-100].flatten().tolist()) == {1.0}


def test_the_verdict_speaks_of_recordings_and_advises_what_sequences_can_be_trained_with() -> None:
    clean = Point(0, 500, 490, 0.9)
    curves = {
        name: Curve(name, "", False, (clean, Point(level, 500, 300, 0.6)))
        for name, level in (("time_shift", 0.1), ("white_noise", 20), ("speed", 1.2))
    }
    told = verdict(
        Curves(clean, curves),
        augment="place,noise=0.02",
        side=8000,
        channels=1,
        run="runs/x",
        modality="sound",
    )
    assert told[0].startswith("A shift by 10% of the window costs 38.0 points")
    assert "--augment place,shift=0.1,noise=0.1 " in told[-2]
    assert told[-1] == "No augmentation makes speed: put such recordings among the training recordings."
