"""Starting from weights: what stays fixed, and the new head fitted on the features below it.

The last layer's inputs are computed once for every picture; on them the head is a linear model, whose best
weights are found in seconds. From there the rest can learn without first being torn apart by a random head
(Kumar et al. 2022, Fine-tuning can distort pretrained features and underperform out-of-distribution).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from striate import taps
from striate.data.batches import plain
from striate.errors import ModelError, did_you_mean
from striate.runs.forward import computing

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.training.task import Task

# Strengths of the pull towards zero that are tried on the head, for features of mean square 1.
PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
MOST_NUMBERS = 2**27  # of all features together: half a GiB
BODY = "body"


@dataclass(frozen=True)
class Fitted:
    """A head that was fitted: how it does on the pictures it was fitted on, summed."""

    loss: float
    hits: float
    seen: int


def freeze(model: nn.Module, what: str, head: Collection[str], inputs: Tensor) -> None:
    """Fix a network's lower part: no gradients, and batch norms keep the statistics that they have.

    what: "body" is everything but the head; else the name of a module: all that is called until it has
    returned.   head: names of the head's tensors.   inputs: a batch to run, to see the order of calls.
    Raises ModelError for a name that is no module, or where nothing would be left to train.
    """
    if what == BODY:
        fixed = {name for name, _ in model.named_parameters()} - set(head)
    else:
        fixed = _until(model, what, inputs) - set(head)
    parameters = dict(model.named_parameters())
    if not set(parameters) - fixed:
        raise ModelError(f"--freeze {what} leaves nothing to train.", "Name a lower layer.")
    for name in fixed:
        parameters[name].requires_grad_(False)
    norms = [
        name
        for name, module in model.named_modules()
        if getattr(module, "running_mean", None) is not None
        and all(f"{name}.{own}" in fixed for own, _ in module.named_parameters(recurse=False))
    ]

    def keep(module: nn.Module, _inputs: object) -> None:
        for name in norms:
            module.get_submodule(name).training = False

    model.register_forward_pre_hook(keep)  # train() sets all modules, so it is undone where it would count


def fit_head(
    model: nn.Module,
    head: Collection[str],
    task: Task,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
    preprocess: Preprocess | Sequences,
    *,
    precision: str,
    device: torch.device,
) -> Fitted | None:
    """Give the head its best weights for the features as they are; None where it is not one last dense layer.

    The pull towards zero is the one that does best on ``held_out`` (without it, on every fifth training row).
    Full batches, L-BFGS: nothing is drawn, so the result repeats.
    """
    names = {name.rpartition(".")[0] for name in head}
    layer = _last(model, names, next(plain(pixels, train[:2], preprocess, 2, device)))
    if layer is None or (width := layer.in_features) > MOST_NUMBERS // 64:
        return None
    most = MOST_NUMBERS // width
    train = train[:: -(-len(train) // most)]
    if not len(held_out):
        held_out = train[4::5]
    rows = np.concatenate([train, held_out])
    found = _features(model, layer, pixels, rows, preprocess, precision=precision, device=device)
    scale = found[: len(train)].square().mean().sqrt().clamp_min(1e-12)
    seen, other = found.div_(scale).tensor_split([len(train)])
    kind = torch.float32 if targets.dtype.kind == "f" else torch.int64
    known, known_other = (torch.as_tensor(targets[part], dtype=kind) for part in (train, held_out))
    fitted = nn.Linear(width, layer.out_features)
    nn.init.zeros_(fitted.weight)
    nn.init.zeros_(fitted.bias)
    best = (float("inf"), {key: value.clone() for key, value in fitted.state_dict().items()})
    for penalty in PENALTIES:  # from strong to weak: each starts where the one before ended
        _solve(fitted, task, seen, known, penalty)
        with torch.no_grad():
            loss = task.losses(fitted(other), known_other).mean().item()
        if loss < best[0]:
            best = (loss, {key: value.clone() for key, value in fitted.state_dict().items()})
    fitted.load_state_dict(best[1])
    with torch.no_grad():
        outputs = fitted(seen)
        layer.weight.copy_(fitted.weight / scale)
        if layer.bias is not None:
            layer.bias.copy_(fitted.bias)
        loss, hits = task.losses(outputs, known).sum().item(), task.hits(outputs, known).sum().item()
    return Fitted(loss, hits, len(train))


def _until(model: nn.Module, name: str, inputs: Tensor) -> set[str]:
    """Name the parameters of every module that is called until the named one has returned."""
    modules = dict(model.named_modules())
    if name not in modules or not name:
        layers = [
            known for known, module in modules.items() if known and "." not in known and module is not model
        ]
        raise ModelError(f"--freeze: the network has no layer {name!r}.", did_you_mean(name, layers))
    called: set[str] = set()
    over = False

    def enter(call: taps.Call) -> None:
        if not over:
            called.update(
                f"{call.name}.{own}" if call.name else own
                for own, _ in call.module.named_parameters(recurse=False)
            )

    def leave(call: taps.Call) -> None:
        nonlocal over
        over = over or call.name == name

    was_training = model.training
    with torch.no_grad(), taps.calls(model.eval(), enter, leave):
        model(inputs)
    model.train(was_training)
    return called


def _last(model: nn.Module, names: set[str], inputs: Tensor) -> nn.Linear | None:
    """Find the dense layer among the named ones whose output is the network's; None where there is none."""
    outputs: dict[str, Any] = {}
    was_training = model.training
    with (
        torch.no_grad(),
        taps.calls(model.eval(), lambda _: None, lambda call: outputs.__setitem__(call.name, call.result)),
    ):
        result = model(inputs)
    model.train(was_training)
    for name in names & set(outputs):
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Linear) and outputs[name] is result and layer.bias is not None:
            return layer
    return None


def _features(
    model: nn.Module,
    layer: nn.Linear,
    pixels: NDArray[Any],
    rows: NDArray[np.int64],
    preprocess: Preprocess | Sequences,
    *,
    precision: str,
    device: torch.device,
) -> Tensor:
    """Collect a layer's inputs for some rows: (len(rows), in_features) float32 on the CPU."""
    found = torch.empty(len(rows), layer.in_features)
    done = 0

    def take(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal done
        given = arguments[0].float().cpu()
        found[done : done + len(given)] = given
        done += len(given)

    handle = layer.register_forward_pre_hook(take)
    was_training = model.training
    try:
        with torch.inference_mode():
            model.eval()
            for inputs in plain(pixels, rows, preprocess, 64, device):
                with computing(precision, inputs.device.type):
                    model(inputs)
    finally:
        handle.remove()
        model.train(was_training)
    return found


def _solve(layer: nn.Linear, task: Task, features: Tensor, targets: Tensor, penalty: float) -> None:
    rule = torch.optim.LBFGS(
        layer.parameters(), max_iter=100, tolerance_grad=1e-5, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        rule.zero_grad()
        loss = task.losses(layer(features), targets).mean() + penalty / 2 * layer.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())

    rule.step(closure)  # type: ignore[no-untyped-call]
