"""The maps of a picture, by the names that a user calls their methods."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from striate import events, explain
from striate.errors import ModelError, RecipeError, did_you_mean
from striate.report.heat import fitted
from striate.report.inside.contents import Map
from striate.report.inside.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.events import Emit

MAKE: dict[str, Callable[..., Tensor]] = {
    "grad-cam": explain.grad_cam,
    "occlusion": explain.occlusion,
    "integrated-gradients": explain.integrated_gradients,
    "saliency": explain.saliency,
    "deconvnet": explain.deconvnet,
    "guided": explain.guided_backpropagation,
}
POINTS, FEWER = 64, 16  # of integrated gradients: on a page, and for the check of its map
LAYERED, UNITED = {"grad-cam", "deconvnet", "guided"}, {"deconvnet", "guided"}


class Asked(NamedTuple):
    """Which methods, with what they are asked for beside a class."""

    methods: tuple[str, ...]
    layer: str | None = None
    unit: int | None = None
    seed: int = 0

    def make(
        self, method: str, target: int | None, points: int = POINTS
    ) -> Callable[[nn.Module, Tensor], Tensor]:
        """Give the method for a class, as a function of network and pictures.

        points: of integrated gradients, at most.
        """
        more: dict[str, Any] = {"layer": self.layer} if method in LAYERED else {}
        if method in UNITED:
            more["unit"] = self.unit
        if method == "integrated-gradients":
            more |= {"steps": points // 2, "most": points}
        return partial(MAKE[method], target=target, **more)


def applying(model: nn.Module, x: Tensor, asked: Asked, *, named: bool, emit: Emit = events.ignore) -> Asked:
    """Leave out the methods that this network does not allow, and say why.

    named: the user named the methods, so that one that does not apply is an error: ModelError.
    """
    left = []
    for method in asked.methods:
        try:
            if method in LAYERED:  # the others apply to every network
                asked.make(method, None)(model, x[:1])
        except ModelError as error:
            if named:
                raise
            emit(events.Note(f"{METHODS[method].title} is left out: {error.message}"))
        else:
            left.append(method)
    return asked._replace(methods=tuple(left))


def known(methods: Sequence[str]) -> tuple[str, ...]:
    """Check the names of methods; none are all of them. Raises RecipeError."""
    for method in methods:
        if method not in MAKE:
            raise RecipeError(f"Unknown method {method!r}.", did_you_mean(method, MAKE))
    return tuple(dict.fromkeys(methods)) or tuple(MAKE)


def maps_of(
    model: nn.Module, x: Tensor, asked: Asked, target: int, versus: int | None, beside: Tensor
) -> list[Map]:
    """Make a picture's maps; those for a class also for the one that it is compared with.

    x: (1, C, H, W).   Each carries what became of it when the weights were randomised; Grad-CAM's few values
    would agree by chance, so that its check takes pictures ``beside`` this one, too.
    """
    found = []
    for method in asked.methods:
        make = asked.make(method, target)
        values = make(model, x)
        other = None
        if versus is not None and not METHODS[method].pattern:
            other = shown(asked.make(method, versus)(model, x), x)[0]
        several = beside if method == "grad-cam" else x
        checked = explain.sanity(model, several, asked.make(method, target, FEWER), seed=asked.seed)
        coarse = (int(values.shape[2]), int(values.shape[3]))
        if METHODS[method].pattern:
            found.append(Map(method, values[0].numpy(), None, checked.badge, checked.moves))
        else:
            found.append(Map(method, shown(values, x)[0], other, checked.badge, checked.moves, coarse))
    return found


def shown(values: Tensor, x: Tensor) -> NDArray[Any]:
    """Add up the channels of maps (N, C, h, w), and enlarge them to their pictures: (N, H, W)."""
    flat, (height, width) = values.sum(1).numpy(), x.shape[2:]
    if flat.shape[1:] == (height, width):
        return flat
    return np.stack([fitted(one, height, width) for one in flat])
