"""The rules that turn gradients into updates, and first weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from striate.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim import Optimizer

    from striate.runs.recipe import Recipe

RULES: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "adadelta": (torch.optim.Adadelta, {"rho": 0.95}),  # Zeiler 2012
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.99}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}
FUSED = {"sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"}


def optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> Optimizer:
    """Make the recipe's optimiser; weight decay spares biases and norms (every tensor of one axis)."""
    assert recipe.optimizer is not None
    rule, settings = RULES[recipe.optimizer]
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        raise ModelError("The model has no parameter to train.", "Give it a layer with weights.")
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = {"fused": True} if recipe.optimizer in FUSED and device.type in {"cpu", "cuda"} else {}
    return rule([group for group in groups if group["params"]], lr=recipe.lr, **settings, **fused)


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
            draw[name](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def drop_inputs_of_head(model: nn.Module, share: float) -> None:
    """Drop a share of the last dense layer's inputs in training (Srivastava et al. 2014).

    A hook, so that the names of the weights stay what they are. Raises ModelError without a dense layer.
    """
    if not share:
        return
    dense = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise ModelError(
            "--dropout: the model has no dense layer to drop inputs of.", "Leave --dropout away."
        )

    def drop(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (F.dropout(inputs[0], share, module.training), *inputs[1:])

    dense[-1].register_forward_pre_hook(drop)
