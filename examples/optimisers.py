"""Every rule that turns gradients into updates, on the same small network from the same first weights.

    python examples/optimisers.py              LeNet-5 on the digits that come with scikit-learn: two minutes
    python examples/optimisers.py --quick

Each rule is tried at a quarter of its usual rate, at that rate and at four times it; the curve is that of the
lowest last training loss, for a rule at a bad rate says nothing about the rule.
"""

from __future__ import annotations

from example import canvas, course, error, finish, options

from striate.training.optim import RULES

SHARES = (0.25, 1.0, 4.0)
# The usual rates; those of the adaptive rules are their papers' or torch's defaults.
RATES = {
    "sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.01,
    "adadelta": 1.0, "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001, "muon": 0.02,
}  # fmt: skip


def main() -> None:
    """Train with each rule at each rate, draw one figure, print one table."""
    given = options(__doc__, data="digits", pictures=0, epochs=10, quick=(0, 1))
    figure, axes = canvas()
    rows = []
    for rule in RULES:
        tried = {
            rate: course(
                f"{rule}-{rate:g}", given, model="lenet5", optimizer=rule, lr=rate, schedule="constant",
                warmup=0.0, weight_decay=0.0, label_smoothing=0.0, batch=32, augment="off",
            )
            for rate in (RATES[rule] * share for share in (SHARES[1:2] if given.quick else SHARES))
        }  # fmt: skip
        ended = {rate: epochs for rate, (run, epochs) in tried.items() if run is not None}
        best = min(ended, key=lambda rate: ended[rate][-1]["train"]["loss"])
        losses = [epoch["train"]["loss"] for epoch in ended[best]]
        axes[0, 0].plot([epoch["epoch"] for epoch in ended[best]], losses, label=f"{rule}, {best:g}")
        run = tried[best][0]
        assert run is not None
        rows.append((rule, f"{best:g}", f"{losses[-1]:.4f}", f"{error(run.metrics['test']):.2f}"))
    axes[0, 0].set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes[0, 0].legend(frameon=False, fontsize=8)
    finish(figure, "optimisers", given, ("rule", "rate", "training loss", "test error, %"), rows)


if __name__ == "__main__":
    main()
