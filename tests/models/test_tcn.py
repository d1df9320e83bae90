"""The temporal convolutional network looks back only, as far as the paper's formula says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import striate
from striate.models.tcn import TemporalConvolutional, tcn
from striate.runs import weights

SETTINGS = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.booleans())


def built(**how: Any) -> TemporalConvolutional:
    torch.manual_seed(0)
    network = tcn(**how).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter)  # larger than at the start, so that nothing is too small to be seen
    return network


@settings(max_examples=40)
@given(SETTINGS, st.integers(0, 11))
def test_no_output_moves_when_what_comes_later_changes(setting: tuple[int, int, int, bool], now: int) -> None:
    kernel, levels, hidden, same = setting
    network = built(
        classes=2, channels=hidden if same else 3, kernel=kernel, levels=levels, hidden=hidden, every=True
    )
    x = torch.randn(2, hidden if same else 3, 12, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, now:] += torch.randn(2, 1, 12 - now, dtype=torch.float64)
    assert torch.equal(network(x)[:, :, :now], network(changed)[:, :, :now])


@pytest.mark.parametrize(("kernel", "levels"), [(2, 1), (3, 2), (3, 4), (5, 3)])
def test_receptive_field_is_the_papers_inspects_and_the_gradients(kernel: int, levels: int) -> None:
    field = 1 + 2 * (kernel - 1) * (2**levels - 1)
    network = built(classes=2, channels=2, kernel=kernel, levels=levels, hidden=3, every=True)
    found = striate.inspect(network, (2, field + 20)).layers[-1].receptive_field
    assert found is not None
    assert (found.size, found.stride, found.offset) == ((field,), (1,), (1 - field,))

    x = torch.randn(1, 2, field + 20, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()  # so that no ReLU is shut, and no path from input to output
    network(x.abs())[0, 0, -1].backward()
    assert x.grad is not None
    seen = x.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert int(seen[-1]) == field + 19
    assert int(seen[0]) == 20


def test_receptive_fields_are_the_published(architectures: dict[str, Any]) -> None:
    for entry in architectures["tcn"]["params"]:
        kernel, levels, *_ = numbers_of(entry["variant"])
        assert entry["receptive_field"] == 1 + 2 * (kernel - 1) * (2**levels - 1)


def numbers_of(variant: str) -> list[int]:
    """Read k, n and hidden from 'JSB k=3 n=2 hidden 150 (paper: 300K)'."""
    words = variant.split("k=")[1].replace("n=", "").replace("hidden ", "").split()
    return [int(word) for word in words[:3]]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 3))
def test_a_padded_sequence_has_the_answer_that_it_has_alone(steps: list[int], beyond: int) -> None:
    network = built(classes=3, channels=2, kernel=3, levels=2, hidden=4)
    generator = torch.Generator().manual_seed(sum(steps))
    sequences = [torch.randn(2, n, dtype=torch.float64, generator=generator) for n in steps]
    x = torch.stack([F.pad(one, (0, max(steps) + beyond - one.shape[1])) for one in sequences])
    alone = torch.cat([network(one[None]) for one in sequences])
    torch.testing.assert_close(network(x), alone, rtol=1e-10, atol=1e-12)


def test_a_block_is_the_papers() -> None:
    """Worked out here from weights and gains: two causal convolutions, ReLU, and the shortcut."""
    network = built(classes=2, channels=2, kernel=3, levels=2, hidden=4, every=True)
    x = torch.randn(2, 2, 10, dtype=torch.float64)
    state = network.state_dict()

    def convolved(x: Tensor, name: str, dilation: int) -> Tensor:
        gain, direction, bias = (
            state[f"{name}.{part}"]
            for part in ("parametrizations.weight.original0", "parametrizations.weight.original1", "bias")
        )
        weight = gain * direction / direction.flatten(1).norm(dim=1)[:, None, None]
        y = torch.zeros(2, 4, 10, dtype=x.dtype) + bias[:, None]
        for t in range(10):
            for tap in range(3):
                if (before := t - (2 - tap) * dilation) >= 0:
                    y[:, :, t] += x[:, :, before] @ weight[:, :, tap].T
        rectified: Tensor = y.relu()
        return rectified

    h = x
    for i, dilation in enumerate((1, 2)):
        body = convolved(h, f"blocks.{i}.body.conv1", dilation)
        body = convolved(body, f"blocks.{i}.body.conv2", dilation)
        if i == 0:
            w, b = state["blocks.0.shortcut.weight"], state["blocks.0.shortcut.bias"]
            h = torch.einsum("oc,ncl->nol", w[:, :, 0], h) + b[:, None]
        h = (h + body).relu()
    torch.testing.assert_close(network.blocks(x), h)


def test_weights_start_as_torch_draws_them_and_every_one_learns() -> None:
    torch.manual_seed(0)
    network = tcn(classes=3, channels=2, kernel=3, levels=2, hidden=40)
    first, shortcut = (
        network.get_submodule(name).weight for name in ("blocks.1.body.conv1", "blocks.0.shortcut")
    )
    assert isinstance(first, Tensor)
    assert isinstance(shortcut, Tensor)
    assert first.std().item() == pytest.approx((3 * 40 * 3) ** -0.5, rel=0.05)  # uniform, +- 1 / sqrt(fan in)
    assert shortcut.std().item() == pytest.approx(0.01, rel=0.2)
    network(torch.randn(4, 2, 20)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_gains_and_directions_go_through_a_file_bit_by_bit(tmp_path: Path) -> None:
    network, other = built(channels=2, levels=2), tcn(channels=2, levels=2).double().eval()
    weights.write(tmp_path / "model.safetensors", network.state_dict())
    weights.fill(other, weights.read(tmp_path / "model.safetensors")[0], tmp_path)
    x = torch.randn(2, 2, 30, dtype=torch.float64)
    assert torch.equal(network(x), other(x))
