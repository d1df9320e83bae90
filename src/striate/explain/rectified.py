"""Which pattern of a picture drove a unit: the gradient with its ReLUs run backwards in other ways.

Both methods follow the signal from a unit back to the pixels as the gradient does, but for the ReLUs. They
show what made a unit or a class answer in this picture, and are close to a copy of the picture's edges: do
not ask them why one class and not another (Adebayo et al. 2018; Nie, Zhang and Patel 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from striate.errors import ModelError
from striate.explain.gradients import BATCH, classes, differentiable, slope, watched
from striate.explain.layers import answer, batches, chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

ATEN = torch.ops.aten
RECTIFIERS = {ATEN.threshold_backward.default, ATEN.hardtanh_backward.default}
"""What all spellings of ReLU and ReLU6 run backwards; clamp(min=0) and maximum(x, 0) are none of them."""
OTHERS = ("Gelu", "Silu", "Tanh", "Sigmoid", "Elu", "Leaky", "Hard", "Mish", "Softplus", "Clamp", "Where")


def deconvnet(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    layer: str | None = None,
    unit: int | None = None,
) -> Tensor:
    """Project a class's score, or one unit of a layer, back to the pixels through a deconvnet.

    On the way down a convolution is its transpose, a batch norm its multiplication, a max pooling puts each
    value back where the maximum was, and a ReLU keeps what is positive of the signal, wherever the forward
    one let through. Other activations keep their own gradient. Half random, networks still give much the
    same picture: rank correlation 0.4 (a LeNet-5) to 0.75 (a ResNet).

    model: gives scores (N, K).   x: (N, C, H, W) or (N, C, L).
    target: a class, one for each picture, or None for the network's own; not used with a layer.
    layer, unit: keep one unit of that layer, or with unit None its most active one, where it answers most;
    all else is 0. The signal begins as 1; the paper begins with the answer itself, which is only a scale.
    Returns: like x, signed. The network is left as it was.
    Raises ModelError for an unknown layer, unit or class, and where no ReLU is found.
    Source: Zeiler and Fergus 2014, section 2.1.
    """
    return _backwards(model, x, target, layer, unit, lambda signal, _: signal.clamp(min=0))


def guided_backpropagation(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    layer: str | None = None,
    unit: int | None = None,
) -> Tensor:
    """Project back as :func:`deconvnet` does, with ReLUs that stop also where the forward ones were shut.

    Arguments, result and errors are those of :func:`deconvnet`.
    It fails the sanity check of Adebayo et al. 2018: it hardly depends on what the network has learned. With
    the upper half of the layers random its rank correlation is 0.68 to 0.94 on our networks, the gradient's
    within 0.2. Show it only with the badge of :func:`striate.explain.sanity`.
    Source: Springenberg et al. 2015, section 3.4.
    """
    return _backwards(model, x, target, layer, unit, lambda signal, slope: slope(signal.clamp(min=0)))


class Rectifiers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs ReLUs backwards by a rule of its own, and counts them.

    Below autograd all spellings are one operator: modules, functions, in place or not. A module's hooks would
    see modules only, and on a network that calls F.relu leave the plain gradient without a word.
    """

    def __init__(self, rule: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rule, self.caught = rule, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in RECTIFIERS or args[2] != 0:
            return func(*args, **(kwargs or {}))
        self.caught += 1
        signal, *rest = args
        return self.rule(signal, lambda signal: func(signal, *rest))


def _backwards(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None,
    layer: str | None,
    unit: int | None,
    rule: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor],
) -> Tensor:
    index = classes(model, x, target) if layer is None else None
    found = []
    for rows in batches(torch.arange(len(x), device=x.device), BATCH):
        with differentiable(model, x[rows]) as leaf:
            if layer is None:
                assert index is not None
                reached = chosen(answer(model(leaf.clone())), index[rows])
            else:
                reached = _strongest(watched(model, leaf, layer)[1], layer, unit)
            with Rectifiers(rule) as rectifiers:
                signal = slope(reached.sum(), leaf)
            if not rectifiers.caught and (layer is None or _bends(reached)):
                raise ModelError(
                    "No ReLU was found on the way back to the input.",
                    "This method is about ReLUs: take saliency, integrated_gradients or occlusion.",
                )
        found.append(signal.to(torch.promote_types(x.dtype, torch.float32)))
    return torch.cat(found)


def _strongest(output: Tensor, layer: str, unit: int | None) -> Tensor:
    """Give each picture's (N,) largest value of a unit, or of the unit that has the largest."""
    if unit is None:
        return output.flatten(1).amax(1)
    if not 0 <= unit < output.shape[1]:
        raise ModelError(f"Layer {layer} has no unit {unit}.", f"Its units are 0 to {output.shape[1] - 1}.")
    return output[:, unit].flatten(1).amax(1)


def _bends(reached: Tensor) -> bool:
    """Say whether another activation lies on the way: before the first one a layer is fine without a ReLU."""
    todo, seen = [reached.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        if node.name().startswith(OTHERS):
            return True
        seen.add(node)
        todo += [before for before, _ in node.next_functions]
    return False
