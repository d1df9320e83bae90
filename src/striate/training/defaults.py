"""Settings that follow from the data: chosen once, explained, written into the recipe.

Those that only make a step faster follow from the machine; :mod:`striate.training.tune` measures them, and
:func:`fast` says what they are where nothing is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.data import augment as augmentation
from striate.errors import RecipeError
from striate.events import Choice
from striate.models import registry
from striate.runs.recipe import SPEED
from striate.training import heap, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.data.preprocess import Preprocess
    from striate.data.sources import Source
    from striate.data.store import Survey
    from striate.runs.recipe import Recipe

# What photographs are trained at, and how often each must at least be seen for a larger side to pay.
SIDES, ENOUGH_EPOCHS = (64, 80, 96, 128, 160, 224), 25
PHOTO_SIDE = 64  # pictures with a longer short side than this are photographs


@dataclass(frozen=True)
class Facts:
    """What the choices depend on."""

    pictures: int  # for training and validation
    short_side: float  # median, pixels
    aspect: float  # median of longer over shorter side
    channels: int
    classes: tuple[str, ...]

    @classmethod
    def of(cls, source: Source, survey: Survey) -> Facts:
        """Read them off a surveyed data set."""
        sizes = np.asarray(survey.sizes, float)
        return cls(
            pictures=max(1, sum(sample.split in {None, "train"} for sample in source.samples)),
            short_side=float(np.median(sizes.min(1))),
            aspect=float(np.median(sizes.max(1) / sizes.min(1))),
            channels=survey.channels,
            classes=source.classes,
        )

    @property
    def a_class(self) -> float:
        """Pictures a class, on average."""
        return self.pictures / max(1, len(self.classes))

    @property
    def few(self) -> bool:
        """So few pictures a class that starting from weights is worth a word; signs share no features."""
        return bool(self.classes) and self.a_class < 200 and not self.signs

    @property
    def photos(self) -> bool:
        """Photographs, or already small pictures."""
        return self.short_side > PHOTO_SIDE

    @property
    def signs(self) -> bool:
        """Digits, letters or other one-character names: a mirrored sign is another sign."""
        return bool(self.classes) and all(len(name) == 1 for name in self.classes)


# What trains each network well (docs/performance.md): optimiser, peak rate, decay, batch, smoothing, EMA.
GOOD: dict[str, dict[str, Any]] = {
    "autoencoder": {
        "optimizer": "adam",
        "lr": 2e-3,
        "weight_decay": 0.0,
        "batch": 128,
        "label_smoothing": 0.0,
    },
    "mlp": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.01, "batch": 128, "label_smoothing": 0.0},
    "lenet5": {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.01, "batch": 128, "label_smoothing": 0.0},
    "resnet20": {
        "optimizer": "nesterov",
        "lr": 0.1,
        "weight_decay": 5e-4,
        "batch": 64,
        "label_smoothing": 0.0,
    },
    "resnet18": {
        "optimizer": "nesterov",
        "lr": 0.05,
        "weight_decay": 5e-4,
        "batch": 32,
        "label_smoothing": 0.1,
    },
}
# From starting weights: small steps, smaller still towards the first layer.
GOOD_FROM_WEIGHTS: dict[str, Any] = {
    "optimizer": "nesterov",
    "lr": 0.01,
    "weight_decay": 1e-4,
    "batch": 32,
    "label_smoothing": 0.1,
}
GOOD_FOR_OTHERS = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.01,
    "batch": 64,
    "label_smoothing": 0.0,
}


def choose(
    recipe: Recipe,
    facts: Facts,
    measure: Callable[[Recipe, int], float] | None = None,
    known: Preprocess | None = None,
) -> tuple[Recipe, list[Choice]]:
    """Fill every setting that is None but those of speed; explain each that a person would ask about.

    measure: gives the seconds that a recipe's training step takes at a side of the pictures; asked where
    photographs are to be trained on in given minutes.
    known: how the pictures of the starting weights were prepared.
    """
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

    colour = (
        "grey" if facts.channels == 1 else "colour" if facts.channels == 3 else f"{facts.channels}-channel"
    )
    kind = f"{colour} pictures, {facts.short_side:.0f} pixels"
    device = chosen_device(recipe.device)
    if recipe.precision == "float16" and device != "cuda":
        raise RecipeError("--precision float16 needs a CUDA GPU.", "Use bfloat16 or float32.")
    rebuilds = recipe.task == "reconstruction"
    if rebuilds:
        small = not facts.photos and facts.channels == 1
        model = pick("model", "autoencoder" if small else "autoencoder_conv", f"a code of {kind}")
    elif facts.photos:
        model = pick("model", "resnet18", f"photographs ({kind})")
    elif facts.channels == 1:
        model = pick("model", "lenet5", f"small {kind}")
    else:
        model = pick("model", "resnet20", f"small {kind}")
    pick("stem", *_stem(model, facts))
    pick("fit", *_fit(facts))
    usual = GOOD["autoencoder"] if rebuilds else GOOD.get(model, GOOD_FOR_OTHERS)
    good = GOOD_FROM_WEIGHTS if recipe.weights else usual
    pick("lr_bottom", 0.1 if recipe.weights else 1.0)
    # A small set is seen in small batches: the number of updates decides, not their width.
    batch = pick(
        "batch",
        min(good["batch"], max(8, 2 ** round(math.log2(facts.pictures / 40)))) if facts.pictures > 40 else 8,
    )
    scale = min(1.0, batch / good["batch"]) if recipe.batch is None else batch / good["batch"]
    own_rule = recipe.optimizer is not None and recipe.optimizer != good["optimizer"]
    optimizer = pick("optimizer", good["optimizer"])
    pick("lr", rate_of(optimizer) if own_rule else float(f"{good['lr'] * math.sqrt(scale):.2g}"))
    pick("weight_decay", good["weight_decay"])
    pick("label_smoothing", good["label_smoothing"] if recipe.task == "classification" else 0.0)
    pick("ema", 0.0)
    if rebuilds:
        pick("loss", "squared" if "linear" in model else "cross-entropy")
    still = recipe.freeze == "body"
    if recipe.steps is None and recipe.minutes is None:
        epochs, why = _epochs(facts)
        pick("epochs", max(5, epochs // 3) if recipe.weights else epochs, "" if still else why)
    why = "mirrored and cut" if facts.photos else "mirrored and shifted"
    if facts.signs:
        why = "one-character names: a mirrored digit or letter would be another"
    asked = pick(
        "augment",
        *(("off", "") if rebuilds else ("off", "features are computed once") if still else ("light", why)),
    )
    augment = augmentation.parse(asked, flips=not facts.signs, photos=facts.photos, grey=facts.channels == 1)
    found["augment"] = str(augment)
    found["device"] = device
    size, reason = (known.size, "what the weights saw") if known else _size(model, facts, device)
    timed = facts.photos and recipe.minutes is not None and recipe.size is None and not known
    if timed and measure is not None:
        assert recipe.minutes is not None
        size, reason = _size_for(
            recipe.minutes * 60, facts, batch, measure(recipe.replace(**found), SIDES[0])
        )
    pick("size", size, reason)
    return recipe.replace(**found), choices


def fast(recipe: Recipe) -> Recipe:
    """Fill the settings of speed that are None with what is usually best on the recipe's device.

    >>> from striate.runs.recipe import Recipe
    >>> fast(Recipe(device="cpu", threads=1)).layout
    'channels_last'
    """
    usual = {
        "threads": min(torch.get_num_threads(), machine.cores()),
        "layout": "channels_last",
        "precision": _precision(recipe.device),
        "fused": True,
        "compile": False,
        "kernels": "striate",
        # Tensors of more than 32 MB go back to the system otherwise, and come back page by page.
        "heap": "kept" if "kept" in heap.kinds() and recipe.device == "cpu" else "system",
    }
    missing = {name: usual[name] for name in SPEED if getattr(recipe, name) is None}
    return recipe.replace(**missing) if missing else recipe


def _stem(model: str, facts: Facts) -> tuple[str, str]:
    builder = None if ":" in model else registry.find(model)
    if not facts.photos and builder is not None and registry.has_small_stem(builder):
        return "small", "keeps small pictures large in the first layers"
    return "standard", ""


def _size(model: str, facts: Facts, device: str) -> tuple[int, str]:
    if model.startswith("autoencoder"):
        own = max(8, 4 * round(facts.short_side / 4))  # the convolutional one halves it
        return (64, "what a code can hold") if facts.photos else (own, "the pictures' own")
    if model in {"lenet5", "mlp"}:
        return 28, "what the network was made for"
    if not facts.photos:
        small = 32 if facts.short_side <= 40 else 64
        return small, "the pictures' own size, about"
    if device == "cuda":
        return 224, "a GPU has time for it"
    return 128, "what a CPU has time for; --size 224 sees more, 3 times slower"


def _size_for(seconds: float, facts: Facts, batch: int, cost: float) -> tuple[int, str]:
    """Choose the largest pictures that still leave enough epochs; a step's cost grows with their area.

    cost: seconds of a step at the smallest side.
    """
    side, epochs = SIDES[0], 0.0
    for candidate in SIDES:
        step = cost * (candidate / SIDES[0]) ** 2
        possible = seconds * 0.9 / (facts.pictures / batch * step)
        if candidate == SIDES[0] or possible >= ENOUGH_EPOCHS:
            side, epochs = candidate, possible
    return side, f"{facts.pictures:,} pictures are seen about {epochs:.0f} times in the time given"


def _fit(facts: Facts) -> tuple[str, str]:
    if facts.aspect < 1.05:
        return "crop", ""
    if facts.aspect <= 1.8:
        return "squash", f"typical proportions 1:{facts.aspect:.2f}; nothing is cut off"
    return "crop", f"typical proportions 1:{facts.aspect:.2f}; squashing would distort too much"


def _epochs(facts: Facts) -> tuple[int, str]:
    if facts.photos:
        return 30, "photographs; --minutes sets a time instead"
    return min(
        60, max(15, round(60_000 / facts.pictures))
    ), f"{facts.pictures:,} pictures; --minutes sets a time instead"


def rate_of(optimizer: str) -> float:
    """Give the peak learning rate that is usual for an optimiser."""
    return {
        "sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.01,
        "adadelta": 1.0, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3, "muon": 0.2,
    }[optimizer]  # fmt: skip


def chosen_device(asked: str) -> str:
    """Give the device that is meant. Raises RecipeError where the machine has none such."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (asked == "cuda" and not cuda) or (asked == "mps" and not mps):
        raise RecipeError(
            f"--device {asked}: this machine has none that torch can use.", "Use --device auto or cpu."
        )
    return asked


def _precision(device: str) -> str:
    """Compute in bfloat16 where it is multiplied natively: in AMX tiles, or on a GPU."""
    if device == "cuda" and torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return "bfloat16"
    if device == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False):
        return "bfloat16"
    return "float32"
