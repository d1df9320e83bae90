"""The first layers around a window alone give what the whole network gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from striate.explain import occlude
from striate.explain.partial import Partial, Reach
from striate.runs.fused import fused
from tests.explain.nets import pictures, spelled


class Residual(nn.Module):
    """A stem of total stride 4, a residual block, and what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(16)
        self.pool, self.conv1 = nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.conv2, self.down = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, stride=4)
        self.dense = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.norm(self.stem(x))))
        x = F.relu(self.conv2(F.relu(self.conv1(x))) + x)
        scores: Tensor = self.dense(F.relu(self.down(x)).mean((2, 3)))
        return scores


def parted(model: nn.Module, x: Tensor) -> tuple[fx.GraphModule, Partial]:
    traced = fused(model.eval(), x[:1]).program
    assert isinstance(traced, fx.GraphModule)
    return traced, Partial(traced, x)


@pytest.mark.parametrize(("window", "stride"), [(8, 8), (12, 7), (40, 12), (96, 1), ((5, 30), (5, 20))])
def test_every_window_gives_what_the_whole_network_gives(
    window: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 96, 96)
    spans = occlude.windows((96, 96), window, stride)
    with torch.no_grad():
        traced, partial = parted(Residual(), x)
        for first in range(0, len(spans), 32):
            some = spans[first : first + 32]
            rows = [(first + i) % 2 for i in range(len(some))]
            scenes = x[rows]
            for scene, span in zip(scenes, some, strict=True):
                scene[(slice(None), *span)] = 3.0
            torch.testing.assert_close(partial(scenes, rows, some), traced(scenes), rtol=0, atol=1e-5)


def test_it_parts_the_network_after_the_block_and_knows_its_receptive_field() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        _, partial = parted(Residual(), x)
    assert partial.whole.shape == (1, 16, 24, 24)
    # 7, then 3 at every 2, then two of 3 at every 4: 1 + 6 + 2 * 2 + 2 * 2 * 4 = 27 pixels.
    assert partial.reach == (Reach(4, 13, 13),) * 2


def test_a_network_that_cannot_be_parted_says_so() -> None:
    traced = fx.symbolic_trace(nn.Sequential(nn.Flatten(), nn.Linear(432, 3)))
    with pytest.raises(ValueError, match="cannot be parted"):
        Partial(traced, pictures())


def test_the_map_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = Residual().eval(), torch.randn(1, 3, 96, 96)
    plain = occlude.occlusion(model, x, 1, window=32, stride=20)
    called: list[int] = []
    monkeypatch.setattr(occlude, "WORTH", 0)
    monkeypatch.setattr(Partial, "__call__", _noted(called))
    torch.testing.assert_close(occlude.occlusion(model, x, 1, window=32, stride=20), plain, rtol=0, atol=1e-5)
    assert len(called) > 2
    assert occlude.occlusion(spelled(), pictures()).shape == (3, 1, 12, 12)


def _noted(called: list[int]) -> object:
    real = Partial.__call__

    def call(self: Partial, *given: object) -> Tensor:
        called.append(1)
        return real(self, *given)  # type: ignore[arg-type]

    return call
