"""A network to train is nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.data.batches import Batch
from striate.data.preprocess import Preprocess
from striate.errors import ModelError
from striate.models.googlenet import googlenet, googlenet_2014
from striate.summary.memory import step as predicted
from striate.training import task as tasks
from striate.training.lower import lowered
from striate.training.measure import real_step
from striate.training.step import fitting_model, training_step, try_out

if TYPE_CHECKING:
    from pathlib import Path

GREY = Preprocess(channels=1, size=8)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module that holds a network, and give the network's name."""
    (tmp_path / "held_network.py").write_text(
        "from torch import nn\n\nnetwork = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "held_network:network"


def test_a_network_found_by_its_name_is_trained_as_a_copy(named: str) -> None:
    task = tasks.untrained("classification", ("a", "b"))
    model = fitting_model(named, task, GREY, seed=0)
    import held_network  # type: ignore[import-not-found]

    assert model is not held_network.network
    model(torch.ones(2, 1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert held_network.network[2].weight.any()
    assert int(held_network.network[0].num_batches_tracked) == 0


def test_a_network_that_is_given_is_trained_as_a_copy() -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    assert fitting_model(own, tasks.untrained("classification", ("a", "b")), GREY, seed=0) is not own


# ---- auxiliary classifiers -----------------------------------------------------------------------------

TASK = tasks.untrained("classification", ("a", "b"))


class WithHeads(nn.Module):
    """Three classifiers of the same inputs; in training all three speak."""

    def __init__(self, **attributes: float) -> None:
        super().__init__()
        self.main, self.first, self.second = (nn.Linear(3, 2) for _ in range(3))
        vars(self).update(attributes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        return (self.main(x), self.second(x), self.first(x)) if self.training else self.main(x)


@pytest.mark.parametrize(("attributes", "weight"), [({}, 0.3), ({"auxiliary_weight": 0.5}, 0.5)])
@pytest.mark.parametrize("mixed", [False, True])
def test_auxiliary_losses_count_by_their_weight_and_only_in_the_gradient(
    attributes: dict[str, float], weight: float, mixed: bool
) -> None:
    torch.manual_seed(0)
    model, x, y, other = WithHeads(**attributes), torch.randn(4, 3), torch.tensor([0, 1, 1, 0]), torch.ones(4)
    share = torch.tensor([0.9, 0.2, 0.5, 1.0])

    def loss(classifier: nn.Linear) -> Tensor:
        both = [F.cross_entropy(classifier(x), labels, reduction="none") for labels in (y, other.long())]
        return share * both[0] + (1 - share) * both[1] if mixed else both[0]

    losses = [loss(classifier) for classifier in (model.main, model.first, model.second)]
    total = losses[0].mean() + weight * (losses[1].mean() + losses[2].mean())
    expected = torch.autograd.grad(total, list(model.parameters()))
    hits = (model.main(x).argmax(1) == y).sum()
    mixture = (other.long(), share) if mixed else (None, None)
    batch = Batch(x, y, mixture[0], mixture[1], np.arange(4))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    told = training_step(model, TASK, batch, optimiser, precision="float32", clip=0.0)
    torch.testing.assert_close([p.grad for p in model.parameters()], list(expected))
    torch.testing.assert_close(told, (losses[0].sum().detach(), hits.float()))


def test_a_network_with_heads_goes_through_all_that_a_training_does() -> None:
    torch.manual_seed(0)
    model = googlenet(classes=2, use_heads=True, small=True)
    x = torch.randn(2, 3, 16, 16)
    try_out(model, TASK, x)
    assert model.training
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    with lowered(model, x) as runs:
        batch = Batch(x, torch.tensor([0, 1]), None, None, np.arange(2))
        training_step(runs, TASK, batch, optimiser, precision="float32", clip=1.0)
    assert all(p.grad is not None and p.grad.any() for p in model.get_submodule("aux1").parameters())
    assert real_step(WithHeads(), torch.randn(4, 3))[0] > 0
    with torch.device("meta"):
        with_heads, without = (googlenet(classes=2, use_heads=heads) for heads in (True, False))
        x = torch.empty(8, 3, 64, 64)
        assert predicted(with_heads, x).activations > predicted(without, x).activations


def test_heads_that_do_not_fit_say_so_before_the_pictures_are_read() -> None:
    preprocess = Preprocess(channels=3, size=40)
    with pytest.raises(ModelError, match=r"aux2\.pool\.0 .* its 5x5 kernel is larger"):
        fitting_model("googlenet_2014_heads", TASK, preprocess, 0)
    fitting_model("googlenet_2014", TASK, preprocess, 0)


def test_what_does_not_fit_in_training_names_the_layer_and_the_smallest_input() -> None:
    model, x = googlenet_2014(classes=2, use_heads=True), torch.zeros(2, 3, 40, 40)
    try_out(model, TASK, x)  # in evaluation nobody asks the heads
    batch = Batch(x, torch.tensor([0, 1]), None, None, np.arange(2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(
        ModelError, match=r"aux2\.pool\.0 .* given 528x2x2: its 5x5 kernel is larger"
    ) as caught:
        training_step(model, TASK, batch, optimiser, precision="float32", clip=0.0)
    assert "3x79x79" in caught.value.hint


def test_what_does_not_fit_at_all_names_the_layer_and_the_smallest_input() -> None:
    model = googlenet(classes=2)
    with pytest.raises(ModelError, match=r"maxpool3 .* given 480x1x1: its 3x3 kernel is larger") as caught:
        try_out(model, TASK, torch.zeros(2, 3, 8, 8))
    assert "3x15x15" in caught.value.hint
    assert model.training


def test_a_reason_that_shapes_do_not_show_is_told_as_it_was_raised() -> None:
    class Broken(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not x.is_meta:
                raise RuntimeError("out of memory")
            return super().forward(x)

    with pytest.raises(ModelError, match=r"RuntimeError for an input .* out of memory"):
        try_out(Broken(3, 2), TASK, torch.zeros(2, 3))
