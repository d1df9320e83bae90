"""A few real steps: seconds, memory, and what cannot be trained."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.summary.inspect import inspect
from striate.summary.result import Inspected
from striate.training import measure
from striate.training.measure import loss_of, measured, real_step
from striate.training.optim import RULES


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def test_the_figures_of_an_epoch_follow_from_those_of_a_step() -> None:
    found = inspect(small(), (1, 6, 6), batch=4)
    for pictures, epoch in ((0, 1000), (60_000, 60_000)):
        told = measured(found, small(), pictures).measured
        assert told is not None
        assert told.pictures_per_second == pytest.approx(4 / told.seconds_per_step)
        assert told.seconds_per_epoch == pytest.approx(epoch * told.seconds_per_step / 4)
        assert (told.epoch, told.of_run) == (epoch, pictures > 0)
        assert told.predicted_growth == found.memory.resident


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_a_step_and_moves_nothing_by_itself(rule: str) -> None:
    network = nn.Linear(4, 3)
    before = network.weight.detach().clone()
    seconds, growth = real_step(network, torch.randn(5, 4), optimizer=rule)
    assert seconds > 0
    assert growth >= 0
    assert torch.equal(network.weight, before)
    assert network.weight.grad is not None


class Returns(nn.Module):
    """A network that returns what it is told to."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.layer, self.make = nn.Linear(4, 3), make

    def forward(self, x: Tensor) -> Any:
        """Give what is asked for."""
        return self.make(self.layer(x))


def test_outputs_of_any_form_make_one_loss() -> None:
    y = torch.ones(2, 4)  # nothing is learned yet: the logarithm of the number of classes
    assert float(loss_of(y)) == pytest.approx(math.log(4))
    several = {"a": y, "b": [2 * y, torch.tensor([7])], "c": None}  # whole numbers have no gradient
    assert float(loss_of(several)) == pytest.approx(2 * math.log(4))
    assert float(loss_of(torch.tensor([1.0, 3.0]))) == 2
    found = inspect(Returns(lambda y: {"a": y, "b": (y, y)}), (4,), batch=2)
    assert measured(found, Returns(lambda y: {"a": y, "b": (y, y)})).measured is not None


def test_words_and_other_precisions_are_given_their_own_inputs() -> None:
    words = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 2))
    assert measured(inspect(words, (5,), batch=3), words).measured is not None
    double = small().double()
    assert measured(inspect(double, (1, 6, 6), batch=3), double).measured is not None


@pytest.mark.parametrize(
    ("network", "shape", "batch", "why"),
    [
        (nn.ReLU(), (3,), 2, "ReLU cannot be trained at batch 2: "),
        (nn.BatchNorm1d(3), (3,), 1, "cannot be trained at batch 1: Expected more than 1 value per channel"),
        (Returns(lambda y: y.detach()), (4,), 2, "Returns cannot be trained at batch 2: "),
        (Returns(lambda y: y.long()), (4,), 2, "Returns cannot be trained at batch 2: "),
        (nn.Linear(3, 2, device="meta"), (3,), 2, "Linear has no numbers, only shapes."),
    ],
)
def test_what_cannot_be_trained_says_so(
    network: nn.Module, shape: tuple[int, ...], batch: int, why: str
) -> None:
    with pytest.raises(ModelError) as caught:
        measured(inspect(network, shape, batch=batch), network)
    assert why in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith("Leave --measure away")


def test_more_memory_than_there_is_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspect(nn.Linear(4, 3), (4,), batch=100_000)
    monkeypatch.setattr(measure, "free_memory", lambda: 1000)
    with pytest.raises(ModelError, match=r"A step at batch 100000 needs 0\.0 GB; 0\.0 GB are free\."):
        measured(found, nn.Linear(4, 3))


GROWTH = """
import torch
from torch import nn
from striate.training import measure

measure.SECONDS = 0

class Holds(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
    def forward(self, x):
        return (x.expand(500, 75_000) * self.scale).tanh().mean()  # tensors of 150 MB, 2 to 4 at once

measure.real_step(nn.Linear(2, 2), torch.ones(2, 2))  # what torch itself takes at first
print(measure.real_step(Holds(), torch.ones(1, 1))[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the memory of a process")
def test_the_growth_of_a_step_is_that_of_its_tensors() -> None:
    out = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    assert 300e6 < int(out.stdout) < 650e6


def test_a_system_that_does_not_tell_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert real_step(nn.Linear(4, 3), torch.randn(2, 4))[1] == 0


def test_what_was_found_before_stays() -> None:
    found: Inspected = inspect(nn.Linear(4, 3), (4,))
    told = measured(found, nn.Linear(4, 3))
    assert (told.layers, told.totals, told.memory) == (found.layers, found.totals, found.memory)
