"""Occlusion: against captum, on a planted cause, and in the form that is fast."""

from __future__ import annotations

import pytest
import torch
from captum import attr
from torch import Tensor, nn

from striate import explain
from striate.errors import ModelError
from striate.explain import occlude
from striate.runs.fused import fused
from tests.explain.nets import pictures, sound, spelled

TARGETS = torch.tensor([1, 4, 0])


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (4, 4), (5, 3), ((3, 6), (2, 5)), (12, 1)])
def test_it_is_captums_also_where_the_last_window_overhangs(
    window: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    model, x = spelled(), pictures()
    blank = x.mean((2, 3), keepdim=True)
    wide, step = ((3, each, each) if isinstance(each, int) else (3, *each) for each in (window, stride))
    theirs = attr.Occlusion(model).attribute(x, wide, step, blank, TARGETS)
    found = explain.occlusion(model, x, TARGETS, window=window, stride=stride)
    torch.testing.assert_close(found, theirs[:, :1], rtol=0, atol=1e-5)
    theirs = attr.Occlusion(model).attribute(x, wide, step, 0.5, TARGETS)
    found = explain.occlusion(model, x, TARGETS, window=window, stride=stride, fill=0.5)
    torch.testing.assert_close(found, theirs[:, :1], rtol=0, atol=1e-5)


def test_series_too() -> None:
    x = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0))
    theirs = attr.Occlusion(sound()).attribute(x, (2, 5), (2, 3), 0.0, 1)
    found = explain.occlusion(sound(), x, 1, window=5, stride=3, fill=0.0)
    torch.testing.assert_close(found, theirs[:, :1], rtol=0, atol=1e-5)


class Cause(nn.Module):
    """Its score is the light in one window of 5 by 5."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 11:16, 4:9].sum((1, 2, 3))[:, None]


def test_the_planted_cause_is_the_largest() -> None:
    x = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0)) + 1
    found = explain.occlusion(Cause(), x, 0, window=5, stride=1, fill=0.0)
    for one in found[:, 0]:
        assert divmod(int(one.argmax()), 20) == (13, 6)
    assert found[:, :, :6].abs().max() == 0


def test_the_fast_form_gives_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = spelled("in place").train(), pictures()
    plain = explain.occlusion(model, x, 0)
    monkeypatch.setattr(occlude, "WORTH", 0)
    made: list[nn.Module] = []

    def noted(*given: object) -> nn.Module:
        made.append(fused(*given))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(occlude, "fused", noted)
    fast = explain.occlusion(model, x, 0)
    assert len(made) == 1
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-4 * float(plain.abs().max()) + 1e-6)
    assert all(module.training for module in model.modules())


def test_low_precision_gives_nearly_the_same_map() -> None:
    model, x = spelled(), pictures()
    exact = explain.occlusion(model, x, TARGETS)
    rough = explain.occlusion(model, x, TARGETS, precision="bfloat16")
    assert not torch.equal(rough, exact)
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(("window", "stride"), [(13, 1), (4, 5), (0, 0), (4, 0)])
def test_windows_that_do_not_cover_the_picture_are_refused(window: int, stride: int) -> None:
    with pytest.raises(ModelError, match="does not cover a side of 12"):
        explain.occlusion(spelled(), pictures(), window=window, stride=stride)
