"""How training went: loss, what a person follows, and the learning rate; for regression, where it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.report import figures
from striate.report.markup import facts, number, percent, plural, text
from striate.report.result import SPLITS
from striate.training.metrics import Measured

if TYPE_CHECKING:
    from striate.report.contents import Story
    from striate.report.sprite import Sprite

TITLES = {
    "mae": "Mean absolute error",
    "loss": "Loss",
    "accuracy": "Accuracy",
    "squared_error": "Squared error",
    "nll": "Negative log-likelihood a step",
    "mse": "Mean squared error a step",
}


def curves(story: Story, _sprite: Sprite) -> str:
    """Draw everything that the history holds, an epoch a point."""
    history = story.history
    if not history:
        return ""
    epochs = [line["epoch"] for line in history]
    names = {name: None for line in history for part in ("train", "val") for name in line.get(part) or {}}
    if {"nll", "mse"} & set(names):  # which is what the loss is
        del names["loss"]
    panels = [_panel(history, epochs, name) for name in sorted(names, key=lambda n: n != "loss")]
    rates = [line["lr"] for line in history]
    alt = f"The learning rate is at most {number(max(rates))} and ends at {number(rates[-1])}."
    panels.append(_figure("Learning rate", figures.curve(epochs, {"lr": rates}, alt, from_zero=True)))
    both = any(line.get("val") for line in history)
    keys = '<span class="key second">training</span> <span class="key">validation</span>' if both else ""
    return f'<p>{plural(len(epochs), "epoch")}. {keys}</p><div class="panels">{"".join(panels)}</div>'


def _panel(history: list[dict[str, Any]], epochs: list[int], name: str) -> str:
    lines: dict[str, list[float | None]] = {}
    said = []
    share = name == "accuracy"
    write = percent if share else number
    for part in ("train", "val"):
        values = [(line.get(part) or {}).get(name) for line in history]
        known = [(value, epoch) for value, epoch in zip(values, epochs, strict=True) if value is not None]
        if known:
            best, when = (max if share else min)(known)
            lines[part] = values
            said.append(
                f"{SPLITS[part]} {name} goes from {write(known[0][0])} to {write(known[-1][0])}, "
                f"best {write(best)} in epoch {when}"
            )
    every = [v for values in lines.values() for v in values if v is not None]
    log = not share and min(every) > 0 and max(every) > 25 * min(every)
    title = text(TITLES.get(name, name)) + (" <small>(log scale)</small>" if log else "")
    alt = text("; ".join(said).capitalize() + ".", 400)
    return _figure(title, figures.curve(epochs, lines, alt, share=share, log=log))


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{svg}</figure>"


def regression(story: Story, _sprite: Sprite) -> str:
    """Draw predictions against the truth, and say how far apart they are."""
    scores = story.headline
    if not isinstance(scores, Measured):
        return ""
    r2 = "none, as all true values are equal" if scores.r2 is None else f"{scores.r2:.3f}"
    values = facts(
        {
            "Mean absolute error": _bounded(scores.mae, scores.mae_interval),
            "Root mean squared error": _bounded(scores.rmse, scores.rmse_interval),
            "R²": r2,
        }
    )
    if story.predicted is None or story.true is None:
        return values
    predicted, true = np.asarray(story.predicted, float), np.asarray(story.true, float)
    off = f"mean absolute error {number(scores.mae)}"
    alt = f"Predicted against true for {plural(len(true), story.noun)}: {off}."
    lead = f"A dot is a {story.noun}. On the dashed line the prediction is exact."
    return (
        f'<div class="two"><div><p>{lead}</p>{values}</div>'
        f"<figure>{figures.scatter(predicted, true, alt)}</figure></div>"
    )


def _bounded(value: float, interval: tuple[float, float]) -> str:
    return f"{number(value)} ({number(interval[0])} to {number(interval[1])})"
