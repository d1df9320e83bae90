"""Depth alone makes a plain network worse on its own training pictures; with shortcuts it does not.

    python examples/degradation.py             four networks, 2,500 pictures, 936 steps: half an hour
    python examples/degradation.py --quick

Plain-20, plain-56, ResNet-20 and ResNet-56 on CIFAR-10 (JPEG) under one shortened schedule: the paper's
momentum and decay, half its batch and half its rate, with its two falls of the rate at 50 and 75 % of the
steps. The figure shows the error on the training pictures while they are learned, as figure 6 does.
Source: He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, section 4.2.
"""

from __future__ import annotations

from example import CIFAR10, canvas, course, error, finish, options

NETWORKS = {"plain20": "C0", "plain56": "C3", "resnet20": "C0", "resnet56": "C3"}


def main() -> None:
    """Train the four, draw one figure, print one table."""
    given = options(__doc__, data=str(CIFAR10), pictures=2500, epochs=24, quick=(100, 1))
    figure, axes = canvas(2)
    rows = []
    for name, colour in NETWORKS.items():
        run, epochs = course(name, given, recipe="resnet-cifar", model=name, batch=64, lr=0.05)
        axis = axes[0, int(name.startswith("resnet"))]
        errors = [error(epoch["train"]) for epoch in epochs]
        axis.plot([epoch["step"] for epoch in epochs], errors, colour, label=name)
        tested = "diverged" if run is None else f"{error(run.metrics['test']):.2f}"
        rows.append((name, f"{errors[-1]:.2f}", tested, f"{epochs[-1]['seconds']:.0f}"))
    for axis, title in zip(axes[0], ("plain", "with shortcuts"), strict=True):
        axis.set(title=title, xlabel="step", ylabel="training error, %", ylim=(0, 90))
        axis.legend(frameon=False)
    finish(figure, "degradation", given, ("network", "training error, %", "test error, %", "seconds"), rows)


if __name__ == "__main__":
    main()
