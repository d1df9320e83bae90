"""How a score moves with each input value: the gradient, its mean over noise, and its mean along a path."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.errors import ModelError
from striate.explain.layers import answer, batches, chosen, follow, named, still
from striate.ops.sequence import lengths, true_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

BATCH = 8
"""Pictures in one pass with gradients: a ResNet-50 at 224 pixels then stays under 2 GB."""
INCOMPLETE, MOST_STEPS = 0.01, 512


def saliency(model: nn.Module, x: Tensor, target: int | Sequence[int] | Tensor | None = None) -> Tensor:
    """Give the gradient of a class's score with respect to the input, signed.

    model: gives scores (N, K) before the softmax.   x: (N, C, H, W) or (N, C, L), as the network takes it.
    target: a class, one class for each picture, or None for the network's own answer.
    Returns: like x; score per unit of input. The network is left as it was, ``.grad`` included.
    Raises ModelError for a class that the network does not have, and where there is no gradient.
    Source: Simonyan, Vedaldi and Zisserman 2014, section 3.

    >>> double = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.constant_(double.weight, 2.0)
    >>> saliency(double, torch.tensor([[5.0, 7.0]])).tolist()
    [[2.0, 2.0]]
    """
    index = classes(model, x, target)
    return averaged(model, x, index, lambda rows, _: x[rows], 1)


def smoothgrad(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    samples: int = 16,
    noise: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """Give the mean gradient over noisy copies of the input, which is less speckled than one gradient.

    model, x, target, Returns, Raises: as :func:`saliency`; the class is the one without noise.
    samples: copies.   noise: standard deviation as a part of each picture's range; the padding behind a
    sequence (N, C, L) stays zero, as noise there would make it longer.
    seed: of the noise; every picture gets the same, so that a map does not depend on the others in a batch.
    Source: Smilkov et al. 2017, section 3; the paper takes noise of 0.1 to 0.2 and up to 50 samples.
    """
    index = classes(model, x, target)
    drawn = torch.randn((samples, *x.shape[1:]), generator=torch.Generator().manual_seed(seed)).to(x)
    flat = x.detach().flatten(1)
    spread = (noise * (flat.amax(1) - flat.amin(1))).view(-1, *(1,) * (x.dim() - 1))
    if x.dim() == 3:
        spread = spread * true_steps(lengths(x), x.shape[2])
    return averaged(model, x, index, lambda rows, k: x[rows] + spread[rows] * drawn[k], samples)


def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    *,
    baseline: Tensor | float | None = None,
    steps: int = 32,
    most: int = MOST_STEPS,
) -> Tensor:
    """Share the difference between the scores of an input and of a baseline out among the input values.

    model, x, target, Returns, Raises: as :func:`saliency`, but in units of score.
    baseline: an input without content, like x or a number for all of it; None is zeros, which for normalised
    pixels is the mean colour of the training pictures.
    steps: points on the straight path, in the middle of equal parts. A picture whose shares miss the
    difference by more than 1 % is done again with twice as many, up to ``most``; what that gives is returned.
    Source: Sundararajan, Taly and Yan 2017, section 3 and proposition 1 (completeness).
    """
    index = classes(model, x, target)
    x = x.detach()
    away = torch.zeros_like(x) if baseline is None else torch.as_tensor(baseline).to(x).expand_as(x)
    wanted = scores(model, x, index) - scores(model, away, index)
    found, left = torch.zeros_like(x, dtype=wanted.dtype), torch.arange(len(x), device=x.device)
    while len(left):
        found[left] = _shares(model, x[left], away[left], index[left], steps)
        missed = (found[left].flatten(1).sum(1) - wanted[left]).abs()
        steps *= 2
        left = left[(missed > INCOMPLETE * wanted[left].abs()) & (steps <= most)]
    return found


def _shares(model: nn.Module, x: Tensor, away: Tensor, index: Tensor, steps: int) -> Tensor:
    path = x - away
    middle = ((torch.arange(steps).to(path) + 0.5) / steps).view(-1, *(1,) * (x.dim() - 1))
    return path * averaged(model, path, index, lambda rows, k: away[rows] + middle[k] * path[rows], steps)


def averaged(
    model: nn.Module,
    x: Tensor,
    index: Tensor,
    point: Callable[[Tensor, Tensor], Tensor],
    count: int,
) -> Tensor:
    """Give each picture's mean gradient over ``count`` points, few at a time so that memory is bounded.

    point: gives the inputs for rows of x and numbers of points, both (M,).
    """
    total = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
    for some in batches(torch.arange(len(x) * count, device=x.device), BATCH):
        rows = some // count
        with differentiable(model, point(rows, some % count)) as leaf:
            reached = chosen(answer(model(leaf.clone())), index[rows])
            found = slope(reached.sum(), leaf)
        total.index_add_(0, rows, found.to(total.dtype))
    return total / count


def slope(reached: Tensor, leaf: Tensor) -> Tensor:
    """Give the gradient of a number with respect to a tensor; nothing is added to anybody's ``.grad``.

    Raises ModelError where the number does not come from the tensor by steps that have gradients.
    """
    found = torch.autograd.grad(reached, leaf, allow_unused=True)[0] if reached.requires_grad else None
    if found is None:
        raise ModelError(
            "The network's scores have no gradient with respect to its input.",
            "It computes without gradients; occlusion needs none.",
        )
    return found


@contextmanager
def differentiable(model: nn.Module, x: Tensor) -> Iterator[Tensor]:
    """Let gradients be computed, wherever this is called, and give the input as a leaf of their graph.

    The leaf has the number format of the network's weights. Hand the network a clone of it: its first
    operation may be in place. Raises ModelError for an input of whole numbers.
    """
    if not x.is_floating_point():
        raise ModelError(
            f"The network is given numbers of the type {str(x.dtype).removeprefix('torch.')}.",
            "Give float32, scaled as in training.",
        )
    weight = next((weight for weight in model.parameters() if weight.is_floating_point()), x)
    with torch.inference_mode(False), torch.enable_grad(), still(model):
        yield x.detach().clone().to(weight.dtype).requires_grad_()


def scores(model: nn.Module, x: Tensor, index: Tensor) -> Tensor:
    """Give each picture's score (N,) of its class, in float32 at least."""
    found = []
    for some in batches(torch.arange(len(x), device=x.device), BATCH):
        with differentiable(model, x[some]) as leaf, torch.no_grad():
            found.append(chosen(answer(model(leaf.clone())), index[some]))
    together = torch.cat(found)
    return together.to(torch.promote_types(together.dtype, torch.float32))


def classes(model: nn.Module, x: Tensor, target: int | Sequence[int] | Tensor | None) -> Tensor:
    """Give each picture's class (N,): those asked for, or with None the network's own answers.

    Raises ModelError for a number of classes that is not the number of pictures.
    """
    if target is not None:
        index = torch.as_tensor(target, device=x.device)
        if index.numel() not in {1, len(x)}:
            raise ModelError(f"{index.numel()} classes are given for {len(x)} pictures.", "Give one each.")
        return index.flatten().expand(len(x))
    found = []
    for some in batches(x, BATCH):
        with differentiable(model, some) as leaf, torch.no_grad():
            found.append(answer(model(leaf.clone())).argmax(1))
    return torch.cat(found)


def watched(model: nn.Module, x: Tensor, layer: str) -> tuple[object, Tensor]:
    """Run a network and give what it returns, and what the layer or block put out, in one graph.

    Raises ModelError for an unknown layer; it lists them.
    """
    kept: list[Tensor] = []

    def keep(name: str, _module: nn.Module, output: Tensor) -> Tensor | None:
        if name != layer:
            return None
        kept.append(output.clone())
        return kept[-1].clone()  # what comes next may change it in place

    returned = follow(model, x.clone(), keep, blocks=True)
    if not kept:
        named(model, x.detach(), layer)
    return returned, kept[-1]
