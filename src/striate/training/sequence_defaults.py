"""Settings that follow from sequences: sounds, letters, series. Chosen once, explained, written down."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from striate.errors import RecipeError
from striate.events import Choice
from striate.training.defaults import chosen_device, rate_of

if TYPE_CHECKING:
    from striate.data.sequence import Sequences
    from striate.data.sources import Source
    from striate.runs.recipe import Recipe

# The network for each kind of sequence and of goal; "" stands for any other goal.
NETWORKS: dict[tuple[str, str], tuple[str, str]] = {
    ("sound", ""): ("tdnn", "sounds: a spectrum inside, then convolutions in time"),
    ("bases", ""): ("dna", "letters: each kernel of the first layer is a motif"),
    ("bases", "next-step"): ("tcn", "letters, the next from those before"),
    ("symbols", ""): ("tcn", "letters: convolutions that look back"),
    ("symbols", "next-step"): ("tcn", "letters, the next from those before"),
    ("series", ""): ("tcn", "series: convolutions that look back"),
    ("series", "next-step"): ("tcn", "series, the next step from those before"),
}
REBUILDS = ("autoencoder_relu", "a code of all steps at once")
# What trains each network well: optimiser, peak rate, decay, batch, smoothing, clip.
GOOD: dict[str, dict[str, Any]] = {}
# What is varied in training where nothing else is asked for: as a list, and why.
AUGMENT = {"sound": ("gain=10", "recordings are as loud as their microphone is near")}
GOOD_FOR_OTHERS = {
    "optimizer": "adamw",
    "lr": 2e-3,
    "weight_decay": 0.01,
    "batch": 32,
    "label_smoothing": 0.0,
}


def choose(recipe: Recipe, source: Source, plan: Sequences) -> tuple[Recipe, list[Choice]]:
    """Fill every setting that is None but those of speed, and those that only pictures have.

    plan: how the sequences are going to be stored.   Raises RecipeError for a device that is not there, and
    for what only pictures have.
    """
    _refuse_settings_of_pictures(recipe, source.noun)
    if recipe.rate is not None and plan.modality != "sound":
        raise RecipeError(
            f"--rate {recipe.rate}: that is for sounds, and these are {source.noun}.", "Leave --rate away."
        )
    found: dict[str, Any] = {}
    choices: list[Choice] = []

    def pick(name: str, value: Any, reason: str = "") -> Any:
        given = getattr(recipe, name)
        if given is not None:
            return given
        found[name] = value
        if reason:
            choices.append(Choice(name, str(value), reason))
        return value

    count = max(1, sum(sample.split in {None, "train"} for sample in source.samples))
    kind = "bases" if plan.alphabet == "ACGT" else plan.modality
    rebuilds = recipe.task == "reconstruction"
    usual = REBUILDS if rebuilds else NETWORKS.get((kind, recipe.task)) or NETWORKS[kind, ""]
    model = pick("model", *usual)
    pick("stem", "standard")
    good = GOOD.get(model.split("-")[0], GOOD_FOR_OTHERS)
    pick("lr_bottom", 0.1 if recipe.weights else 1.0)
    fewer = max(8, 2 ** round(math.log2(max(1, count / 40))))
    batch = pick("batch", min(good["batch"], fewer))
    scale = min(1.0, batch / good["batch"]) if recipe.batch is None else batch / good["batch"]
    own_rule = recipe.optimizer is not None and recipe.optimizer != good["optimizer"]
    optimizer = pick("optimizer", good["optimizer"])
    pick("lr", rate_of(optimizer) if own_rule else float(f"{good['lr'] * math.sqrt(scale):.2g}"))
    pick("weight_decay", good["weight_decay"])
    pick("label_smoothing", good["label_smoothing"] if recipe.task == "classification" else 0.0)
    pick("ema", 0.0)
    if recipe.steps is None and recipe.minutes is None:
        epochs = min(60, max(15, round(60_000 / count)))
        pick("epochs", epochs, f"{count:,} {source.noun}; --minutes sets a time instead")
    pick("augment", *AUGMENT.get(plan.modality if recipe.task == "classification" else "", ("off", "")))
    if recipe.task == "reconstruction":
        pick("loss", "squared")
    if plan.modality == "sound":
        pick("rate", plan.rate, "what most files have")
        pick("length", plan.length / plan.rate, "seconds: what holds nearly all")
    else:
        pick("length", float(plan.length), "what holds nearly all")
    found["device"] = chosen_device(recipe.device)
    return recipe.replace(**found), choices


def _refuse_settings_of_pictures(recipe: Recipe, noun: str) -> None:
    usual = {field.name: field.default for field in dataclasses.fields(recipe)}
    for name in ("size", "early_size", "fit", "decode", "tta"):
        value = getattr(recipe, name)
        if value != usual[name]:
            flag = name.replace("_", "-")
            raise RecipeError(
                f"--{flag} {value}: that is for pictures, and these are {noun}.", f"Leave --{flag} away."
            )
    if recipe.stem == "small":
        raise RecipeError("--stem small: that is for pictures.", "Leave --stem away.")
