"""Greedy pretraining: layer by layer, each alone learns to say again what the layer before it says.

Stage k trains layer k and what decodes it, an autoencoder of the codes of layer k - 1; all else stays as it
is. Then the whole is trained: an autoencoder unrolled, a classifier by its labels.
Sources: Hinton and Salakhutdinov 2006 (with restricted Boltzmann machines); Bengio, Lamblin, Popovici and
Larochelle 2007, Greedy layer-wise training of deep networks (with autoencoders, as here); Vincent and others
2008 (each stage from a damaged input).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from striate import events
from striate.data.preprocess import Preprocess
from striate.errors import ModelError, RecipeError
from striate.training import optim
from striate.training.codes import encoder_of
from striate.training.reconstruction import Reconstruction
from striate.training.schedule import rate
from striate.training.step import drawing
from striate.training.task import unlabelled

if TYPE_CHECKING:
    from torch import Tensor

    from striate.events import Emit
    from striate.runs.recipe import Recipe
    from striate.training.loop import Job

Pair = tuple[nn.Linear, nn.Module]


@dataclass(frozen=True)
class Stage:
    """A layer, its nonlinearity, and what says its input again: the decoder's own layer, or a passing one."""

    layer: nn.Linear
    after: nn.Module
    decoder: nn.Linear

    def code(self, inputs: Tensor) -> Tensor:
        """Give what the layer says: (N, D) -> (N, K)."""
        said: Tensor = self.after(self.layer(inputs))
        return said


def stages(model: nn.Module) -> list[Stage]:
    """Take a chain of dense layers apart: of an autoencoder its encoder, of another all but the last layer.

    Raises ModelError for any other network.

    >>> chain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [stage.decoder for stage in stages(chain)]
    [Linear(in_features=3, out_features=4, bias=True)]
    """
    encoder = encoder_of(model)
    if encoder is None:
        pairs, decoders = _chain(model)[:-1], []
    else:
        pairs, decoders = _chain(encoder), [layer for layer, _ in _chain(model.decoder)][::-1]
        if [(d.out_features, d.in_features) for d in decoders] != [_sides(layer) for layer, _ in pairs]:
            raise ModelError(
                "--pretrain: the decoder is not the encoder's mirror image.", "Leave --pretrain away."
            )
    if not pairs:
        raise ModelError("--pretrain: there is no hidden layer to train.", "Leave --pretrain away.")
    passing = decoders or [nn.Linear(*_sides(layer)[::-1]).to(layer.weight.device) for layer, _ in pairs]
    return [Stage(layer, after, decoder) for (layer, after), decoder in zip(pairs, passing, strict=True)]


def check(recipe: Recipe, model: nn.Module) -> None:
    """Raise ModelError or RecipeError where :func:`pretrain` would not do what was asked."""
    if not recipe.pretrain:
        return
    if recipe.weights is not None:
        raise RecipeError(
            "--pretrain and --weights both say what the first weights are.", "Leave one of them away."
        )
    stages(model)


def pretrain(job: Job, emit: Emit) -> list[events.Choice]:
    """Train the layers of the job's network one after the other, by its recipe's rule, rate and schedule.

    A reconstruction's loss is a mean over values, as in its training; a classifier's rate is for the loss of
    one answer a picture, so here the sum over values is taken.
    Returns what there is to tell: the loss of each stage in its last pass.
    """
    recipe, batches = job.recipe, job.batches()
    if not recipe.pretrain:
        return []
    with drawing(recipe.seed, 0):
        found = stages(job.model)
    again, total, told = _again(job), recipe.pretrain * batches.steps, []
    for k, stage in enumerate(found):
        optimiser = optim.optimizer(nn.ModuleList([stage.layer, stage.decoder]), recipe, job.device)
        what = f"pretraining layer {k + 1} of {len(found)}"
        last = 0.0
        for step in range(total):
            for group in optimiser.param_groups:
                group["lr"] = (recipe.lr or 0.0) * rate(recipe.schedule, step / total, recipe.warmup)
            inputs = batches.at(*divmod(step, batches.steps)).inputs
            with drawing(recipe.seed, (k + 1) * total + step):
                missed = stage_loss(found[: k + 1], inputs, again)
            optimiser.zero_grad(set_to_none=True)
            values = 1 if isinstance(job.task, Reconstruction) else stage.layer.in_features
            (missed * values).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step >= total - batches.steps:
                last += float(missed.detach()) / batches.steps
            emit(events.Working(what, step + 1, total, "steps"))
        told.append(f"{stage.layer.in_features}-{stage.layer.out_features}: {last:.4g}")
    for stage in found:
        for parameter in (*stage.layer.parameters(), *stage.decoder.parameters()):
            parameter.grad = None
    choice = events.Choice(
        "pretrain", f"{len(found)} layers", f"loss a value in the last pass: {', '.join(told)}"
    )
    emit(choice)
    return [choice]


def stage_loss(done: list[Stage], inputs: Tensor, again: Reconstruction) -> Tensor:
    """Give the mean loss a value of the last stage: it is shown the code before it, damaged, and says it.

    Codes of sigmoids are said by cross-entropy, others by squared error.
    """
    *before, stage = done
    if not before:
        shown, clean = again.posed(inputs, inputs)
        said = stage.decoder(stage.code(shown.flatten(1)))
        return again.losses(said.view_as(clean), clean).mean()
    with torch.no_grad():
        code = inputs.flatten(1)
        for earlier in before:
            code = earlier.code(code)
        shown = Reconstruction(noise=again.noise, mask=again.mask).damaged(code)
    said, after = stage.decoder(stage.code(shown)), before[-1].after
    if isinstance(after, nn.Sigmoid):
        return F.binary_cross_entropy_with_logits(said, code)
    return F.mse_loss(after(said), code)


def _again(job: Job) -> Reconstruction:
    """Say how the first layer is to say its input again: as the task does; of a classifier plainly."""
    if isinstance(job.task, Reconstruction):
        return job.task
    loss = "cross-entropy" if isinstance(job.preprocess, Preprocess) else "squared"
    made = unlabelled(job.recipe.replace(task="reconstruction", loss=loss), job.preprocess)
    assert isinstance(made, Reconstruction)
    return made


def _chain(part: Any) -> list[Pair]:
    """List dense layers with the nonlinearity after each, of a sequence that holds nothing else."""
    found: list[Pair] = []
    for module in part.children() if isinstance(part, nn.Sequential) else [part]:
        if isinstance(module, nn.Linear):
            found.append((module, nn.Identity()))
        elif isinstance(module, nn.Flatten | nn.Unflatten):
            continue
        elif found and isinstance(found[-1][1], nn.Identity) and not [*module.parameters()]:
            found[-1] = (found[-1][0], module)
        else:
            raise ModelError(
                f"--pretrain is for a chain of dense layers; here is a {type(module).__name__}.",
                "Take such as mlp_sigmoid or autoencoder, or leave --pretrain away.",
            )
    return found


def _sides(layer: nn.Linear) -> tuple[int, int]:
    return layer.in_features, layer.out_features
