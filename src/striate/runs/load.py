"""From a run folder back to the trained network, and from a name to a network of one's own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.data.preprocess import Preprocess
from striate.data.preprocess import from_json as preprocess_from_json
from striate.data.sequence import Sequences
from striate.errors import RunError
from striate.models import registry
from striate.runs import weights
from striate.runs.folder import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

TRIED = 8  # pictures that the forms of a network are measured on


def load(path: str | Path, *, trust: bool = False, model: Any = None) -> Run:
    """Open a run folder.

    trust: allow a model from outside striate, whose code is then imported and run.
    model: the function or module to use instead of the one the run names; needs no trust.
    Raises RunError: no run, damaged, from another version, or code that is not trusted.
    """
    run = Run(Path(path), trust, model)
    chosen_of(run)
    return run


def chosen_of(run: Run) -> Any:
    """Give what the run's network is built from. Raises RunError for code that is not trusted."""
    named = run.info["model"]
    if run.given_model is not None:
        return run.given_model
    if not isinstance(named, str):
        raise _damaged(run, f"its model is {named}")
    if not run.trusted and not registry.is_ours(named):
        raise RunError(
            f"The model of {run.path}, {named}, is code from outside striate.",
            "If you trust that code, add --trust (trust=True in Python), or pass model=.",
        )
    return named


def own(
    model: Any,
    *,
    classes: int | None,
    channels: int | None,
    size: int | None = None,
    length: int | None = None,
    rate: int | None = None,
    every: bool = False,
    small: bool = False,
) -> torch.nn.Module:
    """Build a network that is nobody else's: a module, given or found by its name, is copied.

    model and the rest: as :func:`striate.models.registry.build` takes them, with its errors.
    """
    from torch import nn

    found = registry.find(model) if isinstance(model, str) else model
    if isinstance(found, nn.Module):
        return copy.deepcopy(found)
    return registry.build(
        model,
        classes=classes,
        channels=channels,
        size=size,
        length=length,
        rate=rate,
        every=every,
        small=small,
    )


def offered(preprocess: Preprocess | Sequences) -> dict[str, int | None]:
    """What a network's builder may ask for, of what it will be given."""
    if isinstance(preprocess, Sequences):
        rate = preprocess.rate or None
        return {"channels": preprocess.channels, "length": preprocess.length, "rate": rate}
    return {"channels": preprocess.channels, "size": preprocess.size}


def model_of(run: Run) -> torch.nn.Module:
    """Build the run's network and fill in its weights; in evaluation mode, on the CPU."""
    import torch

    info, preprocess = run.info, preprocess_of(run)
    every = info["task"] == "next-step"
    model = own(
        chosen_of(run),
        classes=outputs_of(info, preprocess),
        every=every,
        small=run.recipe.stem == "small",
        **offered(preprocess),
    )
    path = run.path / "model.safetensors"
    if not path.exists() and info["status"] != "finished":
        raise RunError(
            f"{run.path} has no weights yet: it was cut off.",
            f"Finish it with: striate train --resume {run.path}",
        )
    tensors, _ = weights.read(path)
    weights.fill(model, tensors, path)
    return model.to("cpu", memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def outputs_of(info: Mapping[str, Any], preprocess: Preprocess | Sequences) -> int:
    """Count the outputs that the network of a run has, a step where it answers at each."""
    return preprocess.channels if info["task"] == "next-step" else len(info["classes"]) or 1


def fastest_of(run: Run) -> torch.nn.Module:
    """Give the run's network in its fastest form, found on a few made-up pictures of the run's size."""
    import torch

    from striate.runs.fused import fastest

    preprocess = preprocess_of(run)
    pictures = torch.randn(
        (TRIED, *preprocess.shape),
        generator=torch.Generator().manual_seed(0),  # mean 0 and variance 1, as normalised pictures have them
    )
    return fastest(run.model, pictures, precision=run.precision)


def preprocess_of(run: Run) -> Preprocess | Sequences:
    """Give the run's own preprocessing."""
    try:
        return preprocess_from_json(run.info["preprocess"])
    except KeyError as error:
        raise RunError(
            f"{run.path / 'run.json'} holds no {error}.", "The run is damaged or was never finished."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise _damaged(run, "its preprocess cannot be read") from error


def _damaged(run: Run, why: str) -> RunError:
    return RunError(f"{run.path / 'run.json'} is damaged: {why}.", "Restore the file or train again.")
