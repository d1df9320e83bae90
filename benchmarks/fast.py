"""Time to 90 % of CIFAR-10's test pictures: the recipe fast, the usual recipe, and airbench94's.

    python benchmarks/fast.py ours                        the command a user runs, from files to report
    python benchmarks/fast.py ours --without whitening    what a part is worth (PARTS below), same length
    python benchmarks/fast.py usual --epochs 30           ResNet-20, SGD, step schedule, ends at 90 %
    python benchmarks/fast.py airbench --epochs 4

Ours is timed with decoding, tuning, scoring and report. The other two are timed without: their pictures are
decoded before the clock starts, and it stands still while the test pictures are looked at, once an epoch.
Both run in the fastest of PyTorch's settings on this machine, measured first: float32 or bfloat16 autocast,
channels last or not. airbench94 was written anew from its description (Jordan 2024, sections 3 and 4).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import api
from striate.data.augment import Augment, parse
from striate.data.batches import Batches, plain
from striate.data.pictures import Pictures, measured, prepare
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.survey import survey
from striate.models.fastnet import FastNet, fastnet
from striate.models.resnet import resnet20
from striate.runs.recipe import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATA = SHARED / "cifar10-jpeg.zip"
GOAL = 0.9


def random_first_layer(classes: int, channels: int) -> nn.Module:
    """FastNet with a first layer that learns from random filters."""
    model = fastnet(classes, channels)
    model.get_parameter("whiten.weight").requires_grad_(True)
    model.prepare = None  # type: ignore[assignment]
    return model


def identity(classes: int, channels: int) -> nn.Module:
    """FastNet with convolutions that begin by passing on what they get, as far as there are maps for it."""
    model = fastnet(classes, channels)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "whiten":
            nn.init.dirac_(layer.weight[: layer.in_channels])
    return model


def gelu(classes: int, channels: int) -> nn.Module:
    """FastNet with GELU for ReLU in its blocks."""
    model = fastnet(classes, channels)
    for part in model.modules():
        for name, layer in part.named_children():
            if isinstance(layer, nn.ReLU):
                setattr(part, name, nn.GELU())
    return model


# What to leave away (or its other form), and how the recipe is then.
PARTS: dict[str, dict[str, Any]] = {
    "whitening": {"model": random_first_layer},
    "random-weights": {"model": identity},
    "relu": {"model": gelu},
    "muon": {"optimizer": "nesterov", "lr": 0.1, "weight_decay": 5e-4, "warmup": 0.2},
    "smoothing": {"label_smoothing": 0.0},
    "alternate": {"augment": "flip,shift=0.0625"},
    "shift": {"augment": "alternate"},
    "linear": {"schedule": "cosine"},
    "tta": {"tta": "off"},
    "batch": {"batch": 500},
    "early": {"early_size": 0},
}


def ours(epochs: int | None, without: str | None, seed: int) -> None:
    """Train with the recipe, as a command, or in this process where a part is left away."""
    length = {} if epochs is None else {"epochs": epochs}
    with tempfile.TemporaryDirectory() as place:
        out, began = Path(place) / "run", time.perf_counter()
        if without is None:
            flags = [f"--{name}={value}" for name, value in length.items()]
            command = [sys.executable, "-m", "striate", "train", str(DATA), "--recipe", "fast", *flags]
            cache = os.environ | {"STRIATE_CACHE": str(Path(place) / "cache")}
            subprocess.run([*command, f"--seed={seed}", "--out", str(out)], check=True, env=cache)
        else:
            settings: dict[str, Any] = length | PARTS[without]
            api.train(DATA, recipe="fast", out=out, seed=seed, **settings)
        seconds = time.perf_counter() - began
        info = json.loads((out / "run.json").read_text())
        last = json.loads((out / "history.jsonl").read_text().splitlines()[-1])
    name = "ours" if without is None else f"ours without {without}"
    accuracy = info["metrics"]["test"]["accuracy"]
    print(
        f"{name}, seed {seed}: test {accuracy:.2%} after {last['epoch']} epochs, "
        f"{last['seconds']:.0f} s training, {seconds:.0f} s in all"
    )


@dataclass
class Data:
    """Decoded pictures, and batches of them."""

    pictures: Pictures
    preprocess: Preprocess

    @classmethod
    def read(cls) -> Data:
        """Decode what the recipe fast trains and tests on."""
        source, recipe = open_source(str(DATA)), named("fast")
        seen, preprocess = survey(source), Preprocess(channels=3, size=32)
        pictures = prepare(source, seen, preprocess, val=0.0, test=recipe.test, seed=recipe.seed)
        return cls(pictures, measured(preprocess, pictures.store.pixels, pictures.split["train"]))

    def batches(self, batch: int, seed: int, augment: Augment) -> Batches:
        """Make the training batches."""
        held = self.pictures
        pixels, targets = np.array(held.store.pixels), held.targets
        return Batches(
            pixels, targets, held.split["train"], self.preprocess, batch=batch, seed=seed, augment=augment
        )

    def accuracy(self, answer: Callable[[Tensor], Tensor], model: nn.Module) -> float:
        """Score the test pictures."""
        rows = self.pictures.split["test"]
        model.eval()
        with torch.inference_mode():
            inputs = plain(self.pictures.store.pixels, rows, self.preprocess, 500)
            found = torch.cat([answer(x).argmax(1) for x in inputs])
        model.train()
        return float((found.numpy() == self.pictures.targets[rows]).mean())


Setting = tuple[bool, torch.memory_format]  # bfloat16 autocast or not, and the layout


def best_setting(make: Callable[[], nn.Module], batch: int) -> Setting:
    """Time the training step in each of PyTorch's settings; the fastest of the second and third step."""
    found: dict[Setting, float] = {}
    for setting in [
        (half, form) for half in (False, True) for form in (torch.contiguous_format, torch.channels_last)
    ]:
        half, form = setting
        model = make().to(memory_format=form)  # type: ignore[call-overload]
        x, y = (
            torch.randn(batch, 3, 32, 32).contiguous(memory_format=form),
            torch.zeros(batch, dtype=torch.long),
        )
        times = []
        for _ in range(3):
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = model(x)
            F.cross_entropy(outputs.float(), y).backward()  # type: ignore[no-untyped-call]
            times.append(time.perf_counter() - began)
        found[setting] = min(times[1:])
    return min(found, key=lambda setting: found[setting])


@dataclass
class Clock:
    """Training time: it can be stopped."""

    spent: float = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        began = time.perf_counter()
        yield
        self.spent += time.perf_counter() - began


def trained(
    name: str,
    make: Callable[[], nn.Module],
    rule: Callable[[nn.Module], torch.optim.Optimizer],
    share: Callable[[float], float],
    *,
    data: Data,
    batch: int,
    epochs: float,
    seed: int,
    augment: str,
    smoothing: float = 0.0,
    prepared: Callable[[nn.Module, Data], None] = lambda _model, _data: None,
    after: Callable[[nn.Module, int, int], None] = lambda _model, _step, _steps: None,
    answer: Callable[[nn.Module, Tensor], Tensor] = lambda model, x: model(x),
) -> None:
    """Train by a plain loop, and tell the time and the accuracy after each epoch.

    share: of the rate, by progress from 0 to 1.   after: what is done after each step.
    """
    torch.manual_seed(seed)
    half, form = best_setting(make, batch)
    kind = "bfloat16 autocast" if half else "float32"
    print(
        f"{name}: {kind}, {str(form).removeprefix('torch.')}, {torch.get_num_threads()} threads", flush=True
    )
    model = make().to(memory_format=form)  # type: ignore[call-overload]
    prepared(model, data)
    batches = data.batches(batch, seed, parse(augment, flips=True, photos=False))
    optimiser, clock, steps = rule(model), Clock(), math.ceil(epochs * batches.steps)
    peaks, model = [group["lr"] for group in optimiser.param_groups], model.train()
    for step in range(steps):
        with clock.running():
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * share(step / steps)
            drawn = batches.at(*divmod(step, batches.steps))
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = model(drawn.inputs.contiguous(memory_format=form))
            loss = F.cross_entropy(outputs.float(), drawn.targets, label_smoothing=smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            after(model, step + 1, steps)
        if (step + 1) % batches.steps == 0 or step + 1 == steps:
            accuracy = data.accuracy(lambda x: answer(model, x), model)
            done, mark = (step + 1) / batches.steps, " (reached)" if accuracy >= GOAL else ""
            print(f"  epoch {done:.1f}: {clock.spent:.0f} s, test {accuracy:.2%}{mark}", flush=True)


def usual(data: Data, epochs: float, seed: int) -> None:
    """ResNet-20 as in its paper's section 4.2, the schedule drawn together to the given length."""
    trained(
        f"ResNet-20, SGD, step schedule, {epochs:g} epochs",
        resnet20,
        lambda model: torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=1e-4, fused=True),
        lambda progress: 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01,
        data=data,
        batch=128,
        epochs=epochs,
        seed=seed,
        augment="flip,shift=0.125",
    )


class Airbench(nn.Module):
    """airbench94's network: whitening 2x2 without padding, three groups, GELU, norms without gains."""

    def __init__(self) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        groups, before = nn.Sequential(nn.GELU()), 24
        for width in (64, 256, 256):
            groups.extend([self._conv(before, width), nn.MaxPool2d(2), self._norm(width), nn.GELU()])
            groups.extend([self._conv(width, width), self._norm(width), nn.GELU()])
            before = width
        self.groups, self.head = groups.append(nn.MaxPool2d(3)), nn.Linear(before, 10, bias=False)

    @staticmethod
    def _conv(before: int, width: int) -> nn.Conv2d:
        conv = nn.Conv2d(before, width, 3, padding=1, bias=False)
        nn.init.dirac_(conv.weight[:before])
        return conv

    @staticmethod
    def _norm(width: int) -> nn.BatchNorm2d:
        norm = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
        norm.weight.requires_grad_(False)
        return norm

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.groups(self.whiten(x)).flatten(1))
        return logits / 9


def airbench(data: Data, epochs: float, seed: int) -> None:
    """airbench94: SGD in large batches, biases at 64 times the rate, a triangle, Lookahead, six views."""
    batch, momentum, peak, decay, faster = 1024, 0.85, 11.5, 0.0153, 64
    unit = 1 + 1 / (1 - momentum)  # how much longer Nesterov's steps are than gradients; the loss is a mean
    rate = peak / unit
    slow: dict[str, Tensor] = {}

    def rule(model: nn.Module) -> torch.optim.Optimizer:
        groups = []
        for is_norm, factor in ((True, faster), (False, 1)):
            learnt = [
                p
                for layer in model.modules()
                for p in layer.parameters(recurse=False)
                if p.requires_grad and isinstance(layer, nn.BatchNorm2d) == is_norm
            ]
            # The decay is not multiplied with the biases' rate.
            groups.append(
                {"params": learnt, "lr": rate * factor, "weight_decay": decay / unit / (rate * factor)}
            )
        return torch.optim.SGD(groups, momentum=momentum, nesterov=True, fused=True)

    def share(progress: float) -> float:
        rise = 0.23
        if progress < rise:
            return 0.2 + 0.8 * progress / rise
        return 1 - 0.93 * (progress - rise) / (1 - rise)

    def lookahead(model: nn.Module, step: int, steps: int) -> None:
        if step % 5 and step != steps:
            return
        keep = 1.0 if step == steps else 0.95**5 * (step / steps) ** 3  # at last the average is taken
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    before = slow.setdefault(name, value.clone())
                    before.lerp_(value, 1 - keep)
                    value.copy_(before)

    def prepared(model: nn.Module, data: Data) -> None:
        assert isinstance(model, Airbench)
        like = FastNet(10, 3)
        rows = data.pictures.split["train"][::10]
        like.prepare(next(plain(data.pictures.store.pixels, rows, data.preprocess, len(rows))))
        model.whiten.load_state_dict(like.whiten.state_dict())

    def views(model: nn.Module, x: Tensor) -> Tensor:
        def both(x: Tensor) -> Tensor:
            sides: Tensor = model(x) + model(x.flip(3))
            return sides / 2

        wide = F.pad(x, (1, 1, 1, 1), mode="reflect")
        mean: Tensor = both(x) / 2 + both(wide[:, :, :32, :32]) / 4 + both(wide[:, :, 2:, 2:]) / 4
        return mean

    trained(
        f"airbench94, {epochs:g} epochs",
        Airbench,
        rule,
        share,
        data=data,
        batch=batch,
        epochs=epochs,
        seed=seed,
        augment="alternate,shift=0.0625",
        smoothing=0.2,
        prepared=prepared,
        after=lookahead,
        answer=views,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=["ours", "usual", "airbench"])
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--without", choices=[*PARTS], help="ours, without this part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    if asked.which == "ours":
        ours(None if asked.epochs is None else int(asked.epochs), asked.without, asked.seed)
    elif asked.which == "usual":
        usual(Data.read(), asked.epochs or 30, asked.seed)
    else:
        airbench(Data.read(), asked.epochs or 4, asked.seed)


if __name__ == "__main__":
    main()
