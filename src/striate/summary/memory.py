"""The memory of one training step, without running it: on the meta device nothing is computed or stored.

A forward and a backward pass are gone through while every storage that they make and drop is written down;
what lives at the peak is then a sum. What the process grows by is more, for two reasons: convolutions work on
copies (`tape.py`), and the C library cannot use every freed place again (`heap.py`).

What is saved for backward equals a processor's to the byte, as long as it runs the operators that the meta
device runs. It does not for `nn.LSTM`, which oneDNN computes as a whole with a workspace of its own (within
`recurrent.py`, as in an inspection, about that much is counted, and of `nn.GRU` and `nn.RNN` exactly what is
saved), nor for `scaled_dot_product_attention` without dropout, of which it saves no attention matrix.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves

from striate.summary import heap
from striate.summary.heap import FREED, OPERATOR, Event
from striate.summary.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import nn

# In copies of a parameter: what a rule keeps between steps, and what it makes while it updates one.
RULES = {
    "sgd": (0, 0),
    "momentum": (1, 0),
    "nesterov": (1, 1),
    "adagrad": (1, 1),
    "adadelta": (2, 2),
    "rmsprop": (1, 1),
    "adam": (2, 2),
    "adamw": (2, 2),
    "muon": (2, 2),  # Adam's; of filters it keeps one
}
LOADED = (
    20_000_000  # bytes of code and tables that a process loads in its first step: 20 to 27 million measured
)


@dataclass(frozen=True)
class Step:
    """Bytes of one training step.

    saved: kept from the forward for the backward pass, by row: each storage once, for the operator that saves
    it first. Parameters, buffers and the input batch are there anyway, and left out.
    activations: the sum of these.   optimizer: what the rule keeps between steps.
    peak: the most that lives at once, from the second step on: parameters, buffers, optimiser state and
    input throughout, gradients once they are made, activations until they are used, and `temporary`, what
    else lives at that moment. It is below the sum of these where some of them do not live then.
    resident: what a process that holds network, rule and batch grows by in its first step.
    """

    saved: dict[int, int]
    activations: int
    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    input: int
    peak: int
    temporary: int
    resident: int


def step(
    model: nn.Module, x: Tensor, *, optimizer: str = "momentum", row: Callable[[], int] = lambda: -1
) -> Step:
    """Go through one training step of a network that is on the meta device, in training mode.

    x: the batch, on meta.   optimizer: sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, muon or
    adamw.   row: tells which row of a table is being computed; asked when a tensor is saved.
    The loss is a log softmax over the classes, axis 1, of every floating tensor that the network returns.
    Gradients of the model are gone afterwards. Raises what its forward pass raises.

    >>> step(torch.nn.Linear(100, 10, device="meta"), torch.empty(32, 100, device="meta")).gradients
    4040
    """
    parameters, buffers = list(model.parameters()), list(model.buffers())
    tape = Tape((*parameters, *buffers, x), row)
    with torch.enable_grad(), tape:
        with torch.autograd.graph.saved_tensors_hooks(tape.save, lambda tensor: tensor):
            outputs = model(x)
        loss = _loss(outputs)
        del outputs
        tape.turn()
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    tape.stop()
    gradients = {tape.number(p.grad) for p in parameters if p.grad is not None}
    learnt = [p for p in parameters if p.grad is not None]
    trained = [p.nbytes for p in learnt]
    for parameter in parameters:
        parameter.grad = None

    copies, spare = RULES[optimizer]
    kept = copies * sum(trained)
    if optimizer == "muon":
        kept -= sum(p.nbytes for p in learnt if p.ndim == 4)
    fixed = [sum(t.nbytes for t in tensors) for tensors in (parameters, buffers, (x,))]
    highest, alive = _peak([event for event in tape.events if event[2] != OPERATOR])
    temporary = sum(size for number, size in alive.items() if number not in tape.kept | gradients)
    updating = spare * max(trained, default=0)
    if sum(trained) + updating > highest:
        highest, temporary = sum(trained) + updating, updating
    return Step(
        saved=tape.saved,
        activations=sum(tape.saved.values()),
        parameters=fixed[0],
        buffers=fixed[1],
        gradients=sum(trained),
        optimizer=kept,
        input=fixed[2],
        peak=sum(fixed) + kept + highest,
        temporary=temporary,
        resident=LOADED + _growth([*tape.events, *_first_update(trained, copies, spare)]),
    )


def _loss(outputs: Any) -> Tensor:
    """Add up a loss over all that a network returned, with what cross-entropy saves and makes."""
    found = [t for t in tree_leaves(outputs) if isinstance(t, Tensor) and t.is_floating_point()]
    losses = [F.log_softmax(t, 1).sum() if t.dim() > 1 else t.sum() for t in found]
    return sum(losses, torch.zeros((), device="meta"))


def _peak(events: Sequence[Event]) -> tuple[int, dict[int, int]]:
    """Find the most bytes that live at once, and what lives then."""
    sizes: dict[int, int] = {}
    live = highest = when = 0
    for i, (number, size, _) in enumerate(events, 1):
        if size == FREED:
            live -= sizes[number]
            continue
        sizes[number] = size
        live += size
        if live > highest:
            highest, when = live, i
    gone = {number for number, size, _ in events[:when] if size == FREED}
    return highest, {n: size for n, size, _ in events[:when] if size != FREED and n not in gone}


def _first_update(sizes: Iterable[int], copies: int, spare: int) -> Iterable[Event]:
    """Make the state of a rule, as its first update does, parameter by parameter."""
    number = 0
    for size in sizes:
        kept, made = range(number - copies, number), range(number - copies - spare, number - copies)
        yield from ((n, size, OPERATOR) for n in (*kept, *made))
        yield from ((n, FREED, OPERATOR) for n in made)
        number -= copies + spare


def _growth(events: Sequence[Event]) -> int:
    """Tell what serving all this takes from the system; where the C library is not glibc, what lives."""
    version = _glibc()
    return heap.growth(events, version) if version else _peak(events)[0]


def _glibc() -> tuple[int, int] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) if name == "glibc" else None
    except (AttributeError, OSError, ValueError):  # Windows; another C library
        return None
