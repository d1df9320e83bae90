"""The rules that turn gradients into updates, and first weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from striate.errors import ModelError
from striate.training.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from striate.runs.recipe import Recipe

RULES: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    # Zeiler 2012, with ConvNetJS's epsilon: at 1e-6 its network on batches of 4 stops at 40 % (LOG.md).
    "adadelta": (torch.optim.Adadelta, {"rho": 0.95, "eps": 1e-8}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.99}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "muon": (Muon, {}),
}
# What Adam, beside Muon, gets of Muon's rate: a filter's step is a share of its length, others' are not.
BESIDE_MUON = 0.05
LEVELS = 5  # steps in which the learning rate rises from the first layer to the head
FUSED = {"sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"}


def optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> Optimizer:
    """Make the recipe's optimiser; weight decay spares biases and norms (every tensor of one axis)."""
    assert recipe.optimizer is not None
    rule, settings = RULES[recipe.optimizer]
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not learned:
        raise ModelError("The model has no parameter to train.", "Give it a layer with weights.")
    shares = depth_shares([name for name, _ in model.named_parameters()], recipe.lr_bottom or 1.0)
    if recipe.optimizer == "muon":
        shares = {
            name: shares[name] * (1.0 if p.ndim == 4 else BESIDE_MUON) for name, p in model.named_parameters()
        }
    groups: list[dict[str, Any]] = [
        {
            "params": [p for name, p in learned.items() if shares[name] == share and (p.ndim > 1) == decays],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "share": share,  # of the learning rate; the loop multiplies
        }
        for decays in (True, False)
        for share in sorted(set(shares.values()))
    ]
    able = recipe.optimizer in FUSED and device.type in {"cpu", "cuda"}
    fused = {"fused": recipe.fused is not False} if able else {}
    return rule([group for group in groups if group["params"]], lr=recipe.lr, **settings, **fused)


def depth_shares(names: Sequence[str], bottom: float) -> dict[str, float]:
    """Give each parameter its share of the learning rate: ``bottom`` for the first, 1 for the last.

    names: in the order of the network. In between the share rises geometrically, in few levels: more would
    make the update slower than they make the training better.

    >>> depth_shares(["conv1.weight", "conv2.weight", "fc.weight"], 0.01)
    {'conv1.weight': 0.01, 'conv2.weight': 0.1, 'fc.weight': 1.0}
    """
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    most = max(1, len(modules) - 1)
    levels = min(LEVELS, most)
    height = {module: round(number / most * levels) / levels for number, module in enumerate(modules)}
    return {name: round(bottom ** (1 - height[name.rpartition(".")[0]]), 12) for name in names}


def initialise(model: nn.Module, init: str, seed: int) -> None:
    """Draw the first weights of convolutions and dense layers anew; "default" leaves the model's own.

    Source: Glorot and Bengio 2010 (xavier), He et al. 2015 (he), the decks (zeros, normal:STD).
    """
    if init == "default":
        return
    generator = torch.Generator().manual_seed(seed)
    name, _, std = init.partition(":")
    draw: dict[str, Callable[[Tensor], Tensor]] = {
        "xavier_uniform": lambda w: nn.init.xavier_uniform_(w, generator=generator),
        "xavier_normal": lambda w: nn.init.xavier_normal_(w, generator=generator),
        "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=generator),
        "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=generator),
        "zeros": nn.init.zeros_,
        "normal": lambda w: nn.init.normal_(w, std=float(std), generator=generator),
    }
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            if parametrize.is_parametrized(module, "weight"):  # weight norm: what was computed is not kept
                module.weight = draw[name](module.weight.detach().clone())
            else:
                draw[name](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def drop_inputs_of_head(model: nn.Module, share: float) -> None:
    """Drop a share of the last dense layer's inputs in training (Srivastava et al. 2014).

    A hook, so that the names of the weights stay what they are. A network whose dropout layers stand at 0,
    such as a tcn, says where it wants them: their share is set instead. Raises ModelError without either.
    """
    if not share:
        return
    waiting = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.p == 0]
    for module in waiting:
        module.p = share
    if waiting:
        return
    dense = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise ModelError(
            "--dropout: the model has no dense layer to drop inputs of.", "Leave --dropout away."
        )

    def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (F.dropout(inputs[0], share, module.training), *inputs[1:])

    dense[-1].register_forward_pre_hook(drop)
