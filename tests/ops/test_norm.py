"""Local response normalisation is the formula of 2012, and torch's with n times its alpha."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import ModelError
from striate.ops import local_response


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 7), min_size=3, max_size=4).map(tuple),
    n=st.sampled_from([1, 3, 5, 7]),
    k=st.sampled_from([1.0, 2.0]),
    alpha=st.sampled_from([1e-4, 0.5]),
    beta=st.sampled_from([0.5, 0.75]),
)
def test_is_torchs_with_n_times_its_alpha(
    agree: Callable[..., bool], shape: tuple[int, ...], n: int, k: float, alpha: float, beta: float
) -> None:
    assert agree(
        lambda a: local_response(a, n=n, k=k, alpha=alpha, beta=beta),
        lambda a: F.local_response_norm(a, n, alpha=n * alpha, beta=beta, k=k),
        shape,
    )


def test_is_the_formula_of_the_paper_with_its_numbers() -> None:
    a = torch.randn(2, 7, 3, 2, dtype=torch.float64) * 30
    b = local_response(a)
    for i in range(7):
        near = range(max(0, i - 2), min(6, i + 2) + 1)
        bottom = (2 + 1e-4 * sum(a[:, j] ** 2 for j in near)) ** 0.75
        torch.testing.assert_close(b[:, i], a[:, i] / bottom, rtol=1e-12, atol=0)


def test_refuses_an_even_neighbourhood_and_other_shapes() -> None:
    with pytest.raises(ModelError, match=r"n is not odd.* Received: n=4"):
        local_response(torch.zeros(1, 4, 2, 2), n=4)
    with pytest.raises(ModelError, match=r"n=-1"):
        local_response(torch.zeros(1, 4, 2, 2), n=-1)
    with pytest.raises(ModelError, match=r"Received: x \(4, 2\)"):
        local_response(torch.zeros(4, 2))
