"""First weights decide whether a deep network can learn at all: zeros, too large, Xavier and He.

    python examples/initialisation.py          twenty layers on the digits of scikit-learn: a minute
    python examples/initialisation.py --quick

Before training, on one batch: the norm of each layer's weight gradient, and the share of its units that are
zero for every picture (dead). Then the loss over a training with plain gradient descent. No normalisation and
no shortcuts, which would hide it. A factor common to a layer's weights makes no unit dead or alive, so before
training all but the zeros agree in that.
Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks;
He, Zhang, Ren and Sun 2015, Delving deep into rectifiers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from example import canvas, course, finish, options
from sklearn.datasets import load_digits
from torch import nn

from striate import taps
from striate.models.registry import build
from striate.training.optim import initialise

if TYPE_CHECKING:
    from striate.taps import Call

LAYERS, WIDTH = 20, 64
MODEL = "mlp" + f"-{WIDTH}" * LAYERS
INITS = {"zeros": "zeros", "normal:0.5": "too large", "xavier_normal": "Xavier", "he_normal": "He"}


def first_look(init: str, seed: int) -> tuple[list[float], list[float]]:
    """Give the gradient's norm and the share of dead units of each layer, before any update."""
    pixels, targets = load_digits(return_X_y=True)
    inputs = torch.from_numpy(pixels[:256].reshape(-1, 1, 8, 8)).float()
    inputs = (inputs - inputs.mean()) / inputs.std()
    network = build(MODEL, classes=10, channels=1, size=8)
    initialise(network, init, seed)
    dead: list[float] = []

    def look(call: Call) -> None:
        if isinstance(call.module, nn.ReLU):
            dead.append(float((call.result == 0).all(0).float().mean()))

    with taps.calls(network, lambda _: None, look):
        loss = F.cross_entropy(network(inputs), torch.from_numpy(targets[:256]))
    loss.backward()  # type: ignore[no-untyped-call]
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [float(layer.weight.grad.norm()) for layer in dense if layer.weight.grad is not None], dead


def main() -> None:
    """Look, train, draw three panels, print one table."""
    given = options(__doc__, data="digits", pictures=0, epochs=15, quick=(0, 1))
    figure, axes = canvas(3)
    rows = []
    for width, (init, name) in zip((7, 5, 3, 1.5), INITS.items(), strict=True):  # so that all are seen
        gradients, dead = first_look(init, given.seed)
        run, epochs = course(
            name.replace(" ", "-"), given, model=MODEL, size=8, init=init, optimizer="sgd", lr=0.02,
            schedule="constant", weight_decay=0.0, label_smoothing=0.0, batch=32, augment="off",
        )  # fmt: skip
        losses = [epoch["train"]["loss"] for epoch in epochs]
        axes[0, 0].plot(range(1, len(gradients) + 1), gradients, label=name, lw=width)
        axes[0, 1].plot(range(1, len(dead) + 1), 100 * np.array(dead), lw=width)
        axes[0, 2].plot([epoch["epoch"] for epoch in epochs], losses, lw=width)
        last = f"{losses[-1]:.3g}" if run else "diverged"
        rows.append((name, f"{gradients[0]:.3g}", f"{gradients[-1]:.3g}", f"{100 * max(dead):.0f}", last))
    axes[0, 0].set(xlabel="layer", ylabel="norm of its gradient")
    axes[0, 0].set_yscale("symlog", linthresh=1e-6)
    axes[0, 0].set_yticks([0, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9])
    axes[0, 1].set(xlabel="layer", ylabel="dead units, %")
    axes[0, 2].set(xlabel="epoch", ylabel="training loss", ylim=(0, 5))
    figure.legend(loc="outside upper center", ncols=len(INITS), frameon=False)
    heads = (
        "first weights",
        "gradient, layer 1",
        "gradient, last",
        "dead units, worst layer, %",
        "last loss",
    )
    finish(figure, "initialisation", given, heads, rows)


if __name__ == "__main__":
    main()
