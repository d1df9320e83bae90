"""Everything that was asked of a run, flat and frozen.

The command line's flags, the keys of ``recipe.toml``, the defaults and their help all come from this one
class. ``None`` means "choose for me": :mod:`striate.training.defaults` fills it in from the data, and
:mod:`striate.training.tune` what only makes a step faster, by measuring. The run folder's ``recipe.toml``
then holds no ``None``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from striate.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train, on what, and how."""

    data: str = "digits"
    """A folder, archive, IDX, npz or CSV file, or the name of a public data set."""
    label_pattern: str | None = None
    """Labels from file names, such as {label}_{group}_{n}.wav; other fields serve --group and --test."""
    task: Literal["classification", "regression", "next-step", "reconstruction"] = "classification"
    """What to predict: a class, a number, what follows in a sequence, or the input itself from a code."""
    model: str | None = None
    """A name of striate models, mlp-300-100 for other widths, or yours as package.module:name."""
    stem: Literal["standard", "small"] | None = None
    """First layers: as published, or small, which keep pictures of 32 pixels large."""
    weights: str | None = None
    """Start from these: a .safetensors or .pth file, a run folder, or imagenet."""
    freeze: str | None = None
    """What keeps the starting weights: body is all but the head; a layer's name, all up to that layer."""
    lr_bottom: Annotated[float, Gt(0), Le(1)] | None = None
    """Share of the learning rate that the first layer gets; it rises evenly towards the head's."""
    size: Annotated[int, Ge(4), Le(2048)] | None = None
    """Side of the square the network sees, in pixels."""
    early_size: Annotated[int, Ge(0), Le(2048)] = 0
    """Side of the pictures in the first 60 % of the steps, fewer pixels for a rough start; 0 is size."""
    fit: Literal["crop", "pad", "squash"] | None = None
    """How a picture becomes square: cut the longer side, add borders, or change its proportions."""
    length: Annotated[float, Gt(0)] | None = None
    """What is seen of a sequence: seconds of a sound, else steps; longer is cut, shorter is padded."""
    rate: Annotated[int, Ge(100), Le(1_000_000)] | None = None
    """Samples a second that sounds are brought to."""
    decode: Literal["whole", "scaled"] = "whole"
    """Large JPEG files: whole, or to fewer pixels at once, which is faster and not quite the same."""
    epochs: Annotated[int, Ge(1)] | None = None
    """Passes over the training pictures."""
    minutes: Annotated[float, Gt(0)] | None = None
    """Time for everything, from files to report; turned into a number of steps."""
    steps: Annotated[int, Ge(0)] | None = None
    """Updates of the weights; overrides epochs and minutes."""
    batch: Annotated[int, Ge(1)] | None = None
    """Pictures a step."""
    optimizer: (
        Literal["sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "muon"]
        | None
    ) = None
    """Rule that turns gradients into updates."""
    lr: Annotated[float, Gt(0)] | None = None
    """Peak learning rate."""
    schedule: Literal["constant", "step", "linear", "cosine", "one-cycle", "plateau"] = "cosine"
    """How the learning rate moves after the warm-up."""
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the steps in which the learning rate rises to its peak."""
    weight_decay: Annotated[float, Ge(0)] | None = None
    """Pull of the weights towards zero; never on biases and norms."""
    clip: Annotated[float, Ge(0)] = 0.0
    """Longest gradient allowed (its norm); 0 is off."""
    label_smoothing: Share | None = None
    """Probability taken from the true class and spread over all."""
    balance: Literal["none", "weights", "sampler"] = "none"
    """For uneven classes: weigh the loss, or draw rare classes more often."""
    ema: Annotated[float, Ge(0), Lt(1)] | None = None
    """Decay of a running average of the weights, which is what is kept; 0 is off."""
    loss: Literal["squared", "cross-entropy"] | None = None
    """Of a reconstruction: squared error, or cross-entropy of values from 0 to 1."""
    corrupt: str = "off"
    """Damage that a reconstruction has to undo: noise=0.5 or mask=0.25, of values from 0 to 1."""
    pretrain: Annotated[int, Ge(0)] = 0
    """Passes in which each layer alone first learns to reconstruct the one before it; 0 is off."""
    init: Annotated[str, "default|xavier_uniform|xavier_normal|he_uniform|he_normal|zeros|normal:STD"] = (
        "default"
    )
    """First weights: default, xavier_uniform, xavier_normal, he_uniform, he_normal, zeros, normal:STD."""
    dropout: Share = 0.0
    """Share of the last layer's inputs that are dropped in training; of a tcn, of each layer's outputs."""
    tta: Literal["off", "flip"] = "off"
    """What answers are averaged over when scored or predicted: flip is the picture and its mirror image."""
    patience: Annotated[int, Ge(0)] = 0
    """Stop after this many epochs without a better validation loss and keep the best weights; 0 is off."""
    augment: str | None = None
    """off, light, strong, or a list such as flip,crop=0.35,rotate=10."""
    val: Share | None = None
    """Share of the pictures kept for validation; 0 trains on everything."""
    test: Share | str | None = None
    """Share of the pictures kept for the final test, or a rule on a field of --label-pattern: n<5."""
    group: str | None = None
    """CSV column or regular expression on file names: a group's pictures stay on one side of a split."""
    folds: Annotated[int, Ge(2)] | None = None
    """Cross-validation: cut the pictures into so many parts, each the test of one training."""
    fold: Annotated[int, Ge(1)] | None = None
    """Train only this one of the folds, 1 to folds."""
    precision: Literal["float32", "bfloat16", "bfloat16-master", "float16"] | None = None
    """Numbers to compute with; bfloat16-master casts the weights once a step, float16 is for GPUs."""
    threads: Annotated[int, Ge(1), Le(1024)] | None = None
    """Processor threads of a step; what is left of the cores prepares the next batch."""
    layout: Literal["channels_last", "contiguous"] | None = None
    """How pictures lie in memory: the channels of a pixel together, or the pixels of a channel."""
    fused: bool | None = None
    """Update all weights in one pass over memory."""
    compile: bool | None = None
    """Compile the network first, which takes a minute or more."""
    kernels: Literal["library", "striate"] | None = None
    """Convolutions by PyTorch's library alone, as in a compiled network, or where it is slow by ours."""
    heap: Literal["system", "kept", "huge"] | None = None
    """Freed memory goes back to the system, is kept for the next step, or is kept in huge pages."""
    tune: Literal["off", "auto", "full"] = "auto"
    """Measure which settings of precision to heap are fastest here: not, in seconds, or for a minute."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Decides the split, the first weights, the order and every random draw."""

    def replace(self, **changes: Any) -> Recipe:
        """Return a checked copy with some fields changed."""
        return check({f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | changes)

    def toml(self) -> str:
        """Write the recipe as TOML, one key a line with its help; ``None`` is left out."""
        lines = []
        for name, text in helps().items():
            value = getattr(self, name)
            if value is not None:
                lines += [f"# {text}", f"{name} = {_toml_value(value)}"]
        return "\n".join(lines) + "\n"


# Settings that change how fast a step is and what it computes only by rounding; None is "measure".
SPEED = ("precision", "threads", "layout", "fused", "compile", "kernels", "heap")
INITS = ("default", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "zeros", "normal:STD")


def check(values: Mapping[str, Any]) -> Recipe:
    """Build a recipe from plain values.

    Raises RecipeError that names the key, the value received and the range or the nearest known key.
    """
    from pydantic import TypeAdapter, ValidationError

    names = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in names:
            raise RecipeError(f"Unknown setting {key!r} in the recipe.", did_you_mean(key, names))
    try:
        recipe = TypeAdapter(Recipe).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "?"
        flag = "--" + key.replace("_", "-")
        raise RecipeError(
            f"{flag}: {first['msg']}. Received: {values.get(key)!r}.", helps().get(key, "")
        ) from error
    for key in names:
        value = getattr(recipe, key)
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(
                f"--{key.replace('_', '-')}: must be a finite number. Received: {value}.", helps()[key]
            )
    _check_init(recipe.init)
    _check_fold(recipe)
    _check_reconstruction(recipe)
    return recipe


def _check_init(init: str) -> None:
    name, _, std = init.partition(":")
    try:
        known = init in INITS[:-1] or (name == "normal" and 0 < float(std) < math.inf)
    except ValueError:
        known = False
    if not known:
        raise RecipeError(f"--init: unknown initialisation {init!r}.", did_you_mean(init, INITS))


def _check_fold(recipe: Recipe) -> None:
    if recipe.fold is not None and (recipe.folds is None or recipe.fold > recipe.folds):
        of = "there are no --folds" if recipe.folds is None else f"there are only {recipe.folds} folds"
        raise RecipeError(f"--fold {recipe.fold}: {of}.", "Give --folds 5 --fold 1, for example.")
    if recipe.folds is not None and recipe.test is not None:
        raise RecipeError(
            "--folds and --test both say what is tested: each fold is the test once.", "Leave --test away."
        )


def _check_reconstruction(recipe: Recipe) -> None:
    if recipe.task != "reconstruction" and (recipe.corrupt != "off" or recipe.loss is not None):
        flag = "--loss" if recipe.loss is not None else "--corrupt"
        raise RecipeError(
            f"{flag} is for --task reconstruction.", f"Leave {flag} away, or add --task reconstruction."
        )


def read(path: Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises RecipeError where the file is missing, is no TOML, or holds an unknown key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"Cannot read the recipe {path}: {error.strerror}.", "Give the path of a recipe.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not TOML: {error}.", "Compare it with a run folder's recipe.toml."
        ) from error
    return check(values)


PACKAGED = Path(__file__).resolve().parents[1] / "recipes"


def packaged() -> list[str]:
    """Name the recipes that come with striate, such as resnet-cifar and resnet-cifar-quick."""
    return sorted(path.stem for path in PACKAGED.glob("*.toml"))


def named(recipe: str | Path) -> Recipe:
    """Read a recipe by its file's path, or one that comes with striate by its name.

    Raises RecipeError where there is neither; its hint has the nearest name and all others.

    >>> named("lenet5-quick").model
    'lenet5'
    """
    path = Path(recipe)
    if path.is_file() or path.name != str(recipe) or path.suffix == ".toml":
        return read(path)
    names = packaged()
    if str(recipe) not in names:
        near = did_you_mean(str(recipe), names)
        every = f"Known: {', '.join(names)}."
        raise RecipeError(f"Unknown recipe {str(recipe)!r}.", near if near == every else f"{near} {every}")
    return read(PACKAGED / f"{recipe}.toml")


def helps() -> dict[str, str]:
    """Map each field to its one-line help, read from the docstrings above."""
    import docstring_parser

    parsed = docstring_parser.parse_from_object(Recipe)
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    # JSON leaves DEL as it is, TOML does not take it.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
