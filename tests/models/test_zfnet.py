"""ZFNet's sizes, and its switches: each maximum goes back to where it came from."""

from __future__ import annotations

import pytest
import torch

import striate
from striate.models.zfnet import SwitchPool, zfnet


@pytest.mark.parametrize("name", ["zfnet", "zfnet_wide"])
def test_maps_are_as_large_as_in_figure_3(name: str) -> None:
    rows = striate.inspect(name).layers
    sides = [r.output[1] for r in rows if r.name.startswith(("conv", "pool"))]
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]


@pytest.mark.parametrize("padding", [0, 1])
def test_unpooling_puts_each_maximum_back(padding: int) -> None:
    torch.manual_seed(0)
    pool = SwitchPool(padding)
    x = torch.randn(2, 3, 11, 14)
    without = pool(x)
    assert not hasattr(pool, "switches")
    pool.keep_switches = True
    y = pool(x)
    assert torch.equal(y, without)
    back = pool.unpool(y)
    assert back.shape == x.shape
    kept = back != 0
    assert torch.equal(back[kept], x[kept])
    # Every maximum is somewhere, and nothing else is.
    assert set(back[kept].tolist()) == set(y.flatten().tolist())


def test_another_signal_goes_back_by_the_same_switches() -> None:
    pool = SwitchPool()
    pool.keep_switches = True
    pool(torch.tensor([[[[0.0, 1.0, 0.0], [0.0, 0.0, 9.0], [0.0, 0.0, 0.0]]]]))
    assert pool.unpool(torch.tensor([[[[7.0]]]]))[0, 0].tolist() == [[0, 0, 0], [0, 0, 7], [0, 0, 0]]


def test_a_whole_network_keeps_them_when_asked() -> None:
    with torch.device("meta"):
        network = zfnet()
        pools = [module for module in network.modules() if isinstance(module, SwitchPool)]
        for pool in pools:
            pool.keep_switches = True
        network(torch.empty(2, 3, 224, 224))
    assert [tuple(pool.switches.shape) for pool in pools] == [
        (2, 96, 55, 55),
        (2, 256, 13, 13),
        (2, 256, 6, 6),
    ]
    assert [pool.pixels for pool in pools] == [[110, 110], [26, 26], [13, 13]]


def test_any_size_from_53_pixels() -> None:
    with torch.device("meta"):
        network = zfnet()
        assert network(torch.empty(1, 3, 53, 60)).shape == (1, 1000)
        with pytest.raises(RuntimeError, match="too small"):
            network(torch.empty(1, 3, 52, 60))
