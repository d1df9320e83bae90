"""What sharing a kernel between all places is worth: ConvNetJS's network against its unshared twin.

    python examples/sharing.py                 5,000 pictures of CIFAR-10 (JPEG): some ten minutes on one core
    python examples/sharing.py --quick

The twin has the same layers with a kernel of its own at every place, so it could compute whatever the other
computes. Both see the same pictures in the same order, neither mirrored nor shifted.
Source: LeCun 1989, Generalization and network design strategies.
"""

from __future__ import annotations

from example import CIFAR10, canvas, course, error, finish, options

# The twin's many weights take a smaller step.
NETWORKS = {"convnetjs": ("shared", 0.003), "unshared": ("unshared", 0.001)}


def main() -> None:
    """Train both, draw one figure, print one table."""
    given = options(__doc__, data=str(CIFAR10), pictures=5000, epochs=15, quick=(100, 1))
    figure, axes = canvas()
    rows = []
    for colour, (model, (name, rate)) in enumerate(NETWORKS.items()):
        run, epochs = course(name, given, recipe="convnetjs-quick", model=model, lr=rate, augment="off")
        assert run is not None
        errors, tested = [error(epoch["train"]) for epoch in epochs], error(run.metrics["test"])
        axes[0, 0].plot([epoch["epoch"] for epoch in epochs], errors, f"C{colour}", label=f"{name}, training")
        axes[0, 0].axhline(tested, color=f"C{colour}", linestyle="--", label=f"{name}, test")
        rows.append((name, f"{run.info['parameters']:,}", f"{errors[-1]:.1f}", f"{tested:.1f}"))
    axes[0, 0].set(xlabel="epoch", ylabel="error, %", ylim=(0, 90))
    axes[0, 0].legend(frameon=False)
    finish(figure, "sharing", given, ("kernels", "parameters", "training error, %", "test error, %"), rows)


if __name__ == "__main__":
    main()
