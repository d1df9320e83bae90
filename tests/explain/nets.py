"""Small networks that do the same in different words, and one that has learned something."""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SPELLINGS = ("module", "function", "in place", "relu_", "reused")


class Spelled(nn.Module):
    """Convolution, norm, pooling, convolution, dense; its ReLUs as asked."""

    def __init__(self, spelling: str = "module", channels: int = 3) -> None:
        super().__init__()
        self.spelling = spelling
        self.conv1, self.norm = nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.pool, self.conv2, self.dense = nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.Linear(8 * 4 * 4, 5)
        one = nn.ReLU(inplace=spelling == "in place")
        self.relu1, self.relu2 = one, one if spelling == "reused" else copy.deepcopy(one)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.bent(self.norm(self.conv1(x)), self.relu1))
        scores: Tensor = self.dense(self.bent(self.conv2(x), self.relu2).flatten(1))
        return scores

    def bent(self, x: Tensor, module: nn.Module) -> Tensor:
        if self.spelling == "function":
            return F.relu(x)
        put: Tensor = x.relu_() if self.spelling == "relu_" else module(x)
        return put


def spelled(spelling: str = "module", seed: int = 0) -> Spelled:
    """Give the same weights in any spelling, in evaluation; the norm has statistics of its own."""
    generator = torch.Generator().manual_seed(seed)
    model = Spelled(spelling).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        assert model.norm.running_mean is not None
        assert model.norm.running_var is not None
        model.norm.running_mean.copy_(torch.randn(6, generator=generator))
        model.norm.running_var.copy_(torch.rand(6, generator=generator) + 0.5)
    return model


def pictures(count: int = 3, seed: int = 1) -> Tensor:
    """Give noise (count, 3, 12, 12)."""
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def sound() -> nn.Module:
    """Build a network for (N, 2, 32)."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(2, 4, 5),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(4, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 3),
    ).eval()


@cache
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """Train a network of seven layers on the digits (over 90 %); give it with 12 others and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.from_numpy(data.images).float()[:, None] / 8 - 1
    y = torch.from_numpy(data.target)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in ((1, 8), (8, 8), (8, 16), (16, 16), (16, 16)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        model = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(16 * 64, 32), nn.ReLU(inplace=True), nn.Linear(32, 10)
        )
        optimizer = torch.optim.Adam(model.parameters(), 4e-3)
        for _ in range(3):
            for some in torch.split(torch.randperm(1500), 64):
                optimizer.zero_grad()
                F.cross_entropy(model(x[some]), y[some]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    model.eval()
    with torch.no_grad():
        right = (model(x[1500:]).argmax(1) == y[1500:]).float().mean().item()
    assert right > 0.9, right
    return model, x[1500:1512], y[1500:1512]
