"""Looking, before anything is trained: at the data, and at a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate import events
from striate.data.pictures import prepare
from striate.data.preprocess import Preprocess
from striate.data.sequence import planned
from striate.data.sources import open_source
from striate.data.store import survey
from striate.errors import DoesNotFit, ModelError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from striate.data.check import Check
    from striate.events import Emit
    from striate.runs.folder import Run
    from striate.summary.result import Inspected
    from striate.training.bench import Bench


def check(
    data: str | Path,
    *,
    label_pattern: str | None = None,
    task: str = "classification",
    length: float | None = None,
    rate: int | None = None,
    val: float | None = None,
    test: float | str | None = None,
    group: str | None = None,
    seed: int = 0,
    offline: bool = False,
    emit: Emit = events.ignore,
) -> Check:
    """Look a data set over: counts, sizes, unreadable files, duplicates. Changes no file.

    label_pattern, task, length, rate, val, test, group, seed: as in a recipe.
    Raises DataError where there is nothing to train on.
    """
    rule, share = (test, None) if isinstance(test, str) else (None, test)
    source = open_source(
        str(data),
        task=task,
        group=group,
        label_pattern=label_pattern,
        test_rule=rule,
        offline=offline,
        emit=emit,
    )
    seen = survey(source, emit)
    small = (
        Preprocess(channels=seen.channels, size=32, fit="squash", dtype=seen.dtype)
        if source.modality == "pictures"
        else planned(source, seen, length=length, rate=rate)
    )
    return prepare(source, seen, small, val=val, test=share, seed=seed, cache=False, emit=emit).check


def inspect(
    model: nn.Module | Run | str | Path,
    input_shape: Sequence[int] | None = None,
    *,
    classes: int | None = None,
    stem: str | None = None,
    batch: int | None = None,
    optimizer: str | None = None,
    strict: bool = False,
    measure: bool = False,
    trust: bool = False,
) -> Inspected:
    """Say what a network computes, stores and sees, before it is trained. The network is only read.

    model: a module, a name of ours, ``package.module:name``, or a run (folder).
    input_shape: without the batch, such as (3, 224, 224); a network of ours and a run know their own.
    classes: outputs, for a network that is built here.   stem: standard, or small for pictures of 32 pixels.
    batch: for the memory; 32, or that of the run.
    optimizer: for the memory; sgd with momentum, or that of the run.
    strict: raise DoesNotFit for a layer whose windows do not fill their input.
    measure: also run a few training steps on this machine.
    trust: allow a run whose model is code from outside striate.
    Raises ModelError: the network cannot be built or run; the message names the layer and what would work.

    >>> from torch import nn
    >>> inspect(nn.Conv2d(3, 10, 5), (3, 32, 32)).layers[0].output
    (10, 28, 28)
    """
    from striate.runs.network import find
    from striate.summary import inspect as summary
    from striate.training import measure as real
    from striate.training.optim import RULES

    with summary.undisturbed():
        asked = find(model, input_shape, classes=classes, stem=stem, trust=trust)
        batch, optimizer = asked.batch if batch is None else batch, optimizer or asked.optimizer
        if optimizer not in RULES:
            raise RecipeError(f"Unknown optimiser {optimizer!r}.", did_you_mean(optimizer, RULES))
        try:
            found = summary.inspect(
                asked.shapes(), asked.shape, batch=batch, optimizer=optimizer, strict=strict, name=asked.name
            )
        except DoesNotFit:
            raise
        except ModelError as error:
            raise asked.explain(error) from error
        return real.measured(found, asked.build(), asked.pictures) if measure else found


def bench(
    network: str | None = None,
    *,
    minutes: float = 14.0,
    compiled: bool = False,
    emit: Emit = events.ignore,
) -> Bench:
    """Measure this machine, the operators of some networks, and our training step against PyTorch's.

    network: one of those that are measured, by name; by default all five.   minutes: for all of it, about.
    compiled: let PyTorch compile its fastest setting, too.
    Raises RecipeError for an unknown network.
    """
    from striate.training import bench as measured

    return measured.bench(measured.find(network), minutes * 60, emit, compiled=compiled)


@dataclass(frozen=True)
class Listed:
    """A network of ours, counted at its paper's input, (C, H, W), and classes."""

    name: str
    parameters: int
    multiply_adds: int
    input: tuple[int, ...]
    year: int
    paper: str


def models() -> list[Listed]:
    """List the networks of ours, one for each name; the oldest paper first, its variants together.

    parameters: with auxiliary heads, where there are some.   multiply_adds: of one input in evaluation.

    >>> models()[-1].input
    (3, 32, 32)
    """
    from striate.models.registry import MODELS, build
    from striate.summary.meta import unallocated
    from striate.summary.tally import tally

    papers = list(dict.fromkeys(known.paper for known in MODELS.values()))
    listed = []
    for name, known in MODELS.items():
        with unallocated():
            network = build(name, classes=known.classes, **known.sizes)
        listed.append(Listed(name, *tally(network, known.input), known.input, known.year, known.paper))
    return sorted(listed, key=lambda row: (row.year, papers.index(row.paper)))
