"""The memory of a training step: what a processor saves, by hand, by torch's tracker, and measured."""

from __future__ import annotations

import gc
import math
import os
import statistics
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from striate.models.registry import build
from striate.summary import heap, memory, shapes, tape
from striate.summary.heap import BACKWARD, FORWARD, FREED, OPERATOR, Heap
from striate.summary.memory import Step
from striate.training.optim import RULES


class Calls(nn.Module):
    """A function of the input and of some modules, as a network."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def frozen_norm() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    model[1].eval()
    return model


def conv(after: int = 8) -> nn.Conv2d:
    return nn.Conv2d(3, after, 3)


PICTURE = (4, 3, 16, 16)
SAME: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "relu": (lambda: nn.Sequential(conv(), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(inplace=True)), PICTURE),
    "batch norm": (
        lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        PICTURE,
    ),
    "batch norm with fixed statistics": (frozen_norm, PICTURE),
    "dropout": (
        lambda: nn.Sequential(conv(), nn.Dropout(0.3), nn.Dropout2d(0.2), nn.Dropout(0.5, inplace=True)),
        PICTURE,
    ),
    "functional": (
        lambda: Calls(
            lambda x, a, b: torch.cat([F.relu(a(x)), F.relu_(b(x))], 1).mean((2, 3)), conv(), conv()
        ),
        PICTURE,
    ),
    "arithmetic": (
        lambda: Calls(lambda x, a: (a(x) * a(x) + a(x).exp() / (a(x).pow(2) + 1)).amax((2, 3)), conv()),
        PICTURE,
    ),
    "pooling": (
        lambda: nn.Sequential(conv(), nn.AvgPool2d(2), nn.LPPool2d(2, 2), nn.AdaptiveMaxPool2d(2)),
        PICTURE,
    ),
    "activations": (
        lambda: nn.Sequential(
            conv(), nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.PReLU(), nn.Softmax(1)
        ),
        PICTURE,
    ),
    "norms": (
        lambda: nn.Sequential(
            conv(), nn.GroupNorm(2, 8), nn.LocalResponseNorm(5), nn.LayerNorm(14), nn.InstanceNorm2d(8)
        ),
        PICTURE,
    ),
    "signal": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 5), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
        (4, 3, 32),
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 8, 2, 2), nn.ReLU(), nn.Upsample(scale_factor=2)),
        PICTURE,
    ),
    "attention with dropout": (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 10, 16)),
    "lenet5": (lambda: build("lenet5"), (2, 1, 28, 28)),
    "resnet20": (lambda: build("resnet20"), (2, 3, 32, 32)),
    "resnet18": (lambda: build("resnet18"), (2, 3, 64, 64)),
}
# A processor has kernels of its own for these; the meta device says what they stand for.
OTHER: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LSTM": (lambda: Calls(lambda x, a: a(x)[0], nn.LSTM(8, 6, batch_first=True)), (2, 5, 8)),
    "GRU": (lambda: Calls(lambda x, a: a(x)[0], nn.GRU(8, 6, batch_first=True)), (2, 5, 8)),
    "RNN": (lambda: Calls(lambda x, a: a(x)[0], nn.RNN(8, 6, batch_first=True)), (2, 5, 8)),
    "attention": (
        lambda: Calls(lambda x, a: F.scaled_dot_product_attention(a(x), a(x), a(x)), nn.Linear(16, 16)),
        (2, 4, 10, 16),
    ),
}


def predict(model: nn.Module, x: Tensor | tuple[int, ...], **settings: str) -> Step:
    shape = tuple(x.shape) if isinstance(x, Tensor) else x
    return memory.step(model.to("meta"), torch.empty(shape, device="meta"), **settings)  # type: ignore[arg-type]


def saved_on_cpu(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Count what autograd saves where it computes with numbers."""
    x = torch.randn(shape)
    known = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers(), x)}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known and storage.nbytes():
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = model(x)  # held: what is saved keeps its address
    assert outputs is not None
    return sum(saved.values())


@pytest.mark.parametrize("name", SAME)
def test_saved_bytes_equal_the_processors(name: str) -> None:
    make, shape = SAME[name]
    model = make()
    on_cpu = saved_on_cpu(model, shape)
    step = predict(model, shape)
    assert step.activations == on_cpu > 0
    assert sum(step.saved.values()) == step.activations


@pytest.mark.parametrize("name", OTHER)
def test_operators_with_kernels_of_their_own_are_named(name: str) -> None:
    make, shape = OTHER[name]
    model = make()
    assert saved_on_cpu(model, shape) != predict(model, shape).activations
    assert {"LSTM": "nn.LSTM", "attention": "attention"}.get(name, name) in (memory.__doc__ or "")


def test_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1000, bias=False), nn.Tanh(), nn.Tanh())
    row = iter(range(100))
    step = memory.step(
        model.to("meta"), torch.empty(500, 1, device="meta"), optimizer="adam", row=lambda: next(row)
    )
    large = 4 * 500 * 1000
    # The first layer saves its input, which is not counted; each tanh saves its result.
    assert step.saved == {0: large, 1: large}
    assert (step.parameters, step.gradients, step.optimizer, step.input) == (4000, 4000, 8000, 2000)
    # When the backward pass begins: both results, the log softmax and its gradient; and the loss.
    assert 0 <= step.temporary - 2 * large <= 64
    assert step.peak == 4000 + 8000 + 2000 + 2 * large + step.temporary


def test_the_update_is_the_peak_of_a_large_dense_layer() -> None:
    model = nn.Linear(1000, 1000, bias=False)
    weights = 4_000_000
    step = predict(model, (1, 1000), optimizer="adamw")
    # Weights, two copies as state, the gradient; and the root of the squares, twice.
    assert step.peak == 6 * weights + 4000
    assert step.temporary == 2 * weights


def test_rules_are_those_that_training_knows() -> None:
    assert set(memory.RULES) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_state_is_what_the_rule_keeps(name: str) -> None:
    rule, settings = RULES[name]
    weight = nn.Parameter(torch.zeros(100))
    optimiser = rule([weight], lr=0.1, **settings)
    weight.grad = torch.ones(100)
    optimiser.step()
    kept = sum(t.nbytes for t in optimiser.state[weight].values() if isinstance(t, Tensor) and t.numel() > 1)
    assert predict(nn.Linear(100, 1, bias=False), (1, 100), optimizer=name).optimizer == kept


def test_muon_keeps_one_copy_of_filters_and_adams_two_of_all_else() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 6 * 6, 2))
    filters, rest = 5 * 27 * 4, (5 + 362) * 4
    assert predict(model, (1, 3, 8, 8), optimizer="muon").optimizer == filters + 2 * rest


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lenet5", (64, 1, 28, 28)), ("resnet20", (16, 3, 32, 32)), ("vgg11_bn", (8, 3, 32, 32))],
)
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_peak_is_that_of_torchs_tracker(name: str, shape: tuple[int, ...]) -> None:
    def network() -> nn.Module:
        return build(name, classes=10, channels=shape[1], size=shape[2]).train()

    with FakeTensorMode():
        model, x, y = network(), torch.randn(shape), torch.zeros(shape[0], dtype=torch.int64)
        tracker = MemTracker()
        tracker.track_external(model, x)
        with tracker:
            F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    tracked = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    with torch.device("meta"):
        ours = memory.step(network(), torch.empty(shape))
    assert ours.peak - ours.optimizer == pytest.approx(
        tracked, abs=1000
    )  # the losses differ in a few numbers


def test_the_first_update_makes_the_rules_state() -> None:
    weights = 100_000_000
    step = predict(nn.Linear(5000, 5000, bias=False), (1, 5000), optimizer="adam")
    # The gradient, two copies as state, and two more while the update is made; the weights were there before.
    assert 5 * weights < step.resident < 5 * weights + memory.LOADED + 1_000_000


def test_what_is_saved_grows_with_the_batch_and_the_rest_does_not() -> None:
    one, three = (predict(build("resnet20"), (batch, 3, 32, 32)) for batch in (10, 30))
    # All but the means and deviations of batch norm.
    channels = 2 * 4 * (7 * 16 + 6 * 32 + 6 * 64)
    assert three.activations - channels == 3 * (one.activations - channels)
    assert three.input == 3 * one.input
    assert (three.parameters, three.buffers, three.gradients) == (one.parameters, one.buffers, one.gradients)
    assert three.resident > 2 * one.resident - memory.LOADED


def test_shapes_written_here_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"lenet5": (4, 1, 28, 28), "resnet20": (4, 3, 32, 32), "vgg11_bn": (4, 3, 32, 32)}
    ours = [predict(build(name), shape) for name, shape in inputs.items()]
    monkeypatch.setattr(shapes, "RULES", {})
    assert ours == [predict(build(name), shape) for name, shape in inputs.items()]


@pytest.mark.skipif(tape._block() == 0, reason="torch without oneDNN: convolutions make no copies")
@pytest.mark.parametrize(
    ("weight", "groups", "filled"),
    [
        ((20, 40, 1, 1), 1, {8: (40, 24), 16: (48, 32)}),
        ((40, 1, 1, 1), 40, {8: (40,), 16: (48,)}),
        ((20, 10, 1, 1), 4, {8: (40, 20), 16: (40, 20)}),  # groups end inside of blocks
    ],
)
def test_a_convolution_works_on_filled_up_copies(
    weight: tuple[int, ...], groups: int, filled: dict[int, tuple[int, ...]]
) -> None:
    taken = tape.Tape((), lambda: 0)
    with taken, torch.device("meta"):
        F.conv2d(torch.empty(2, 40, 8, 8), torch.empty(weight), groups=groups)
    image = 2 * 8 * 8 * 4
    made = {(size, maker) for _, size, maker in taken.events if size != FREED}
    assert (weight[0] * image, FORWARD) in made
    copies = {(math.prod(weight) * 4, OPERATOR)} | {(n * image, OPERATOR) for n in filled[tape._block()]}
    assert copies == {event for event in made if event[1] == OPERATOR}


def test_channels_last_needs_no_copies() -> None:
    taken = tape.Tape((), lambda: 0)
    x, weight = torch.empty(2, 40, 8, 8, device="meta"), torch.empty(20, 40, 3, 3, device="meta")
    last = torch.channels_last
    with taken:
        F.conv2d(x.contiguous(memory_format=last), weight.contiguous(memory_format=last))
    assert not [event for event in taken.events if event[2] == OPERATOR]


@pytest.mark.skipif(tape._block() == 0, reason="torch without oneDNN: convolutions make no copies")
def test_copies_belong_to_the_process_and_not_to_the_tensors() -> None:
    model, shape = nn.Sequential(nn.Conv2d(1, 2, 1)), (64, 1, 256, 256)
    step = predict(model, shape)
    result = 64 * 2 * 256 * 256 * 4
    assert step.peak < 4 * result
    assert step.resident > tape._block() / 2 * result


def test_outputs_of_any_kind_and_frozen_parts() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 4), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> dict[str, object]:
            return {"a": self.first(x), "b": (self.second(x), x.argmax(1))}

    assert predict(Several(), (5, 8)).gradients == 4 * (8 * 4 + 4 + 8 * 2 + 2)
    half = Several()
    half.first.requires_grad_(requires_grad=False)
    assert predict(half, (5, 8)).gradients == 4 * (8 * 2 + 2)
    frozen = predict(half.requires_grad_(requires_grad=False), (5, 8))
    assert (frozen.gradients, frozen.activations, frozen.optimizer) == (0, 0, 0)
    assert frozen.peak > frozen.parameters + frozen.input


def test_words_and_sparse_gradients() -> None:
    model = nn.Sequential(nn.Embedding(50, 8, sparse=True), nn.Flatten(), nn.Linear(40, 2)).to("meta")
    step = memory.step(model, torch.empty(3, 5, dtype=torch.int64, device="meta"))
    assert step.input == 3 * 5 * 8
    assert step.activations > 0


def test_nothing_is_left_behind() -> None:
    model, made = build("resnet20").to("meta"), []
    model.register_forward_hook(lambda _module, _inputs, output: made.append(weakref.ref(output)))
    gc.collect()
    gc.disable()
    try:
        before = torch.is_grad_enabled()
        memory.step(model, torch.empty(2, 3, 32, 32, device="meta"))
        assert made
        assert made[0]() is None
    finally:
        gc.enable()
    assert torch.is_grad_enabled() == before
    assert all(p.grad is None for p in model.parameters())
    assert torch._C._len_torch_dispatch_stack() == 0


def test_a_failing_network_leaves_nothing_behind_either() -> None:
    with pytest.raises(RuntimeError, match=r"reduction dim|shape"):
        predict(nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6)), (2, 3))
    assert torch._C._len_torch_dispatch_stack() == 0


def test_a_hole_serves_the_same_size_only_beside_another() -> None:
    size = 1_000_000
    grown = {}
    for parted in (False, True):
        served = Heap()
        served.take(0, size, parted=False)
        served.free(0)  # from here on, this size comes from the heap
        for number in (1, 2, 3):
            served.take(number, size, parted=parted)
        served.free(2)
        served.take(4, size, parted=parted)
        grown[parted] = served.peak
    assert 3 * size < grown[False] < 3.5 * size
    assert 4 * size < grown[True] < 4.5 * size


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_holes_side_by_side_are_one(order: tuple[int, int]) -> None:
    served = Heap()
    served.take(0, 4_000_000, parted=False)
    served.free(0)
    for number in (1, 2, 3):
        served.take(number, 1_000_000, parted=False)
    held = served.peak
    for number in order:
        served.free(number)
    served.take(4, 2_000_000, parted=False)
    assert served.peak == held


def test_large_tensors_come_and_go_exactly() -> None:
    served = Heap()
    for number in range(5):
        served.take(number, 40 << 20, parted=True)
        served.free(number)
    assert 40 << 20 < served.peak < (40 << 20) + 10_000
    assert served._end == 0


def test_the_heap_gives_back_its_end() -> None:
    served = Heap()
    served.take(0, 1 << 20, parted=False)
    served.free(0)
    for number in range(1, 9):
        served.take(number, 1_000_000, parted=False)
    held = served._end
    for number in range(1, 9):
        served.free(number)
    assert held > 8_000_000
    assert served._end < 200_000


def test_a_newer_library_parts_fewer() -> None:
    events = []
    for number in range(200):
        maker = FORWARD if number < 100 else BACKWARD
        events.append((number, 1_000_000, maker))
        if number % 2:
            events.append((number - 1, FREED, maker))
    assert heap.growth(events, (2, 36)) > heap.growth(events, (2, 41)) > 100_000_000


def test_the_library_makes_a_difference_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = {}
    for version in ((2, 36), (2, 41)):
        monkeypatch.setattr(memory, "_glibc", lambda version=version: version)
        grown[version] = predict(build("resnet20"), (64, 3, 32, 32)).resident
    assert grown[2, 36] > 1.02 * grown[2, 41]


MEASURE = """
import sys
from pathlib import Path
import torch
from striate.models.registry import build

def kilobytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

name, batch, channels, size = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(2)
model = build(name, classes=10, channels=channels, size=size).train()
rule = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
x, y = torch.randn(batch, channels, size, size), torch.zeros(batch, dtype=torch.int64)
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS:")
torch.nn.functional.cross_entropy(model(x), y).backward()
rule.step()
print((kilobytes("VmHWM:") - before) * 1024)
"""
MEASURED_HERE = pytest.mark.skipif(
    memory._glibc() is None or not os.access("/proc/self/clear_refs", os.W_OK),
    reason="the growth of a process is predicted for glibc, and measured through /proc",
)


@MEASURED_HERE
@pytest.mark.parametrize(
    ("name", "batch", "channels", "size"),
    [("lenet5", 6000, 1, 28), ("resnet20", 200, 3, 32), ("resnet18", 64, 3, 96)],
)
def test_a_process_grows_as_predicted(name: str, batch: int, channels: int, size: int) -> None:
    with torch.device("meta"):
        model = build(name, classes=10, channels=channels, size=size).train()
        predicted = memory.step(model, torch.empty(batch, channels, size, size)).resident
    command = [sys.executable, "-c", MEASURE, name, *map(str, (batch, channels, size))]
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "LD_PRELOAD"))}
    # Two runs of one step may differ by a tenth: where the allocator finds room is luck.
    grown = [int(subprocess.check_output(command, env=plain)) for _ in range(2)]
    assert min(grown) > 300_000_000
    assert predicted == pytest.approx(statistics.mean(grown), rel=0.15)


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc: it is elsewhere already")
def test_elsewhere_it_is_what_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    here = predict(build("resnet20"), (64, 3, 32, 32))
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    there = predict(build("resnet20"), (64, 3, 32, 32))
    assert there.activations < there.resident - memory.LOADED < here.resident - memory.LOADED


@pytest.mark.parametrize(
    ("told", "version"),
    [("glibc 2.36", (2, 36)), ("glibc 2.39.1", (2, 39)), ("musl 1.2.4", None), ("", None), (None, None)],
)
def test_version_of_the_c_library(
    monkeypatch: pytest.MonkeyPatch, told: str | None, version: tuple[int, int] | None
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _name: told, raising=False)
    assert memory._glibc() == version
