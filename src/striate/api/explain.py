"""Looking inside a trained run: why it answers as it does, and what it has learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import events
from striate.api import inside, looking
from striate.api.maps import Asked, known
from striate.api.use import answered
from striate.data.sequence import Sequences
from striate.errors import RecipeError, did_you_mean
from striate.explain.layers import layers, named, unit_of
from striate.report.inside import Looked, Network, drawn, write
from striate.runs.load import preprocess_of
from striate.training.health import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from striate.events import Emit
    from striate.explain.layers import Layer
    from striate.runs.folder import Run


@dataclass(frozen=True)
class Explained:
    """What was looked at, and where it is shown.

    files: everything that was written, the page first.   images: what was found in each picture.
    network: what was found without pictures.   layers: those of the network.
    unreadable: (file, reason) of each picture that was left out.
    """

    run: Path
    files: tuple[Path, ...]
    images: tuple[Looked, ...]
    network: Network
    layers: tuple[Layer, ...]
    unreadable: tuple[tuple[str, str], ...] = ()

    def json(self) -> dict[str, Any]:
        """Give the object of ``explain --json``."""
        images = [_told(one) for one in self.images]
        return {
            "run": str(self.run),
            "top_class": images[0]["top_class"] if images else None,
            "files": [str(path) for path in self.files],
            "images": images,
            "unreadable": [{"file": file, "reason": reason} for file, reason in self.unreadable],
            "sentences": list(self.network.health.sentences) if self.network.health else [],
            "layers": [{"name": a.name, "kind": a.kind, "output": list(a.output)} for a in self.layers],
        }


def _told(one: Looked) -> dict[str, Any]:
    label, probability = one.top[0]
    answer = {"number": number(float(label))} if probability is None else {}
    return answer | {
        "file": one.name,
        "top_class": None if probability is None else label,
        "probability": None if probability is None else number(probability),
        "class": one.target or None,
        "versus": one.versus or None,
        "maps": [
            {
                "method": found.method,
                "lowest": number(float(found.values.min())),
                "highest": number(float(found.values.max())),
                "badge": found.badge,
            }
            for found in one.maps
        ],
        "neighbours": [{"file": near.detail, "label": near.caption} for near in one.near],
    }


def explain(
    run: Run,
    images: Sequence[str | Path] = (),
    *,
    data: str | Path | None = None,
    layer: str | None = None,
    unit: int | None = None,
    target: str | None = None,
    versus: str | None = None,
    methods: Sequence[str] = (),
    html: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Explained:
    """Look inside a run's network, or with pictures or sequences into why it answers so; write a page of it.

    images: picture files, or folders of them; of a run of sequences, what ``predict`` takes.
    data: labelled pictures for patches, neighbours and health; by default the run's own.
    layer, unit: what to look at, instead of the first and last convolution and their most active units.
    target, versus: the class that maps are for, and the one it is compared with; by default the two best.
    methods: names of maps; by default all that apply.
    html: the page; by default explain.html, in the folder ``out`` if that is given.
    out: a folder for the pictures of the page as PNG files.   seed: of everything that is drawn.
    Raises ModelError for an unknown layer or unit and a method that does not apply, RecipeError for an
    unknown class or method, DataError where none of the pictures can be read.
    """
    import torch

    answered(run)
    preprocess = preprocess_of(run)
    about = preprocess if isinstance(preprocess, Sequences) else None
    asked = Asked(known(methods), layer, unit, seed, about)
    empty = torch.ones(1, *preprocess.shape)
    _check(run, empty, asked, target, versus)
    looked: list[Looked] = []
    unreadable: list[tuple[str, str]] = []
    network = Network()
    if images:
        wanted = (target, versus)
        looked, unreadable = looking.at(
            run, images, asked, wanted, named=bool(methods), data=data, offline=offline, emit=emit
        )
    else:
        network = inside.whole(run, asked, data=data, offline=offline, emit=emit)
    page = Path(html) if html is not None else Path(out or ".") / "explain.html"
    write(page, run.info, looked, network)
    pictures = [] if out is None else drawn(Path(out), looked, network)
    every = tuple(layers(run.model, empty))
    return Explained(run.path, (page, *pictures), tuple(looked), network, every, tuple(unreadable))


def _check(run: Run, x: Tensor, asked: Asked, target: str | None, versus: str | None) -> None:
    """Tell what is wrong before time is spent."""
    if asked.unit is not None and asked.layer is None:
        raise RecipeError("--unit is a unit of a layer, and none is named.", "Name it with --layer.")
    if asked.layer is not None:
        found = named(run.model, x, asked.layer)
        if asked.unit is not None:
            unit_of(found, asked.unit)
    for flag, name in (("--class", target), ("--versus", versus)):
        if name is None:
            continue
        if not run.classes:
            raise RecipeError(f"{flag} names a class, and this run gives numbers.", "Leave it away.")
        if name not in run.classes:
            raise RecipeError(f"The run has no class {name!r}.", did_you_mean(name, run.classes[:40]))
    if target is not None and target == versus:
        raise RecipeError("--class and --versus are the same class.", "Name two, or leave one away.")
