"""One training step: forward, loss, backward, update."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from striate.errors import ModelError
from striate.runs.forward import computing
from striate.runs.load import offered, own
from striate.summary.inspect import refusal
from striate.training.next_step import check_causal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch.optim import Optimizer

    from striate.data.batches import Batch
    from striate.data.preprocess import Preprocess
    from striate.data.sequence import Sequences
    from striate.training.task import Task


def training_step(
    model: nn.Module, task: Task, batch: Batch, optimiser: Optimizer, *, precision: str, clip: float
) -> tuple[Tensor, Tensor]:
    """Update the weights once: the step in its plainest form; :mod:`.stepper` has the fast ones.

    clip: longest gradient allowed (its norm), 0 for any.  What else goes in and comes out: :func:`forward`.
    """
    optimiser.zero_grad(set_to_none=True)
    with computing(precision, batch.inputs.device.type):
        total, told = forward(model, model, task, batch)
    total.backward()  # type: ignore[no-untyped-call]
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return told


def forward(
    runs: nn.Module, model: nn.Module, task: Task, batch: Batch
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Compute what a step goes backward from.

    runs: the network as it computes, which may be another form of ``model``; in training it may return a
    tuple: its output, then those of auxiliary classifiers, whose losses count `auxiliary_weight` each, an
    attribute of the model (0.3 without it; Szegedy et al. 2015, section 5).
    Returns the mean loss, and (loss, metric) of the first output, each the sum over the batch, on the
    batch's device: what validation measures, too.   Raises ModelError where the network does.
    """
    inputs, targets = task.posed(batch.inputs, batch.targets)
    try:
        returned = runs(inputs)
        every = returned if isinstance(returned, tuple) else (returned,)
        outputs, *auxiliary = [output.float() for output in every]
    except Exception as error:
        raise refusal(model, batch.inputs.shape[1:], training=True) or ModelError(
            f"The model raised {type(error).__name__} in training: {' '.join(str(error).split())[:160]}",
            "Try another --batch or --size; --debug shows where.",
        ) from error
    losses = _losses(task, outputs, batch, targets)
    total = losses.mean()
    for output in auxiliary:
        total = total + getattr(model, "auxiliary_weight", 0.3) * _losses(task, output, batch, targets).mean()
    with torch.no_grad():
        return total, (losses.sum(), task.hits(outputs, targets).sum())


def _losses(task: Task, outputs: Tensor, batch: Batch, targets: Tensor) -> Tensor:
    losses = task.losses(outputs, targets)
    if batch.partners is not None and batch.share is not None:  # mixup, cutmix: two targets share a picture
        losses = batch.share * losses + (1 - batch.share) * task.losses(outputs, batch.partners)
    return losses


@contextlib.contextmanager
def drawing(seed: int, step: int) -> Iterator[None]:
    """Key the draws inside a network (dropout) to (seed, step), and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        key(seed, step)
        yield


def key(seed: int, step: int) -> None:
    """Set torch's generators to where the draws of (seed, step) begin.

    It costs a hundredth of torch.manual_seed. The caller puts the generators back, as :func:`drawing` does.
    """
    number = (seed * 1_000_003 + step) % 2**63
    for generator in (torch.default_generator, *torch.cuda.default_generators):
        generator.manual_seed(number)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def fitting_model(
    model: Any, task: Task, preprocess: Preprocess | Sequences, seed: int, *, small: bool = False
) -> nn.Module:
    """Build a network with the first weights of a seed, and make sure that it fits its inputs.

    model: a name, a function or a module, which is copied.   small: with the stem for small pictures.
    Raises ModelError.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = own(model, classes=task.outputs, every=task.every, small=small, **offered(preprocess))
        shape = preprocess.shape
        try_out(built, task, torch.zeros(2, *shape))
        if hasattr(built, "heads"):  # auxiliary classifiers run in training only
            refused = refusal(built, shape, training=True)
            if refused is not None:
                raise refused
    return built


def try_out(model: nn.Module, task: Task, inputs: Tensor) -> None:
    """Run one batch forward, so that a model that does not fit says so before anything else is done.

    Raises ModelError where the model raises, has another output, or sees what it is to foretell.
    """
    count = len(inputs)
    model.eval()
    try:
        with torch.no_grad():  # not inference mode: lazy layers get their parameters here
            outputs = model(inputs)
    except Exception as error:
        shape, why = tuple(inputs.shape), " ".join(str(error).split())[:160]
        raise refusal(model, shape[1:], training=False) or ModelError(
            f"The model raised {type(error).__name__} for an input {shape}: {why}",
            "Check its input size and channels, or choose another --size. --debug shows where.",
        ) from error
    finally:
        model.train()
    got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
    wanted = (count, *task.answer_shape(tuple(inputs.shape[1:])))
    if got != wanted:
        raise ModelError(
            f"The model returned {got} for {count} inputs; {wanted} is needed.",
            "Its last layer must have one output a class (or one for regression)."
            if len(wanted) == 2
            else "It must answer with the shape of its input.",
        )
    if task.every:
        check_causal(model, tuple(inputs.shape[1:]))
