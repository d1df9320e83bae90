"""Weights to start from: a file, one of our runs, or the published ones.

A network takes them where names and shapes agree. Its head, the tensors whose shape follows the number of
classes, is taken only where the classes are the same; otherwise it stays new.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.data.preprocess import Preprocess, from_json
from striate.errors import ModelError, RunError, did_you_mean
from striate.events import Emit, Note, ignore
from striate.models import registry
from striate.runs import imagenet, weights
from striate.runs.folder import Run
from striate.runs.load import preprocess_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from striate.data.sequence import Sequences

FILES = (".safetensors", ".pth", ".pt", ".bin")
# Written beside torch's own tensors by training; an old file may lack it, and no prediction reads it.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Start:
    """Weights, and what is known of the network that they are of.

    model: its name, None where unknown.   classes: its outputs' names, empty where unknown.
    preprocess: how its pictures were prepared, None where unknown.
    """

    path: Path
    tensors: Mapping[str, Tensor] = field(repr=False)
    model: str | None = None
    small: bool = False
    classes: tuple[str, ...] = ()
    preprocess: Preprocess | Sequences | None = None


def find(weights_of: str, model: str | None, *, offline: bool = False, emit: Emit = ignore) -> Start:
    """Read the weights that somebody means.

    weights_of: "imagenet", a run folder, or a file (.safetensors; .pth, .pt, .bin: tensors only).
    model: the network they are for; None: the one they are of.
    Raises RunError or ModelError: no such file, not weights, code in it, or of an unknown network.
    """
    if weights_of == "imagenet":
        model = model or "resnet18"
        path = imagenet.file_of(model, offline=offline, emit=emit)
        return Start(path, _unpickled(path), model, preprocess=imagenet.preparation(model))
    path = Path(weights_of)
    if path.is_dir():
        return _of_run(path)
    if not path.is_file():
        near = did_you_mean(weights_of, ["imagenet"])
        hint = (
            near if near.startswith("Did") else "Give a .safetensors or .pth file, a run folder, or imagenet."
        )
        raise RunError(f"There are no weights {weights_of}.", hint)
    if path.suffix.lower() not in FILES:
        raise RunError(
            f"{path} is no weights file.", f"Give one of {', '.join(FILES)}, a run folder, or imagenet."
        )
    ours = path.suffix.lower() == ".safetensors"
    tensors, note = weights.read(path) if ours else (_unpickled(path), {})
    if note:
        return _noted(path, tensors, note)
    if model is None:
        model = fits(tensors)
        if model is None:
            raise RunError(f"{path} does not say of which network it is.", "Name it with --model.")
        emit(Note(f"{path.name} holds the weights of {model}."))
    outputs = {len(tensor) for tensor in tensors.values() if tensor.ndim == 1}
    if imagenet.CLASSES in outputs and model in imagenet.FILES:
        emit(Note(f"{path.name} has 1000 outputs: pictures are prepared as for ImageNet."))
        return Start(path, tensors, model, preprocess=imagenet.preparation(model))
    return Start(path, tensors, model)


def about(
    model: str | None, *, small: bool, classes: Sequence[str], preprocess: Preprocess | Sequences
) -> dict[str, Any]:
    """Give the note that a run's weights carry, so that the file alone is a start for others."""
    return {"model": model, "small": small, "classes": list(classes), "preprocess": preprocess.json()}


def head_of(model: Any, built: nn.Module, outputs: int, **asked: Any) -> frozenset[str]:
    """Name the tensors whose shapes follow the number of classes.

    model: a name or builder, as registry.build takes it with ``asked``; for a module: its last layer with so
    many outputs.
    """
    import torch
    from torch import nn

    found = registry.find(model) if isinstance(model, str) else model
    if not isinstance(found, nn.Module):
        try:
            with torch.device("meta"):
                one, two = (registry.build(model, classes=outputs + more, **asked) for more in (1, 2))
            named = _of_other_shape(one, two)
        except ModelError:  # somebody's builder that needs values
            named = set()
        if named:
            return frozenset(named)
    last = [
        name
        for name, module in built.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)) and module.weight.shape[0] == outputs
    ][-1:]
    return frozenset(
        f"{name}.{part}" for name in last for part, _ in built.get_submodule(name).named_parameters()
    )


def take(model: nn.Module, start: Start, head: frozenset[str], *, name: str, classes: Sequence[str]) -> bool:
    """Fill a network with the weights; return whether its head is left new.

    name: of the network, for the message.   Raises RunError that names the first tensors that differ.
    """
    import torch

    own = model.state_dict()
    given = _renamed(start.tensors, own, getattr(type(model), "heads", ()))
    new_head = not (start.classes and tuple(classes) == start.classes)
    differ = []
    for key, tensor in own.items():
        if key in head and new_head:
            continue
        there = given.get(key)
        if there is None:
            if not key.endswith(COUNTER):
                differ.append(f"{key} is missing there")
        elif there.shape != tensor.shape:
            differ.append(f"{key} is {_sizes(there)} there, {_sizes(tensor)} here")
    differ += [f"{key} is only there" for key in given if key not in own]
    if differ:
        more = f"; {len(differ) - 3} more" if len(differ) > 3 else ""
        of = fits(start.tensors)
        raise RunError(
            f"{start.path} does not fit {name}: {'; '.join(differ[:3])}{more}.",
            f"It fits {of}: --model {of}."
            if of and of != name
            else "Give the --model and --stem that it is of.",
        )
    with torch.no_grad():
        for key, tensor in own.items():
            if key in given and not (key in head and new_head):
                tensor.copy_(given[key])
    return new_head


def fits(tensors: Mapping[str, Tensor]) -> str | None:
    """Find the network of ours that has these names and shapes, whatever its number of classes."""
    import torch

    for name, known in registry.MODELS.items():
        with torch.device("meta"):
            built = known.builder()
        own = built.state_dict()
        given = _renamed(tensors, own, getattr(type(built), "heads", ()))
        off = [key for key, tensor in own.items() if key not in given or given[key].shape != tensor.shape]
        off = [key for key in off if key in given or not key.endswith(COUNTER)]
        if set(given) <= set(own) and len(off) <= 6:
            with torch.device("meta"):
                other = registry.build(name, classes=(known.classes or 0) + 1)
            if set(off) <= _of_other_shape(built, other) & set(given):
                return name
    return None


def _of_other_shape(one: nn.Module, two: nn.Module) -> set[str]:
    """Name the tensors in which two builds of a network differ in shape."""
    shapes = {name: tensor.shape for name, tensor in two.state_dict().items()}
    return {name for name, tensor in one.state_dict().items() if shapes.get(name) != tensor.shape}


def _of_run(path: Path) -> Start:
    run = Run(path)
    info = run.info
    tensors, _ = weights.read(path / "model.safetensors")
    small = run.recipe.stem == "small"
    return Start(path, tensors, info["model"], small, tuple(info["classes"]), preprocess_of(run))


def _noted(path: Path, tensors: dict[str, Tensor], note: Mapping[str, Any]) -> Start:
    try:
        preprocess = from_json(note["preprocess"]) if "preprocess" in note else None
        return Start(
            path,
            tensors,
            note.get("model"),
            bool(note.get("small")),
            tuple(note.get("classes", ())),
            preprocess,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged: its note cannot be read.", "Give the run's folder instead."
        ) from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    """Read tensors from torch's own format, and nothing else: no code in it is run."""
    import torch

    refused = RunError(
        f"{path} holds more than tensors and was not opened: it could run code.",
        "Save its state_dict() as .safetensors, or as .pth that torch.load(weights_only=True) reads.",
    )
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise refused from error
    except Exception as error:
        with open(path, "rb") as file:
            if file.read(1) == b"\x80":  # a bare pickle, which torch refuses by its version
                raise refused from error
        raise RunError(
            f"{path} is damaged or no weights file: {' '.join(str(error).split())[:120]}.",
            "Get the file again, or give another.",
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held:
        raise RunError(
            f"{path} holds no state_dict but {type(held).__name__}.", "Give a file of named tensors."
        )
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in held.items()):
        raise RunError(f"{path} holds other things beside named tensors.", "Give the state_dict alone.")
    return {key.removeprefix("module."): value for key, value in held.items()}  # module.: DataParallel's


def _renamed(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], heads: Sequence[str]
) -> dict[str, Tensor]:
    """Bring a file's names to the network's: heads that it was built without are left out."""
    renamed = {}
    for key, tensor in given.items():
        # DenseNet's published file is older than torch's rule that a name holds no dot.
        name = key if key in own else re.sub(r"\.(norm|conv)\.([12])\.", r".\1\2.", key)
        if name in own or not name.startswith(tuple(f"{head}." for head in heads)):
            renamed[name] = tensor
    return renamed


def _sizes(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
