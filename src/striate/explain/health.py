"""Whether a network is well: a fresh look and the run's own records, told in sentences with what to try."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.explain.layers import answer, still
from striate.training.health import LayerHealth, measure, singular_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

MANY = 0.25  # share of a layer's units from which on dead or saturated ones are worth a sentence
LISTED = 3  # layers with the same fault that get a sentence each
FAR = 1e-3  # gradient that arrives at the first layer over that at the last, or the other way round
WILD, TIMID = 0.03, 1e-6  # a step's length over the weights'; 1e-3 is usual
ALIKE, ENOUGH = 1.5, 16  # directions in which so many units vary, at least, or they all say the same
WIDEST = 1024  # units up to which an activation spectrum is worked out
SAMPLES = 4096  # values a unit that it is worked out from, in each part of the pictures


@dataclass(frozen=True)
class Spectra:
    """How many directions a layer uses.

    weights: singular values of the weights (O, inputs), largest first.   activations: share of the variance
    of what the layer puts out along each principal direction of its units, largest first.
    Either is empty where the layer is too wide for a moment.
    """

    weights: tuple[float, ...]
    activations: tuple[float, ...]

    @property
    def participation(self) -> float:
        """How many directions the activations use: 1 over the sum of squared shares, 1 to the units."""
        return 1 / sum(share**2 for share in self.activations) if any(self.activations) else 0.0


@dataclass(frozen=True)
class Health:
    """How a network's layers do, in the order of their calls.

    pictures: how many were looked at.   spectra: by layer.   sentences: what is abnormal and what to try;
    none where all is well.   records: the run's, as in health.jsonl; none for a network without one.
    """

    pictures: int
    layers: tuple[LayerHealth, ...]
    spectra: dict[str, Spectra]
    sentences: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...] = ()


def look(
    model: nn.Module,
    x: Tensor,
    targets: Tensor | None = None,
    *,
    records: Sequence[Mapping[str, Any]] = (),
    noun: str = "pictures",
) -> Health:
    """Look at a network's health on some pictures, in evaluation; nothing of it is changed.

    x: (N, C, ...) as the network takes them; a few hundred tell dead units from rare ones.
    targets: (N,) classes, or numbers on the network's own scale; without them what it answers itself.
    records: ``run.health``, what was written down while the network was trained.   noun: what x is called.
    Units dead and saturated: :class:`striate.training.health.LayerHealth`, whose fields a layer has here.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 2))
    >>> net[1].bias.data[:5] = -1e6
    >>> look(net, torch.rand(50, 1, 2, 2)).layers[0].dead[:5]
    (0, 1, 2, 3, 4)
    """
    kinds = {name: getattr(module, "weight", None) for name, module in model.named_modules()}
    sums: dict[str, Moments] = {}

    def note(name: str, output: Tensor) -> None:
        weight = kinds[name]
        axis = -1 if isinstance(weight, Tensor) and weight.dim() == 2 else 1
        if output.dim() > 1 and output.shape[axis] <= WIDEST:
            sums.setdefault(name, Moments()).add(output.movedim(axis, -1).flatten(0, -2))

    def loss(output: object, part: slice) -> Tensor:
        scores = answer(output).float()
        if targets is None:
            return F.cross_entropy(scores, scores.detach().argmax(1), reduction="sum")
        wanted = targets[part].to(scores.device)
        if wanted.is_floating_point():
            return (scores[:, 0] - wanted).square().sum()
        return F.cross_entropy(scores, wanted, reduction="sum")

    with still(model):
        layers = measure(model, x, loss, note=note)
    spectra = {layer.name: _spectra(model, layer.name, sums) for layer in layers}
    return Health(
        len(x), layers, spectra, sentences(layers, spectra, f"{len(x)} {noun}", records), tuple(records)
    )


class Moments:
    """Sums over samples that a covariance is made of."""

    def __init__(self) -> None:
        self.count, self.first, self.second = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take note of samples (S, units); of very many, every so-many-th."""
        values = values[:: max(1, len(values) // SAMPLES)].double().cpu()
        self.count += len(values)
        self.first = self.first + values.sum(0)
        self.second = self.second + values.T @ values

    def shares(self) -> tuple[float, ...]:
        """Give each principal direction's share of the variance, largest first; 0 where nothing varies."""
        mean = self.first / self.count
        covariance = self.second / self.count - torch.outer(mean, mean)
        if not torch.isfinite(covariance).all():
            return ()
        values = torch.linalg.eigvalsh(covariance).clamp_min(0).flip(0)
        # What rounding leaves of a layer that does not vary at all is no variance.
        total = values.sum() if values.sum() > 1e-12 * self.second.trace() / self.count else torch.inf
        return tuple((values / total).tolist())


def sentences(
    layers: Sequence[LayerHealth],
    spectra: Mapping[str, Spectra],
    seen: str,
    records: Sequence[Mapping[str, Any]] = (),
) -> tuple[str, ...]:
    """Say what is abnormal, worst kind first, and what to try: one sentence a layer and fault.

    seen: what was looked at, such as "256 pictures".
    """
    return (*_flow(layers), *_silent(layers, seen, records), *_steps(records), *_alike(layers, spectra))


def _silent(layers: Sequence[LayerHealth], seen: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell of dead and saturated units."""
    first = {layer["name"]: layer for layer in records[0]["layers"]} if records else {}
    dead, saturated = [], []
    for layer in layers:
        on = f"of {layer.units} units are {{}} on {seen}"
        if layer.dead and len(layer.dead) >= MANY * layer.units:
            before = first.get(layer.name, {}).get("dead")
            born = before is not None and len(before) >= len(layer.dead) / 2
            when = "" if before is None else f" ({len(before)} before training)"
            cure = "lower --lr or use --init he_normal"
            if before is not None:
                cure = "use another --init, or fewer units" if born else "lower --lr or raise --warmup"
            dead.append(f"layer {layer.name}: {len(layer.dead)} {on.format('dead')}{when}: {cure}")
        if layer.saturated and len(layer.saturated) >= MANY * layer.units:
            cure = "lower --lr, use --init xavier_normal, or a ReLU"
            saturated.append(f"layer {layer.name}: {len(layer.saturated)} {on.format('saturated')}: {cure}")
    return _shortened(dead, "have as many dead units or so") + _shortened(
        saturated, "have as many saturated units or so"
    )


def _shortened(found: list[str], rest: str) -> list[str]:
    more = len(found) - LISTED
    return found if more < 2 else [*found[:LISTED], f"{more} more layers {rest}"]


def _flow(layers: Sequence[LayerHealth]) -> list[str]:
    """Tell of gradients that are no numbers, do not arrive, vanish or explode on their way to the front."""
    broken = [layer.name for layer in layers if layer.gradient is None or layer.weight is None]
    if broken:
        return [f"layer {broken[0]}: weights or gradients are no numbers: lower --lr or use --clip 1"]
    known = [(layer.name, layer.gradient) for layer in layers if layer.gradient is not None]
    reached = [(name, gradient) for name, gradient in known if gradient > 0]
    if not reached or len(known) < 2:
        return []  # what is learnt by heart has no gradient anywhere, and that is no fault
    found = []
    if len(reached) < len(known):
        missed = [name for name, gradient in known if gradient == 0]
        found.append(
            f"no gradient reaches {len(missed)} of {len(known)} layers, such as {missed[0]}: "
            "use --init he_normal, and look for dead units"
        )
    flows = [(layer.name, layer.flow) for layer in layers if layer.flow]
    (front, first), (back, last) = flows[0], flows[-1]
    told = f"what arrives at layer {front} is {first / last:.1e} times what leaves layer {back}"
    if first < FAR * last:
        found.append(f"gradients vanish: {told}: use --init he_normal, batch norm or skip connections")
    elif first * FAR > last:
        found.append(f"gradients explode: {told}: use --clip 1, batch norm or another --init")
    return found


def _steps(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell of steps that are much longer or shorter than usual, at the median of the records."""
    # The last record is of the end of a schedule, where steps are short on purpose.
    during = [layer for record in records[:-1] for layer in record["layers"] if layer.get("update")]
    long, short = [], []
    for name in dict.fromkeys(layer["name"] for layer in during):
        step = median(layer["update"] for layer in during if layer["name"] == name)
        told = f"layer {name}: a step changes the weights by {step:.1e} of their length (1e-3 is usual)"
        if step > WILD:
            long.append(f"{told}: lower --lr")
        elif step < TIMID:
            short.append(f"{told}: raise --lr")
    return _shortened(long, "take steps as long or so") + _shortened(short, "take steps as short or so")


def _alike(layers: Sequence[LayerHealth], spectra: Mapping[str, Spectra]) -> list[str]:
    """Tell of layers whose many units all say the same; the last layer's are the classes, which may."""
    found = []
    for layer in layers[:-1]:
        shares = spectra[layer.name].activations
        if len(shares) >= ENOUGH and 0 < (used := spectra[layer.name].participation) < ALIKE:
            found.append(
                f"layer {layer.name}: its {layer.units} units vary in {used:.1f} directions: "
                "fewer units would do, or the network has not learnt yet"
            )
    return _shortened(found, "vary in as few directions or so")


def _spectra(model: nn.Module, name: str, sums: Mapping[str, Moments]) -> Spectra:
    weight = getattr(model.get_submodule(name), "weight", None)
    values = singular_values(weight) if isinstance(weight, Tensor) and weight.dim() > 1 else None
    return Spectra(
        () if values is None else tuple(values.tolist()), sums[name].shares() if name in sums else ()
    )
