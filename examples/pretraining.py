"""A deep net of sigmoids, by plain descent: from small random weights, and pretrained layer by layer.

    python examples/pretraining.py             two trainings, all of MNIST
    python examples/pretraining.py --quick

784-500-500-2000-10, batches of 64, one constant rate for all. Before its first epoch the pretrained one has
seen the pictures three times a layer, without their labels. The figure shows both over the same epochs.
Sources: Hinton and Salakhutdinov 2006; Bengio, Lamblin, Popovici and Larochelle 2007, table 2.
"""

from __future__ import annotations

from example import SHARED, canvas, course, error, finish, options

PASSES = {"random": 0, "pretrained": 3}
COLOURS = {"random": "C3", "pretrained": "C0"}


def main() -> None:
    """Train both, draw one figure, print one table."""
    given = options(__doc__, data=str(SHARED / "mnist"), pictures=0, epochs=8, quick=(0, 1))
    asked = {"optimizer": "sgd", "lr": 0.1, "schedule": "constant", "warmup": 0.0, "batch": 64}
    asked |= {"weight_decay": 0.0, "augment": "off", "val": 0.0}
    data, widths = (given.data, "500-500-2000") if not given.quick else ("digits", "20-20-20")
    given.data = data
    figure, axes = canvas(2)
    rows = []
    for name, passes in PASSES.items():
        run, epochs = course(name, given, model=f"mlp_sigmoid-{widths}", pretrain=passes, **asked)
        assert run is not None
        steps = [epoch["epoch"] for epoch in epochs]
        axes[0, 0].plot(steps, [epoch["train"]["loss"] for epoch in epochs], COLOURS[name], label=name)
        axes[0, 1].plot(steps, [error(epoch["train"]) for epoch in epochs], COLOURS[name], label=name)
        tested = f"{error(run.metrics['test']):.2f}" if "test" in run.metrics else "-"
        rows.append((name, f"{error(epochs[-1]['train']):.2f}", tested, f"{epochs[-1]['seconds']:.0f}"))
    for axis, what in zip(axes[0], ("training loss", "training error, %"), strict=True):
        axis.set(xlabel="epoch", ylabel=what, yscale="log")
        axis.legend(frameon=False)
    heads = ("first weights", "training error, %", "test error, %", "seconds")
    finish(figure, "pretraining", given, heads, rows)


if __name__ == "__main__":
    main()
