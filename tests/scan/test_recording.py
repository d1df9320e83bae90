"""A classifier of sounds along a recording: the answers of windows cut by hand, whatever the pieces."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from striate.errors import ModelError
from striate.models.recurrent import gru
from striate.models.tcn import tcn
from striate.ops.sequence import last_step, lengths, masked, max_over_time, mean_over_time
from striate.scan import fully_convolutional
from striate.scan.alarm import Peak, Peaks, log_odds, threshold_for
from striate.scan.stream import Ear, Hearing, hearing, off_by, windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTH = 100


class Spoken(nn.Module):
    """A strided front and two convolutions over time, and one of many endings; ``padding`` in the second."""

    def __init__(self, ending: str, padding: int = 0) -> None:
        super().__init__()
        self.front, self.first = nn.Conv1d(1, 6, 9, stride=4), nn.Conv1d(6, 5, 3, dilation=2)
        self.norm, self.second = nn.BatchNorm1d(5), nn.Conv1d(5, 8, 3, padding=padding)
        self.ending, self.pool = ending, nn.AdaptiveAvgPool1d(1)
        steps = (LENGTH - 9) // 4 + 1 - 4 - 2 + 2 * padding
        self.dense = nn.Linear({"flattened": 8 * steps, "pooled by 2": 8 * (steps // 2)}.get(ending, 8), 3)
        self.vector = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        n = (lengths(x) - 9) // 4 + 1 - 6
        h = F.relu(self.norm(self.first(torch.log1p(self.front(x) ** 2))))
        h = F.relu(self.second(h))
        match self.ending:
            case "flattened":
                h = h.flatten(1)
            case "pooled by 2":
                h = F.max_pool1d(h, 2).flatten(1)
            case "adaptive":
                h = self.pool(h).squeeze(-1)
            case "mean":
                h = h.mean(-1)
            case "maximum":
                h = h.amax(dim=2)
            case "true mean":
                h = mean_over_time(masked(h, n), n)
            case "true maximum":
                h = max_over_time(h, n)
            case "true last":
                h = last_step(h, n)
        return self.vector(self.dense(h))  # type: ignore[no-any-return]


ENDINGS = (
    "flattened", "pooled by 2", "adaptive", "mean", "maximum", "true mean", "true maximum", "true last",
)  # fmt: skip


def lively(model: nn.Module) -> nn.Module:
    """Give a network running statistics that are nobody's defaults; in evaluation mode."""
    random = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) + (0.1 if "running_var" in name else -0.5))
    return model.eval()


def noise(steps: int, seed: int = 1) -> Tensor:
    return torch.randn(1, steps, generator=torch.Generator().manual_seed(seed))


def in_pieces(x: Tensor, cuts: Sequence[int]) -> list[Tensor]:
    places = sorted({min(cut, x.shape[1]) for cut in cuts})
    return [x[:, a:b] for a, b in zip([0, *places], [*places, x.shape[1]], strict=True)]


def heard(way: Hearing, pieces: list[Tensor]) -> Tensor:
    """Hear a recording in pieces and join the answers."""
    ear = Ear(way)
    answers = [ear.hear(piece) for piece in pieces]
    return torch.cat([some for some in answers if some is not None], 1)


def by_hand(model: nn.Module, x: Tensor, hop: int) -> Tensor:
    """Cut out every window."""
    with torch.no_grad():
        starts = range(0, x.shape[1] - LENGTH + 1, hop)
        windows = torch.stack([x[:, start : start + LENGTH] for start in starts])
        return model(windows).T  # type: ignore[no-any-return]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_answers_as_windows_cut_by_hand(ending: str) -> None:
    model, x = lively(Spoken(ending)), noise(333)
    way = hearing(model, (1, LENGTH))
    assert (way.mode, way.hop, way.window) == ("exact", 8 if ending == "pooled by 2" else 4, LENGTH)
    found = heard(way, [x])
    assert torch.allclose(found, by_hand(model, x, way.hop), rtol=1e-5, atol=1e-5)


@cache
def ways(ending: str) -> tuple[Hearing, Hearing]:
    """Give a network as one form, and by windows."""
    model = lively(Spoken(ending))
    return hearing(model, (1, LENGTH)), hearing(model, (1, LENGTH), hop=35)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6), st.sampled_from(["true mean", "flattened"]))
def test_pieces_of_any_length_give_what_the_whole_gives(cuts: list[int], ending: str) -> None:
    x = noise(700)
    for way in ways(ending):
        whole = heard(way, [x])
        pieces = heard(way, in_pieces(x, cuts))
        assert torch.allclose(pieces, whole, rtol=1e-5, atol=1e-5)


def test_a_network_that_pads_inside_is_heard_by_windows_unless_asked_otherwise() -> None:
    model, x = lively(Spoken("mean", padding=1)), noise(400)
    way = hearing(model, (1, LENGTH))
    assert (way.mode, way.hop) == ("windows", LENGTH // 20)
    assert way.difference is not None
    assert way.difference > 1e-3
    found = heard(way, [x])
    assert torch.allclose(found, by_hand(model, x, 5), rtol=1e-5, atol=1e-5)
    rough = hearing(model, (1, LENGTH), approximate=True)
    assert (rough.mode, rough.hop) == ("approximate", 4)
    assert 1e-5 < off_by(rough, model, x) < 0.5
    assert off_by(hearing(lively(Spoken("mean")), (1, LENGTH)), lively(Spoken("mean")), x) < 1e-5


def test_a_causal_network_that_answers_at_the_last_step_is_exact_where_it_sees_no_padding() -> None:
    class Causal(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.dilation, self.conv = dilation, nn.Conv1d(1, 3, 3, dilation=dilation)

        def forward(self, x: Tensor) -> Tensor:
            return last_step(self.conv(F.pad(x, (2 * self.dilation, 0))), lengths(x))

    model, x = lively(Causal(40)), noise(150)
    way = hearing(model, (1, LENGTH))
    assert (way.mode, way.hop) == ("exact", 1)
    found = heard(way, [x])
    assert torch.allclose(found, by_hand(model, x, 1), rtol=1e-5, atol=1e-5)
    assert hearing(lively(Causal(60)), (1, LENGTH)).mode == "windows"


def test_a_tcn_whose_weights_are_normed_is_exact() -> None:
    model, x = lively(tcn(classes=3, kernel=3, levels=3, hidden=6)), noise(150)  # sees 29 steps
    way = hearing(model, (1, LENGTH))
    assert (way.mode, way.hop) == ("exact", 1)
    assert torch.allclose(heard(way, [x]), by_hand(model, x, 1), rtol=1e-5, atol=1e-5)


def test_a_recurrent_network_is_heard_by_windows_at_once() -> None:
    model, x = lively(gru(classes=3, channels=1, widths=(4,))), noise(150)
    way = hearing(model, (1, LENGTH))  # its form's stride would be measured on 430,000 steps, for minutes
    assert (way.mode, way.hop) == ("windows", LENGTH // 20)
    assert "recurrent" in way.reason
    assert torch.allclose(heard(way, [x]), by_hand(model, x, 5), rtol=1e-5, atol=1e-5)


def test_strides_of_normed_weights_slide_too() -> None:
    normed = weight_norm(nn.Conv1d(1, 4, 8, stride=8))
    model = lively(nn.Sequential(normed, nn.Flatten(), nn.Linear(4 * 12, 3)))
    way, x = hearing(model, (1, LENGTH)), noise(150)
    assert (way.mode, way.hop) == ("exact", 8)
    assert torch.allclose(heard(way, [x]), by_hand(model, x, 8), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_followed_is_heard_by_windows_and_says_why() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.dense = nn.GRU(1, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.dense(self.cell(x.transpose(1, 2))[0][:, -1])  # type: ignore[no-any-return]

    model = lively(Recurrent())
    way = hearing(model, (1, LENGTH))
    assert way.mode == "windows"
    assert way.reason
    found = heard(hearing(model, (1, LENGTH), hop=10), [noise(150)])
    assert torch.equal(windows_of(model, noise(150), LENGTH, 10), found)
    with pytest.raises(ModelError, match="cannot be made fully convolutional"):
        hearing(model, (1, LENGTH), approximate=True)


def test_a_recording_shorter_than_a_window_has_no_answer() -> None:
    ear = Ear(hearing(lively(Spoken("mean")), (1, LENGTH)))
    assert ear.hear(noise(60)) is None
    assert ear.hear(noise(39)) is None
    answers = ear.hear(noise(1))
    assert answers is not None
    assert answers.shape == (3, 1)


def test_the_mean_over_a_network_s_window_is_not_over_the_mask() -> None:
    """A window that ends in zeros is silence to the form, and padding to the network itself."""
    model = lively(Spoken("true mean"))
    form = fully_convolutional(model, noise(LENGTH)[None])
    x = noise(LENGTH)[None]
    x[..., 60:] = 0
    with torch.no_grad():
        assert not torch.allclose(form(x)[..., 0], model(x), atol=1e-3)
        x[..., 60:] = 1e-12  # which is how a scan tells silence from padding
        assert torch.allclose(form(x)[..., 0], model(x), atol=1e-5)


def test_log_odds_tell_apart_what_probabilities_do_not() -> None:
    odds = log_odds(torch.tensor([[20.0, 25.0, 0.0], [0.0, 0.0, 0.0]]))
    assert odds[0].tolist() == pytest.approx([20, 25, 0], abs=1e-3)
    assert odds[1].tolist() == pytest.approx([-20, -25, 0], abs=1e-3)
    assert log_odds(torch.tensor([[1e4], [0.0]])).tolist() == [[36.0], [-36.0]]


def plainly(odds: Tensor, apart: int) -> list[Peak]:
    """Find peaks as the words say it."""
    found = []
    for place in range(odds.shape[1]):
        for unit, line in enumerate(odds.tolist()):
            before = line[max(0, place - apart) : place]
            after = line[place + 1 : place + 1 + apart]
            if all(line[place] > other for other in before) and all(line[place] >= other for other in after):
                first = last = place
                while first > max(0, place - apart) and line[first - 1] >= line[place] - 4:
                    first -= 1
                while last < min(len(line) - 1, place + apart) and line[last + 1] >= line[place] - 4:
                    last += 1
                found.append(Peak(unit, place, line[place], (first + last) / 2))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-6, 6), min_size=2, max_size=2), max_size=30),
    st.lists(st.integers(0, 40), max_size=5),
    st.integers(1, 8),
)
def test_peaks_in_pieces_are_those_that_the_definition_gives(
    values: list[list[int]], cuts: list[int], apart: int
) -> None:
    odds = torch.tensor(values, dtype=torch.float64).reshape(-1, 2).T
    peaks, found = Peaks(apart), []
    *before, last = in_pieces(odds, cuts)
    for piece in before:
        found += peaks.feed(piece)
    found += peaks.feed(last, last=True)
    assert found == plainly(odds, apart)


@settings(deadline=None)
@given(
    st.lists(st.floats(-30, 30), max_size=60), st.floats(0.1, 60), st.floats(0, 5)
)  # peaks, minutes, alarms a minute
def test_a_threshold_keeps_to_its_rate_and_is_the_lowest_that_does(
    odds: list[float], minutes: float, rate: float
) -> None:
    chosen = threshold_for(odds, minutes, rate)
    assert chosen.alarms == sum(value >= chosen.odds for value in odds) <= rate * minutes
    beyond = sorted({value for value in odds if value < chosen.odds}, reverse=True)[:1]
    for value in beyond:  # one step lower, and there are too many
        assert sum(other >= value for other in odds) > int(rate * minutes)
    # The bounds are those at which a count as extreme as this has a chance of 2.5 %.
    assert poisson.cdf(chosen.alarms, chosen.high * minutes) == pytest.approx(0.025, rel=1e-6)
    if chosen.alarms:
        assert poisson.sf(chosen.alarms - 1, chosen.low * minutes) == pytest.approx(0.025, rel=1e-6)
