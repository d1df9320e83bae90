"""The memory of a training step, predicted and measured, beside torch's own tracker.

    python benchmarks/memory.py [RUNS]          # 3 runs of each case, a fresh process each: 10 minutes
    python benchmarks/memory.py run lenet5 1x28x28 8192     # one of them: the bytes that it grew by

A run is the first step (forward, cross-entropy, backward, SGD with momentum) of a process that already holds
network, rule and batch: plain float32, channels first, 2 threads, glibc's malloc as it is. Its growth is the
highest resident set during the step less the one before (`VmHWM` in /proc, reset through clear_refs).
The tracker is `torch.distributed._tools.mem_tracker.MemTracker` under `FakeTensorMode`: its peak less what it
counted before the step.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from striate.models.registry import build
from striate.summary import memory

# Batches at which a step needs more than 300 MB; those with tensors below 32 MiB, which glibc serves from its
# heap, are the hard ones.
CASES = [
    ("lenet5", "1x28x28", (4096, 6000, 8192, 16384)),
    ("resnet20", "3x32x32", (128, 256, 512, 1024)),
    ("resnet18", "3x64x64", (128, 256)),
    ("resnet18", "3x224x224", (8, 16, 32)),
    ("resnet50", "3x224x224", (8, 16)),
    ("vgg11", "3x64x64", (32, 128)),
    ("vgg11_bn", "3x64x64", (64,)),
    ("branches", "3x32x32", (256,)),
    ("branches", "3x96x96", (64,)),
    ("depthwise", "3x64x64", (128,)),
    ("depthwise", "3x96x96", (128,)),
    ("dense", "3x32x32", (4096, 16384)),
    ("wave", "3x4096", (128,)),
    ("transformer", "3x32x32", (64, 256)),
]


class Branch(nn.Module):
    """Four ways side by side, joined by their channels (Szegedy et al. 2014)."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.point = nn.Sequential(nn.Conv2d(before, width, 1), nn.ReLU())
        self.three = nn.Sequential(
            nn.Conv2d(before, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.five = nn.Sequential(
            nn.Conv2d(before, width // 2, 1), nn.ReLU(), nn.Conv2d(width // 2, width, 5, padding=2), nn.ReLU()
        )
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(before, width, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.point(x), self.three(x), self.five(x), self.pool(x)], 1)


class Tokens(nn.Module):
    """Patches of 4 x 4 as tokens, four layers of attention (Dosovitskiy et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, 128, 4, 4)
        layers = (nn.TransformerEncoderLayer(128, 4, 512, batch_first=True) for _ in range(4))
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        logits: Tensor = self.output(self.layers(tokens).mean(1))
        return logits


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]


def branches(channels: int) -> nn.Module:
    stem = [nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    blocks = [Branch(32, 16), Branch(64, 32), nn.MaxPool2d(2), Branch(128, 32), Branch(128, 48)]
    return nn.Sequential(*stem, *blocks, *head(192))


def depthwise(channels: int) -> nn.Module:
    """Separate a convolution into one per channel and one per pixel (Howard et al. 2017)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    for before, width, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += [nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)]
        layers += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.Conv2d(before, width, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *head(256))


def dense(values: int) -> nn.Module:
    hidden = [layer for _ in range(12) for layer in (nn.ReLU(), nn.Linear(1024, 1024))]
    return nn.Sequential(nn.Flatten(), nn.Linear(values, 1024), *hidden, nn.ReLU(), nn.Linear(1024, 10))


def wave(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, width in ((channels, 32), (32, 64), (64, 64), (64, 128)):
        layers += [nn.Conv1d(before, width, 9, padding=4), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 10))


def network(name: str, shape: tuple[int, ...]) -> nn.Module:
    """Build one of ours, or one of those above."""
    if name == "dense":
        return dense(shape[0] * shape[1] * shape[2])
    own = {"branches": branches, "depthwise": depthwise, "wave": wave, "transformer": Tokens}
    return own[name](shape[0]) if name in own else build(name, classes=10, channels=shape[0], size=shape[-1])


def one_step(model: nn.Module, rule: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    rule.step()


def make(
    name: str, shape: tuple[int, ...], batch: int
) -> tuple[nn.Module, torch.optim.Optimizer, Tensor, Tensor]:
    model = network(name, shape).train()
    rule = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    return model, rule, torch.randn(batch, *shape), torch.zeros(batch, dtype=torch.int64)


def run(name: str, shape: tuple[int, ...], batch: int) -> int:
    """Run a step in this process, and give the bytes that it grew by."""

    def kilobytes(field: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    torch.set_num_threads(2)
    made = make(name, shape, batch)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = kilobytes("VmRSS:")
    one_step(*made)
    return (kilobytes("VmHWM:") - before) * 1024


def tracked(name: str, shape: tuple[int, ...], batch: int) -> int:
    """Predict the growth with torch's tracker, as its documentation says, on tensors without numbers."""
    with FakeTensorMode():
        made = make(name, shape, batch)
        tracker = MemTracker()
        tracker.track_external(*made)
        cpu = torch.device("cpu")
        before = tracker.get_tracker_snapshot("current")[cpu]["Total"]
        with tracker:
            one_step(*made)
        return tracker.get_tracker_snapshot("peak")[cpu]["Total"] - before


def predicted(name: str, shape: tuple[int, ...], batch: int) -> int:
    with torch.device("meta"):
        model = network(name, shape).train()
        x = torch.empty(batch, *shape)
    return memory.step(model, x).resident


def main(runs: int) -> None:
    """Print a row for each case, and who was nearer how often."""
    processor, library = torch.backends.cpu.get_cpu_capability(), " ".join(platform.libc_ver())
    print(f"torch {torch.__version__}, {processor}, {library}; MB, mean of {runs}")
    print(f"{'network':12} {'input':>10} {'batch':>6}  {'measured':>18}  {'predicted':>15}  {'tracker':>15}")
    errors: list[tuple[float, float]] = []
    singles: list[float] = []
    for name, text, batches in CASES:
        shape = tuple(int(n) for n in text.split("x"))
        for batch in batches:
            command = [sys.executable, __file__, "run", name, text, str(batch)]
            grown = [int(subprocess.check_output(command)) for _ in range(runs)]
            ours, theirs = predicted(name, shape, batch), tracked(name, shape, batch)
            mean = statistics.mean(grown)
            errors.append((ours / mean - 1, theirs / mean - 1))
            singles += [ours / one - 1 for one in grown]
            span = f"{mean / 1e6:.0f} ({min(grown) / 1e6:.0f}-{max(grown) / 1e6:.0f})"
            print(
                f"{name:12} {text:>10} {batch:6}  {span:>18}"
                f"  {ours / 1e6:6.0f} {errors[-1][0]:+8.1%}  {theirs / 1e6:6.0f} {errors[-1][1]:+8.1%}",
                flush=True,
            )
    nearer = sum(abs(a) < abs(b) for a, b in errors)
    print(f"ours is nearer in {nearer} of {len(errors)}; mean of the absolute errors", end=" ")
    print(
        *(f"{statistics.mean(abs(pair[i]) for pair in errors):.1%}" for i in (0, 1)), sep=" against ", end=""
    )
    print("; largest", *(f"{max(abs(pair[i]) for pair in errors):.1%}" for i in (0, 1)), end="")
    print(f"; single runs within 15 %: {sum(abs(e) <= 0.15 for e in singles)} of {len(singles)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        print(run(sys.argv[2], tuple(int(n) for n in sys.argv[3].split("x")), int(sys.argv[4])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
