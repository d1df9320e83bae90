"""Fused batch normalisation against the operations one by one, in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.native.norm import NormReLU


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 9),
    channels=st.sampled_from([16, 32, 48, 512]),
    side=st.integers(3, 12),
    shortcut=st.booleans(),
    relu=st.booleans(),
    mean=st.sampled_from([0.0, 5.0, -300.0]),
    seed=st.integers(0, 1000),
)
def test_equals_one_after_the_other(
    n: int, channels: int, side: int, shortcut: bool, relu: bool, mean: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = (torch.randn(n, channels, side, side) + mean).contiguous(memory_format=torch.channels_last)
    other, gradient = torch.randn_like(x), torch.randn_like(x)
    own = [t.clone().requires_grad_() for t in (x, other, torch.randn(channels), torch.randn(channels))]
    exact = [t.detach().double().requires_grad_() for t in own]
    y, found_mean, found_variance = NormReLU.apply(  # type: ignore[no-untyped-call]
        own[0], own[1] if shortcut else None, own[2], own[3], 1e-5, relu
    )
    expected = F.batch_norm(exact[0], None, None, exact[2], exact[3], training=True, eps=1e-5)
    expected = expected + exact[1] if shortcut else expected
    expected = F.relu(expected) if relu else expected
    # Where an output is zero but for rounding, the ReLU of the two may differ: no gradient goes there.
    gradient = gradient * ((expected.detach().abs() > 1e-3) | (not relu))
    y.backward(gradient)
    expected.backward(gradient.double())  # type: ignore[no-untyped-call]
    scale = 1 + abs(mean)  # digits that a large mean takes
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=2e-6 * scale)
    torch.testing.assert_close(found_mean.double(), exact[0].mean((0, 2, 3)), rtol=1e-5, atol=1e-5)
    variance = exact[0].var((0, 2, 3), correction=0)
    torch.testing.assert_close(found_variance.double(), variance, rtol=1e-3 * scale, atol=1e-5 * scale)
    for mine, theirs in zip(own, exact, strict=True):
        if theirs.grad is not None:
            assert mine.grad is not None
            distance = (mine.grad.double() - theirs.grad).norm()
            assert distance <= 1e-4 * scale * theirs.grad.norm() + 1e-5 * scale


def test_no_number_stays_no_number() -> None:
    x = torch.randn(2, 16, 3, 3)
    x[0, 5, 1, 1] = float("nan")
    y, _, _ = NormReLU.apply(  # type: ignore[no-untyped-call]
        x, None, torch.ones(16), torch.zeros(16), 1e-5, True
    )
    assert y[:, 5].isnan().all()
    assert not y[:, :5].isnan().any()
