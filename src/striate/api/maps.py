"""The maps of a picture or along a sequence, by the names that a user calls their methods."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from striate import events, explain
from striate.data.sequence import TINY
from striate.errors import ModelError, RecipeError, did_you_mean
from striate.explain.cam import last_maps
from striate.ops.sequence import lengths, true_steps
from striate.report.heat import fitted
from striate.report.inside.contents import Map
from striate.report.inside.methods import METHODS
from striate.summary.inspect import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from striate.data.sequence import Sequences
    from striate.events import Emit

MAKE: dict[str, Callable[..., Tensor]] = {
    "grad-cam": explain.grad_cam,
    "occlusion": explain.occlusion,
    "integrated-gradients": explain.integrated_gradients,
    "saliency": explain.saliency,
    "deconvnet": explain.deconvnet,
    "guided": explain.guided_backpropagation,
}
WINDOWS = 20  # of a sequence that hiding takes apart, each beginning a quarter of it after the one before
POINTS, FEWER = 64, 16  # of integrated gradients: on a page, and for the check of its map
LAYERED, UNITED = {"grad-cam", "deconvnet", "guided"}, {"deconvnet", "guided"}


class Asked(NamedTuple):
    """Which methods, with what they are asked for beside a class. about: what is known of a sequence."""

    methods: tuple[str, ...]
    layer: str | None = None
    unit: int | None = None
    seed: int = 0
    about: Sequences | None = None

    def make(
        self, method: str, target: int | Tensor | None, points: int = POINTS
    ) -> Callable[[nn.Module, Tensor], Tensor]:
        """Give the method for a class, as a function of network and pictures.

        points: of integrated gradients, at most.
        """
        more: dict[str, Any] = {"layer": self.layer} if method in LAYERED else {}
        if method in UNITED:
            more["unit"] = self.unit
        if method == "integrated-gradients":
            more |= {"steps": points // 2, "most": points}
        made = partial(MAKE[method], target=target, **more)
        return made if self.about is None else partial(_along, made, method, self.about)


def _along(make: Callable[..., Tensor], method: str, about: Sequences, model: nn.Module, x: Tensor) -> Tensor:
    """Ask a method about sequences (N, C, L): what has no content is as long as they are, and no letter."""
    letters = about.channels if about.modality == "symbols" else 0
    if method == "occlusion":
        window = max(1, x.shape[2] // WINDOWS)
        fill = 1 / letters if letters else "mean"
        return make(model, x, window=window, stride=max(1, window // 4), fill=fill)
    if method == "integrated-gradients":
        there = true_steps(lengths(x), x.shape[2])
        return make(model, x, baseline=there * (1 / letters if letters else TINY))
    found = make(model, x)
    return found * x if letters and method != "grad-cam" else found


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

    x: (1, C, H, W) or (1, C, L).   Each carries what became of it when the weights were randomised;
    Grad-CAM's few values would agree by chance, so that its check takes pictures ``beside`` this one, too.
    """
    found = []
    for method in asked.methods:
        make = asked.make(method, target)
        values = make(model, x)
        at = centres(model, x, asked, method, values.shape[-1])
        other = None
        if versus is not None and not METHODS[method].pattern:
            other = shown(asked.make(method, versus)(model, x), x, at)[0]
        several = beside if method == "grad-cam" else x
        checked = explain.sanity(model, several, asked.make(method, target, FEWER), seed=asked.seed)
        coarse = tuple(map(int, values.shape[2:]))
        if METHODS[method].pattern and asked.about is None:
            found.append(Map(method, values[0].numpy(), None, checked.badge, checked.moves))
        else:
            found.append(Map(method, shown(values, x, at)[0], other, checked.badge, checked.moves, coarse))
    return found


def centres(model: nn.Module, x: Tensor, asked: Asked, method: str, count: int) -> NDArray[Any] | None:
    """Give the step in the middle of what each value of a Grad-CAM along sequences sees: (count,).

    Without padding inside the network the first value sees the first steps, and its middle is not 0. None
    where there is padding, or the layer cannot be followed: then the map is drawn out evenly.
    """
    if x.dim() != 3 or method != "grad-cam":
        return None
    name = asked.layer or last_maps(model, x)
    try:
        rows = {row.name: row.receptive_field for row in inspect(model, tuple(x.shape[1:]), batch=1).layers}
    except ModelError:
        return None
    field = rows.get(name)
    if field is None or len(field.size) != 1 or field.stride[0] is None or field.offset[0] < 0:
        return None
    return field.offset[0] + (field.size[0] - 1) / 2 + field.stride[0] * np.arange(count)


def shown(values: Tensor, x: Tensor, at: NDArray[Any] | None = None) -> NDArray[Any]:
    """Add up the channels of maps (N, C, h, w), and enlarge them to their pictures: (N, H, W).

    Those along sequences, (N, C, l), become (N, L); at: (l,) the steps that their values belong to, of
    :func:`centres`, or None.
    """
    flat: NDArray[Any] = values.sum(1).numpy()
    if x.dim() == 3:
        length, coarse = x.shape[2], flat.shape[1]
        if coarse == length:
            return flat
        places = (np.arange(coarse) + 0.5) * length / coarse - 0.5 if at is None else at
        return np.stack([np.interp(np.arange(length), places, one) for one in flat])
    height, width = x.shape[2:]
    if flat.shape[1:] == (height, width):
        return flat
    return np.stack([fitted(one, height, width) for one in flat])
