"""The layers of any network by name, and what they put out; the network is left as it was."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from striate import taps
from striate.errors import ModelError, did_you_mean
from striate.summary.rows import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import nn

LISTED = 12  # names that a message holds


@dataclass(frozen=True)
class Layer:
    """A call of a module. name: its path; a module's second call is ``relu#2``.

    kind: its class's name.   output: (C, H, W), (C, L) or (F,), without the batch.
    """

    name: str
    kind: str
    output: tuple[int, ...]

    @property
    def has_places(self) -> bool:
        """Whether it puts out maps and not single numbers."""
        return len(self.output) > 1


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Set a network to evaluation for a while; each of its modules gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def answer(output: object) -> Tensor:
    """Give the scores (N, K) of what a network returned: the first tensor, where it returned several."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.dim() != 2:
        received = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"The network gives no scores (N, K). Received: {received}.", "Give a classifier.")
    return output


def chosen(scores: Tensor, target: int | Sequence[int] | Tensor | None) -> Tensor:
    """Give each picture's score (N,) of a class, of one class each, or with None of its best.

    Raises ModelError for a class that the network does not have.
    """
    if target is None:
        return scores.amax(1)
    index = torch.as_tensor(target, device=scores.device).expand(len(scores))
    if not bool(((index >= 0) & (index < scores.shape[1])).all()):
        raise ModelError(
            f"The network has no output {index.tolist()[0]}.", f"Its outputs are 0 to {scores.shape[1] - 1}."
        )
    return scores.gather(1, index[:, None])[:, 0]


def follow(
    model: nn.Module,
    x: Tensor,
    use: Callable[[str, nn.Module, Tensor], Tensor | None],
    *,
    blocks: bool = False,
) -> object:
    """Run a network in evaluation and show the output of each layer to ``use``, in the order of the calls.

    A layer is a module that calls no other and puts out one tensor (N, ...); what makes a layer's weights, as
    weight norm does, is none. What ``use`` returns takes the place of the output; a layer's output may be
    changed afterwards by an in-place operation, so whoever keeps one keeps a clone, and whoever asks for its
    gradient returns the clone.
    blocks: also modules that call others, each after what is in it.
    """
    counts: dict[str, int] = {}

    def leave(call: taps.Call) -> None:
        if "parametrizations" in call.name.split("."):
            return
        if (
            (blocks or is_leaf(call.module))
            and call.error is None
            and isinstance(call.result, Tensor)
            and len(call.result) == len(x)
        ):
            counts[call.name] = counts.get(call.name, 0) + 1
            again = f"#{counts[call.name]}" if counts[call.name] > 1 else ""
            put = use(call.name + again, call.module, call.result)
            call.result = call.result if put is None else put

    with still(model), taps.calls(model, lambda _: None, leave):
        return model(x)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module calls no other; what makes its weights does not count."""
    return parametrize.is_parametrized(module) or next(module.children(), None) is None


def batches(x: Tensor | Iterable[Tensor], size: int = 64) -> Iterator[Tensor]:
    """Cut pictures (N, ...) into batches; those of a stream come as they are."""
    yield from torch.split(x, size) if isinstance(x, Tensor) else x


def layers(model: nn.Module, x: Tensor) -> list[Layer]:
    """List the layers of a network that run on an input (N, ...), in that order.

    >>> from torch import nn
    >>> layers(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU()), torch.zeros(1, 1, 5))[0]
    Layer(name='0', kind='Conv1d', output=(2, 3))
    """
    found = []

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        found.append(Layer(name, kind_of(module), tuple(output.shape[1:])))

    with torch.no_grad():
        follow(model, x[:1], note)
    return found


def named(model: nn.Module, x: Tensor, name: str) -> Layer:
    """Find a layer by its name. Raises ModelError that lists the layers."""
    every = layers(model, x)
    for layer in every:
        if layer.name == name:
            return layer
    names = [layer.name for layer in every]
    near = did_you_mean(name, names)
    some = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    hint = f"{near} Layers: {some}." if near.startswith("Did") else f"Layers: {some}."
    raise ModelError(f"The network has no layer {name!r}.", hint)


def unit_of(layer: Layer, unit: int) -> int:
    """Check a unit's number. Raises ModelError that says which there are."""
    if not 0 <= unit < layer.output[0]:
        raise ModelError(
            f"Layer {layer.name} has no unit {unit}.", f"Its units are 0 to {layer.output[0] - 1}."
        )
    return unit


def output_of(model: nn.Module, x: Tensor, name: str) -> Tensor:
    """Give what a layer puts out (N, C, ...) for an input, as it was before anything changed it in place.

    Raises ModelError for an unknown layer.
    """
    kept: dict[str, Tensor] = {}

    def keep(layer: str, _module: nn.Module, output: Tensor) -> None:
        if layer == name:
            kept[name] = output.clone()

    with torch.no_grad():
        follow(model, x, keep)
    return kept[name] if name in kept else kept[named(model, x, name).name]
