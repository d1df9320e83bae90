"""One contract for every network, and how a user's own function, class or module is found."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.utils._pytree import tree_leaves

from striate.errors import ModelError
from striate.models.registry import MODELS, build, find, is_ours

# Those that are small enough to be run here, at a size that is quick; the others on the meta device alone.
SIZES = {
    "mlp": 28,
    "lenet5": 28,
    "lenet5_1998": 28,
    "resnet20": 32,
    "resnet18": 32,
    "nin": 16,
    "unshared": 16,
    "fastnet": 16,
}
SIZES |= {"convnetjs": 16, "convnetjs_mnist": 24}


@pytest.mark.parametrize("name", MODELS)
def test_takes_its_own_input_and_every_parameter_is_reached(name: str) -> None:
    known = MODELS[name]
    with torch.device("meta"):
        model = build(name)
        # In training there are the heads' outputs, too; in evaluation every branch that training may drop.
        outputs = [
            *tree_leaves(model(torch.empty(2, *known.input))),
            model.eval()(torch.empty(2, *known.input)),
        ]
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    assert all(output.shape == (2, *known.output) for output in outputs)
    assert len(outputs) == 2 + len(getattr(model, "heads", ())) * name.endswith("_heads")
    sum(output.sum() for output in outputs).backward()
    reached = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.shape == p.shape for p in reached)
    assert len([*model.parameters()]) == len(reached) + (name == "fastnet")  # its first filters


@pytest.mark.parametrize("name", MODELS)
def test_what_is_known_of_it_is_true(name: str) -> None:
    known = MODELS[name]
    asked = inspect.signature(known.builder).parameters
    assert known.classes == (asked["classes"].default if "classes" in asked else None)
    assert 1980 < known.year < 2030
    assert known.paper
    assert find(name) is known.builder


@pytest.mark.parametrize("name", MODELS)
def test_classes_and_channels_are_as_asked(name: str) -> None:
    known = MODELS[name]
    channels = 1 if name == "tdnn" else 5  # which hears one channel of sound, and says so
    shape = (channels, *known.input[1:])
    with torch.device("meta"):
        model = build(name, classes=7, **(known.sizes | {"channels": channels}))
        outputs = model(torch.empty(2, *shape))
    answer = shape if known.classes is None else (7,)
    assert all(output.shape == (2, *answer) for output in tree_leaves(outputs))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_learns(name: str, channels: int) -> None:
    torch.manual_seed(0)
    model = build(name, classes=7, channels=channels, size=SIZES[name])
    # Zero-initialised last norms let nothing through to a block's inside at first: one step opens them.
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        outputs = model(torch.randn(4, channels, SIZES[name], SIZES[name]))
        nn.functional.cross_entropy(outputs, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    learnt = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learnt)


@pytest.mark.parametrize("name", SIZES)
def test_saves_and_loads_bit_equal(name: str) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"classes": 7, "channels": 3, "size": SIZES[name]}
    model, other = build(name, **sizes), build(name, **sizes)
    inputs = torch.randn(2, 3, SIZES[name], SIZES[name])
    model(inputs)  # moves the running statistics of the norms
    other.load_state_dict(load(save(model.state_dict())))
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert torch.equal(model.eval()(inputs), other.eval()(inputs))


def test_numbers_after_a_name_are_its_widths() -> None:
    network = build("bilstm-7-5", classes=3, channels=2)
    assert [p.shape[0] // 4 for n, p in network.named_parameters() if "weight_ih" in n] == [7, 5, 7, 5]
    tcn = build("tcn-3-2-6", classes=4, channels=2)
    assert [tuple(m.weight.shape) for m in tcn.modules() if isinstance(m, nn.Conv1d)] == [
        (6, 2, 3), (6, 6, 3), (6, 2, 1), (6, 6, 3), (6, 6, 3),
    ]  # fmt: skip
    for name in ("tcn-3-2", "tcn-3-0-6", "lstm-0", "bitcn-3-2-6"):
        with pytest.raises(ModelError, match="Unknown model"):
            find(name)


def test_an_answer_at_every_step_only_of_those_that_can() -> None:
    assert build("gru-6", channels=2, every=True)(torch.zeros(1, 2, 5)).shape == (1, 10, 5)
    with pytest.raises(ModelError, match="lenet5 answers once a sequence"):
        build("lenet5", every=True)


# ---- the user's own ------------------------------------------------------------------------------------


def _own(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def test_own_function_gets_only_what_it_names() -> None:
    model = build(_own, classes=3, channels=1, size=8)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_what_is_not_given_is_left_to_the_builder() -> None:
    def own(classes: int = 4, channels: int | None = 2) -> nn.Module:
        return nn.Linear(channels or 99, classes)

    assert build(own).weight.shape == (4, 2)
    assert build(own, classes=5).weight.shape == (5, 2)
    assert build(partial(_own, classes=6))[1].out_features == 6  # type: ignore[index]
    assert build("lenet5").get_submodule("output").get_parameter("bias").shape == (10,)


def test_what_a_builder_needs_is_named_with_its_flag() -> None:
    with pytest.raises(ModelError, match=r"_own needs classes\.") as caught:
        build(_own, channels=3, size=8)
    assert caught.value.hint == "Give --classes N."

    def own(channels: int, size: int, classes: int, *more: int) -> nn.Module:
        raise NotImplementedError

    with pytest.raises(ModelError, match="needs classes, channels, size") as caught:
        build(own)
    assert caught.value.hint == ("Give --classes N and --input CxHxW (size is the side of a square picture).")


def test_a_module_is_returned_as_it_is() -> None:
    module = nn.Linear(2, 3)
    assert build(module, classes=5) is module


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file of networks in the current folder, imported anew."""
    (tmp_path / "mine_here.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Flatten()\n"
        "def bad(): raise ValueError('two\\nlines')\n"
        "def leaves(): raise SystemExit(3)\n"
        "def none(): return 3\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, classes): super().__init__(2, classes)\n"
        "made = Net(4)\n"
        "class Zoo:\n"
        "    net = made\n"
        "    number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # and taken off again
    yield "mine_here"
    sys.modules.pop("mine_here", None)


def test_own_function_class_or_module_by_name_from_the_current_folder(own_file: str) -> None:
    assert isinstance(build("mine_here:net", classes=3, channels=1, size=8), nn.Flatten)
    assert build("mine_here:Net", classes=3, channels=1).weight.shape == (3, 2)
    made = build("mine_here:made", classes=3)
    assert made is find("mine_here:made")
    assert made.weight.shape == (4, 2)
    assert build("mine_here:Zoo.net") is made


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine_here:bad", "ValueError: two lines"),
        ("mine_here:leaves", "SystemExit: 3"),
        ("mine_here:none", "returned int"),
        ("mine_here:nett", "no function 'nett'"),
        ("mine_here:Zoo.nett", "no function 'Zoo.nett'"),
        ("mine_here:Zoo.number", "no function 'Zoo.number'"),
        ("mine_here:Net", "mine_here:Net needs classes"),
        ("not_there:net", "Cannot import 'not_there'"),
        ("mine_here:", "Unknown model"),
        (":net", "Unknown model"),
    ],
)
def test_what_is_wrong_with_a_name_is_said_in_two_lines(name: str, says: str, own_file: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        build(name, channels=1, size=8)
    assert "\n" not in caught.value.message
    assert "\n" not in caught.value.hint


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(ModelError, match="Did you mean resnet18"):
        build("resnet8", classes=2, channels=3, size=64)
    assert is_ours("resnet18")
    assert not is_ours("a.b:c")


def test_lenet_says_what_size_it_needs() -> None:
    with pytest.raises(ModelError, match="size=8"):
        build("lenet5", classes=2, channels=1, size=8)
