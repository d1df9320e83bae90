"""What there is to see of a network: kernels, explained mistakes, units, health, how it sees its data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from striate import events, explain
from striate.api.labelled import labelled
from striate.api.maps import Asked, centres, shown
from striate.data.batches import plain
from striate.data.sequence import Sequences
from striate.errors import ModelError
from striate.explain.layers import layers, named
from striate.ops.sequence import lengths
from striate.report.contents import Shown
from striate.report.gather import pictured, raw, small, visible
from striate.report.inside import Filters, Made, Maps, Mistake, Network, Points, Unit
from striate.report.series import called
from striate.report.series import plain as drawing
from striate.runs.forward import outputs
from striate.runs.load import preprocess_of
from striate.summary.inspect import inspect
from striate.summary.rows import kind_of
from striate.training import task as tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.preprocess import Preprocess
    from striate.events import Emit
    from striate.runs.folder import Run

MISTAKES = 6
KERNELS, UNITS, CLASSES, PATCHES = 64, 4, 10, 9  # shown at most
FEATURES = 16  # feature maps of a layer, where none is named; three times as many where one is
SAMPLE, POINTS, CHECKED = 2000, 600, 256  # pictures: searched for patches, laid out, looked at for health
NAMED = 12  # classes that are named among their dots
PLANE: tuple[tuple[Literal["pca", "tsne"], str], ...] = (
    ("pca", "PCA: distances are true, as far as two directions go"),
    ("tsne", "t-SNE: only who is near is true"),
)
NUMBERS = 2**18  # pixels of the pictures that are run at once
LARGE = 96  # from this side on a made picture takes fewer steps, and there are fewer of them


def inside(
    model: nn.Module,
    preprocess: Preprocess | Sequences,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    answers: NDArray[Any],
    names: Sequence[str],
    classes: Sequence[str],
) -> Network:
    """Gather what the report of a training shows: kernels of the first layer, and explained mistakes.

    pixels, targets, names: of all pictures.   rows: those that the answers are for, (N,).
    answers: (N, K) probabilities, or (N,) numbers of a regression, which has no classes.
    """
    x = next(plain(pixels, rows[:1], preprocess, 1))
    wrong = worst(answers, targets[rows], classes)[:MISTAKES]
    network = Network(filters=filters(model, x, None), noun=called(preprocess))
    return mistakes(network, model, preprocess, pixels, targets, rows[wrong], answers[wrong], names, classes)


def whole(run: Run, asked: Asked, *, data: str | Path | None, offline: bool, emit: Emit) -> Network:
    """Gather everything there is to see without a picture of the user's.

    data: labelled pictures, by default the run's own; of its held-out part a sample is looked at.
    Raises ModelError for a layer without units, DataError and RunError for data that cannot be had.
    """
    found = labelled(run, data, offline=offline, emit=emit)
    model, preprocess, classes = run.model, preprocess_of(run), run.classes
    pixels, targets, names = found.pixels, found.targets, found.names
    rows = np.random.default_rng(asked.seed).permutation(found.rows)[:SAMPLE]
    batch = fitting(preprocess)
    scores = outputs(
        model, pixels, rows, preprocess,
        precision=run.precision, device="cpu", batch=batch, tta=run.recipe.tta,
    )  # fmt: skip
    answers = tasks.from_info(run.info).answers(scores).numpy()
    few = rows[:POINTS]
    some = torch.cat(list(plain(pixels, rows[:CHECKED], preprocess, CHECKED)))
    told = inside(model, preprocess, pixels, targets, rows, answers, names, classes)
    found_units = units(model, preprocess, pixels, rows, names, asked, emit)
    made = []
    if asked.layer is None and not isinstance(preprocess, Sequences):
        made = made_for_classes(model, preprocess, some, classes, asked.seed, emit)
    features = explain.features(model, plain(pixels, few, preprocess, batch))
    wanted = torch.as_tensor(targets[rows[:CHECKED]])
    if scale := run.info["target"]:  # numbers, as the network gives them
        wanted = (wanted - scale["mean"]) / scale["std"]
    return replace(
        told,
        filters=filters(model, some, asked.layer),
        units=found_units,
        searched=len(rows),
        made=made,
        layers=feature_maps(model, some[:1], asked.layer),
        health=explain.look(model, some, wanted, records=run.health, noun=f"{called(preprocess)}s"),
        points=embedding(features, targets[few], classes, asked.seed, emit),
    )


def fitting(preprocess: Preprocess | Sequences) -> int:
    """Give how many pictures of this size are run at once, so that a deep network stays within 2 GB."""
    return max(1, min(64, NUMBERS // math.prod(preprocess.shape[1:])))


def worst(answers: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> NDArray[np.intp]:
    """Give the wrong answers, most sure of itself first; of numbers all, furthest off first."""
    if not classes:
        return np.argsort(-np.abs(answers - targets), kind="stable")
    wrong = np.flatnonzero(answers.argmax(1) != targets)
    return np.asarray(wrong[np.argsort(-answers.max(1)[wrong], kind="stable")])


def filters(model: nn.Module, x: Tensor, layer: str | None) -> list[Filters]:
    """Give the kernels of a layer, by default of the first convolution that the picture meets.

    In a network without convolutions a first dense layer whose inputs are the pixels has kernels as large
    as the picture.
    """
    every = explain.kernels(model)
    kinds = dict(model.named_modules())
    ran = [one.name.partition("#")[0] for one in layers(model, x)]
    name = layer if layer in every else next((one for one in ran if one in every), None)
    if layer is not None and name != layer:
        return []
    if name is not None:
        kernels = every[name]
        return [Filters(name, kind_of(kinds[name]), kernels[:KERNELS].numpy(), len(kernels))]
    dense = next((one for one in ran if isinstance(kinds[one], nn.Linear)), None)
    if dense is None:
        return []
    weight: Tensor = kinds[dense].weight.detach().float()
    if weight.shape[1] != x[0].numel():
        return []
    kernels = weight[:KERNELS].reshape(-1, *x.shape[1:])
    return [Filters(dense, "Linear", kernels.numpy(), len(weight))]


def mistakes(
    network: Network,
    model: nn.Module,
    preprocess: Preprocess | Sequences,
    pixels: NDArray[Any],
    targets: NDArray[Any],
    rows: NDArray[np.int64],
    answers: NDArray[Any],
    names: Sequence[str],
    classes: Sequence[str],
) -> Network:
    """Add the maps of wrongly answered pictures: for what was said, and for what is true."""
    if not len(rows):
        return network
    x = next(plain(pixels, rows, preprocess, len(rows)))
    method = "grad-cam" if _has_maps(model, x) else "occlusion"
    asked = Asked((method,), about=preprocess if isinstance(preprocess, Sequences) else None)
    said = torch.as_tensor(answers.argmax(1) if classes else np.zeros(len(rows), np.int64))
    make = asked.make(method, said)
    values = make(model, x)
    at, of_true = centres(model, x, asked, method, values.shape[-1]), None
    of_said = shown(values, x, at)
    if classes:
        of_true = shown(asked.make(method, torch.as_tensor(targets[rows]))(model, x), x, at)
    checked = explain.sanity(model, x, make)
    found = [
        Mistake(
            pictured(pixels[row], preprocess),
            classes[int(said[i])] if classes else f"{answers[i]:.4g}",
            classes[targets[row]] if classes else f"{targets[row]:.4g}",
            names[row],
            of_said[i],
            None if of_true is None else of_true[i],
        )
        for i, row in enumerate(rows)
    ]
    return replace(network, mistakes=found, method=method, badge=checked.badge)


def _has_maps(model: nn.Module, x: Tensor) -> bool:
    try:
        explain.grad_cam(model, x[:1])
    except ModelError:
        return False
    return True


def feature_maps(model: nn.Module, x: Tensor, layer: str | None) -> list[Maps]:
    """Give the most active maps of a layer for a picture (1, C, H, W); by default of two convolutions.

    A layer of single numbers has none.
    """
    chosen = [layer] if layer is not None else list(dict.fromkeys(_convolutions(model, x)))
    count, found = FEATURES if layer is None else 3 * FEATURES, []
    for name in chosen:
        one = named(model, x, name)
        if one.has_places:
            maps, order = explain.feature_maps(model, x, name)
            units = order[0, :count].tolist()
            shown = maps[0, units]
            if x.dim() == 3:  # what is behind a sequence is nothing to look at
                shown = shown[:, : math.ceil(int(lengths(x)) * shown.shape[1] / x.shape[2])]
            found.append(Maps(name, one.kind, units, shown.numpy(), maps.shape[1]))
    return found


def units(
    model: nn.Module,
    preprocess: Preprocess | Sequences,
    pixels: NDArray[Any],
    rows: NDArray[np.int64],
    names: Sequence[str],
    asked: Asked,
    emit: Emit,
) -> list[Unit]:
    """Find what excites units of a layer: of the last convolution, and its most active units, by default."""

    def stream() -> Iterator[Tensor]:
        done = 0
        for batch in plain(pixels, rows, preprocess, fitting(preprocess)):
            yield batch
            done += len(batch)
            emit(events.Working("looking for patches", done, len(rows), f"{called(preprocess)}s"))

    some = next(plain(pixels, rows[:64], preprocess, fitting(preprocess)))
    name = asked.layer or _telling(model, some)
    if name is None:
        return []
    if asked.unit is not None:
        numbers = [asked.unit]
    else:
        maps, _ = explain.feature_maps(model, some, name)
        activity = (maps.flatten(2).amax(2) if maps.dim() > 2 else maps).mean(0)
        numbers = activity.topk(min(UNITS, maps.shape[1])).indices.tolist()
    patches = explain.patches_of_units(model, stream(), name, numbers, count=PATCHES)
    made: list[NDArray[np.uint8] | None] = [None] * len(numbers)
    if not isinstance(preprocess, Sequences):
        made = _made(model, preprocess, some, name, numbers, asked.seed, emit)
    found = []
    for number, picture in zip(numbers, made, strict=True):
        cut = [
            Shown(
                _cut(pixels[rows[p.index]], p.box, preprocess, names[rows[p.index]]),
                f"{p.value:.3g}",
                names[rows[p.index]],
            )
            for p in patches[number]
        ]
        found.append(Unit(f"Unit {number} of {name}", cut, picture))
    return found


def _telling(model: nn.Module, x: Tensor) -> str | None:
    """Name the layer whose units are looked at: the deepest such convolution, or else the first dense one."""
    modules = dict(model.named_modules())
    dense = [one.name for one in layers(model, x) if isinstance(modules.get(one.name), nn.Linear)]
    return next(iter([*_convolutions(model, x)[::-1], *dense]), None)


def _convolutions(model: nn.Module, x: Tensor) -> list[str]:
    """Name the first convolution, and the deepest whose units do not see more than the whole picture."""
    every = explain.kernels(model)
    found = [one.name for one in layers(model, x) if one.name in every and one.has_places]
    try:
        rows = inspect(model, tuple(x.shape[1:]), batch=1).layers
    except ModelError:  # a network that cannot be followed
        return found[:1] + found[-1:]
    sides = {row.name: row.receptive_field.size for row in rows if row.receptive_field is not None}
    inner = [name for name in found if max(sides.get(name, (math.inf,))) <= max(x.shape[2:])]
    return found[:1] + inner[-1:]


def made_for_classes(
    model: nn.Module, preprocess: Preprocess, some: Tensor, classes: Sequence[str], seed: int, emit: Emit
) -> list[Made]:
    """Make the picture of each class; of many classes, of the first few."""
    few = list(range(min(len(classes), CLASSES if preprocess.size < LARGE else UNITS)))
    pictures = _made(model, preprocess, some, None, few, seed, emit) if few else []
    return [Made(classes[i], one) for i, one in zip(few, pictures, strict=True) if one is not None]


def _made(
    model: nn.Module,
    preprocess: Preprocess,
    some: Tensor,
    layer: str | None,
    numbers: list[int],
    seed: int,
    emit: Emit,
) -> list[NDArray[np.uint8] | None]:
    """Make the picture of each unit, as a screen shows it; None where nothing changes the answer."""
    steps, what = 128 if preprocess.size < LARGE else 64, "making pictures"
    emit(events.Working(what, 0, len(numbers), "pictures"))
    try:
        pictures = explain.maximise(
            model, some.shape[1:], layer=layer, unit=numbers, like=some, steps=steps, seed=seed
        )
    except ModelError:
        return [None] * len(numbers)
    emit(events.Working(what, len(numbers), len(numbers), "pictures"))
    return [_visible(picture, preprocess) for picture in pictures]


def embedding(
    features: Tensor, targets: NDArray[Any], classes: Sequence[str], seed: int, emit: Emit
) -> list[Points]:
    """Lay features (N, D) out in the plane, by PCA and by t-SNE; numbers are grouped in fifths."""
    if len(features) < 4 or not features.isfinite().all():
        return []
    groups, names = targets, list(classes)
    if not classes:
        cuts = np.quantile(targets, [0.2, 0.4, 0.6, 0.8])
        groups, names = np.searchsorted(cuts, targets), [f"fifth {i}" for i in range(1, 6)]
    found: list[Points] = []
    for how, title in PLANE:
        emit(events.Working("laying out the data", len(found), 2, "figures"))
        places = explain.flattened(features, how, seed=seed)
        found.append(Points(title, places, groups, names, labelled=how == "tsne" and len(names) <= NAMED))
    emit(events.Working("laying out the data", 2, 2, "figures"))
    return found


def _cut(
    picture: NDArray[Any], box: tuple[int, ...], preprocess: Preprocess | Sequences, name: str
) -> NDArray[np.uint8] | str:
    """Cut a box out of a picture; of one that is larger than the picture nothing is lost: it is whole."""
    axes = len(box) // 2
    if min(high - low for low, high in zip(box[:axes], box[axes:], strict=True)) >= preprocess.shape[-1]:
        return small(picture, preprocess, name)
    normal = next(plain(picture[None], np.zeros(1, np.int64), preprocess, 1))[0]
    cut = explain.crop(normal, box)
    return (
        drawing(cut.numpy(), preprocess, name)
        if isinstance(preprocess, Sequences)
        else _visible(cut, preprocess)
    )


def _visible(picture: Tensor, preprocess: Preprocess) -> NDArray[np.uint8]:
    return visible(raw(picture.numpy(), preprocess), preprocess)
