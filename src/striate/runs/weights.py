"""Tensors on disk, as safetensors: no code in the file, whole or not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from striate.errors import RunError
from striate.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer


def write(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any] | None = None) -> None:
    """Write tensors and a JSON note into one file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Tensors that share memory (tied weights) would be refused; a copy of each is what a reader expects.
    seen: set[int] = set()
    for name, tensor in plain.items():
        if tensor.numel() and tensor.data_ptr() in seen:
            plain[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    write_bytes(path, save(plain, {"note": json.dumps(note or {})}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write` wrote. Raises RunError where the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {}).get("note", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118 - not a dict
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is missing.", "The run was stopped before its first save, or files were removed."
        ) from error
    except (SafetensorError, ValueError, OSError) as error:
        raise RunError(
            f"{path} is damaged: {' '.join(str(error).split())[:120]}", "Restore the file or train again."
        ) from error


def fill(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a module; every name and shape must match. Raises RunError."""
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = " ".join(str(error).split("\n")[1:2]).strip() or str(error).split("\n", maxsplit=1)[0]
        raise RunError(
            f"{path} does not fit the model: {first[:160]}", "The model's code has changed since the run."
        ) from error


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Split an optimiser's memory into tensors and numbers, named ``index.name``."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    for index, memory in optimiser.state_dict()["state"].items():
        for name, value in memory.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            elif value is not None:
                numbers[f"{index}.{name}"] = value
    return tensors, numbers


def fill_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
    """Give an optimiser back its memory, exactly."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **numbers}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    # The fused rules walk raw memory: each tensor must lie there as its weight does (channels last).
    for weight, memory in optimiser.state.items():
        for name, value in memory.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                memory[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
