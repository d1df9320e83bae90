"""ReLU and pooling in one pass against the two in turn: values, ties and gradients, to the last bit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.native.pool import ReLUMaxPool


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(1, 3),
    channels=st.sampled_from([1, 6, 16, 20]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    padding=st.integers(0, 2),
    up=st.booleans(),
    relu=st.booleans(),
    whole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_one_after_the_other(
    n: int,
    channels: int,
    height: int,
    width: int,
    kernel: int,
    stride: int,
    padding: int,
    up: bool,
    relu: bool,
    whole: bool,
    seed: int,
) -> None:
    padding = min(padding, kernel // 2)
    if min(height, width) + 2 * padding < kernel:
        return
    torch.manual_seed(seed)
    x = torch.randn(n, channels, height, width)
    x = x.round() if whole else x  # many ties: the first one gets the gradient
    own, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    before = F.relu(other) if relu else other
    expected = F.max_pool2d(before, kernel, stride, padding, ceil_mode=up)
    size = (expected.shape[2], expected.shape[3])
    y = ReLUMaxPool.apply(own, size, kernel, stride, padding, relu)  # type: ignore[no-untyped-call]
    assert torch.equal(y, expected)
    g = torch.randn_like(expected)
    torch.autograd.backward([y, expected], [g, g])
    torch.testing.assert_close(own.grad, other.grad, rtol=1e-6, atol=1e-6)


def test_no_number_stays_no_number() -> None:
    x = torch.randn(1, 16, 4, 4)
    x[0, 2, 0, 0] = float("nan")
    y = ReLUMaxPool.apply(x, (2, 2), 2, 2, 0, True)  # type: ignore[no-untyped-call]
    assert y[0, 2, 0, 0].isnan()
    assert y.isnan().sum() == 1
