"""What is said of a network that cannot be run: the layer, both shapes and the smallest input that works."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import striate
from striate.errors import ModelError
from striate.summary.failure import words

from .does import Does


def net(features: int = 400) -> nn.Module:
    """Give the usual network of lectures: two convolutions, two poolings, and a dense layer for one size."""

    def forward(net: Any, x: Tensor) -> Any:
        x = F.max_pool2d(F.relu(net.conv1(x)), 2)
        x = F.max_pool2d(F.relu(net.conv2(x)), 2)
        return net.fc(x.flatten(1))

    return Does(forward, conv1=nn.Conv2d(3, 6, 5), conv2=nn.Conv2d(6, 16, 5), fc=nn.Linear(features, 10))


def said(network: nn.Module, shape: tuple[int, ...]) -> tuple[str, str]:
    """Give message and hint of an inspection that must fail, on a terminal two lines at most."""
    with pytest.raises(ModelError) as caught:
        striate.inspect(network, shape)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value.message, caught.value.hint


# ---- a shape that does not go through ---------------------------------------------------------------


CHANNELS_FIRST = "it takes 3 axes, channels first"
PAIR = Does(lambda net, x: net.conv(x) + x, conv=nn.Conv2d(3, 3, 3))


@pytest.mark.parametrize(
    ("network", "given", "where", "why", "works"),
    [
        (net(), "3x28x28", "fc (Linear), given 256", "it takes 400 values", "3x32x32"),
        (net(), "3x4x4", "conv1 (Conv2d), given 3x4x4", "its 5x5 kernel is larger than that", "3x32x32"),
        (net(), "1x32x32", "conv1 (Conv2d), given 1x32x32", "it takes 3 channels", "3x32x32"),
        (net(), "32x32", "conv1 (Conv2d), given 32x32", CHANNELS_FIRST, "3x32x32"),
        (net(), "3x32x32x1", "conv1 (Conv2d), given 3x32x32x1", CHANNELS_FIRST, "3x32x32"),
        (
            nn.LSTM(16, 4, batch_first=True),
            *("10x15", "The network (LSTM), given 10x15", "it takes 16 values a step", "1x16"),
        ),
        (
            nn.Sequential(nn.MaxPool2d(9)),
            *("3x8x9", "0 (MaxPool2d), given 3x8x9", "its 9x9 kernel is larger than that", "3x9x9"),
        ),
        (
            nn.Sequential(nn.Conv1d(2, 2, 5)),
            *("2x4", "0 (Conv1d), given 2x4", "its kernel of 5 is larger than that", "2x5"),
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 3, dilation=4)),
            *("1x8x8", "0 (Conv2d), given 1x8x8", "its 3x3 kernel is larger than that", "1x9x9"),
        ),
        (
            PAIR,
            *(
                "3x8x8",
                "The network (Does), given 3x6x6 and 3x8x8",
                "add needs shapes that go together",
                "3x3x3",
            ),
        ),
    ],
)
def test_the_layer_both_shapes_and_what_works_are_named(
    network: nn.Module, given: str, where: str, why: str, works: str
) -> None:
    shape = tuple(map(int, given.split("x")))
    assert said(network, shape) == (
        f"{where}: {why} (input {given})",
        f"The smallest input that works: {works}.",
    )


def test_a_misfit_inside_of_the_network_has_no_input_that_works() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(4))
    message, hint = said(network, (3, 8, 8))
    assert message == "1 (BatchNorm2d), given 8x6x6: it takes 4 channels (input 3x8x8)"
    assert hint == "No other size of input was found to work: these layers do not go together."


def test_nothing_left_of_the_input_is_said() -> None:
    network = Does(lambda net, x: net.conv(x[:, :, 4:]), conv=nn.Conv2d(1, 1, 3, padding=2))
    message, hint = said(network, (1, 4, 4))
    assert message == "conv (Conv2d), given 1x0x4: nothing is left of the input 1x4x4"
    assert hint == "Give a larger input."


def test_a_picture_without_its_channels_is_not_taken_for_a_batch() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    assert network(torch.zeros(1, 28, 28)).shape == (4, 26, 26)  # which torch does
    message, hint = said(network, (28, 28))
    assert message == "0 (Conv2d), given 28x28: it takes 3 axes, channels first (input 28x28)"
    assert hint == "Give such an input, for example 1x28x28."


def test_a_network_within_a_network_is_named_by_its_path() -> None:
    inner = Does(lambda net, x: net.conv(x).view(-1, 50), conv=nn.Conv2d(1, 2, 3))
    message, hint = said(nn.Sequential(nn.ReLU(), inner), (1, 8, 8))
    assert message.startswith(
        "1 (Does), given 2x6x6: shape '[-1, 50]' is invalid for input of size 72 (test_failure"
    )
    assert "view(-1, 50)" in message
    assert hint == "The smallest input that works: 1x7x7."


REFUSED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "batch norm": (nn.BatchNorm2d(4), (3, 8, 8)),
    "rank of batch norm": (nn.BatchNorm1d(3), (3, 8, 8)),
    "group norm": (nn.GroupNorm(2, 4), (3, 8, 8)),
    "concatenation": (Does(lambda net, x: torch.cat([net.c(x), x], 1), c=nn.Conv2d(3, 3, 3)), (3, 8, 8)),
    "stack": (Does(lambda net, x: torch.stack([net.c(x), x], 1), c=nn.Conv2d(3, 3, 3)), (3, 8, 8)),
    "product": (Does(lambda _, x: x @ x), (3, 8, 9)),
    "einsum": (Does(lambda _, x: torch.einsum("nchw,nchv->nwv", x, x[:, :, :3])), (3, 8, 9)),
    "function": (Does(lambda _, x: F.conv2d(x, torch.zeros(8, 4, 3, 3))), (3, 8, 9)),
    "dense function": (Does(lambda _, x: F.linear(x, torch.zeros(8, 4))), (3, 8, 9)),
    "padding of pooling": (Does(lambda _, x: F.avg_pool2d(x, 2, padding=2)), (3, 8, 9)),
    "parametric relu": (nn.PReLU(5), (3, 8, 9)),
    "pixel shuffle": (nn.PixelShuffle(2), (3, 8, 9)),
    "attention": (
        Does(lambda net, x: net.a(x, x, x), a=nn.MultiheadAttention(12, 2, batch_first=True)), (3, 8)
    ),
    "reflection": (Does(lambda _, x: F.pad(x, (9, 9, 9, 9), mode="reflect")), (3, 8, 9)),
    "view": (Does(lambda _, x: x.transpose(1, 2).view(-1)), (3, 8, 9)),
    "channel": (Does(lambda _, x: x[:, 5]), (3, 8, 9)),
    "precision": (Does(lambda net, x: net.c(x.double()), c=nn.Conv2d(3, 3, 3)), (3, 8, 8)),
    "key": (Does(lambda _, x: {}[x.dim()]), (3, 8, 8)),
    "assertion": (Does(lambda _, x: F.cross_entropy(x.flatten(1), torch.zeros(3, dtype=torch.long))), (3, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_refused_in_two_lines(name: str) -> None:
    network, shape = REFUSED[name]
    with pytest.raises(Exception), torch.no_grad():  # noqa: B017 - whatever torch raises
        network.eval()(torch.zeros(1, *shape))
    message, hint = said(network, shape)
    assert re.match(r"\S.* \(\w+\)", message)
    assert message.endswith(f"(input {'x'.join(map(str, shape))})")
    assert hint.endswith(".")
    assert len(message) < 400


# ---- a network that looks at values -----------------------------------------------------------------


def _if(net: Any, x: Tensor) -> Any:
    x = net.conv(x)
    if x.sum() > 0:
        return x * 2
    return x


def _loop(net: Any, x: Tensor) -> Any:
    for _ in range(int(x.max())):
        x = net.conv(x)
    return x


VALUES = {
    "bool": _if,
    "int": _loop,
    "item": lambda net, x: net.conv(x) * x.mean().item(),
    "tolist": lambda net, x: net.conv(x).tolist(),
    "nonzero": lambda net, x: net.conv(x).nonzero(),
    "index": lambda net, x: net.conv(x)[net.conv(x) > 0],
    "numpy": lambda net, x: torch.from_numpy(net.conv(x).numpy()),
    "equal": lambda net, x: net.conv(x) if torch.equal(x, x) else x,
    "allclose": lambda net, x: net.conv(x) if torch.allclose(x, x) else x,
    "to": lambda net, x: net.conv(x).to("cpu"),
    "unique": lambda net, x: net.conv(x).unique(),
    "masked_select": lambda net, x: net.conv(x).masked_select(x[:, :, 1:-1, 1:-1] > 0),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_network_that_decides_by_values_is_told_where(kind: str) -> None:
    message, hint = said(Does(VALUES[kind], conv=nn.Conv2d(1, 1, 3)), (1, 8, 8))
    assert message.startswith("The network (Does)")
    assert f": {kind} needs the values of a tensor, and an inspection has only shapes" in message
    assert re.search(r"\(test_failure\.py, line \d+: .*\) \(input 1x8x8\)$", message)
    assert hint == "Its arithmetic depends on the picture: inspect a version with that decision fixed."


# ---- a network that is no network of one input ------------------------------------------------------


def test_a_network_of_two_inputs_says_which() -> None:
    message, hint = said(nn.Bilinear(2, 3, 4), (2,))
    assert message == "The forward of Bilinear takes 2 inputs (input1, input2); it is given one."
    assert hint == "Wrap it in a module whose forward takes one tensor and makes the others."


def test_what_may_be_left_out_is_no_second_input() -> None:
    class Optional(nn.Linear):
        def forward(self, input: Tensor, mask: Any = None, *rest: Any, **more: Any) -> Tensor:  # noqa: A002
            assert not mask
            assert not rest
            assert not more
            return super().forward(input)

    assert striate.inspect(Optional(2, 3), (2,)).totals.parameters == 9


def test_a_network_without_input_or_output_is_refused() -> None:
    class Zero(nn.Module):
        def forward(self) -> Tensor:
            return torch.zeros(1)

    assert said(Zero(), (2,))[0] == "The forward of Zero takes no input."
    assert said(Does(lambda _net, _x: None), (2,))[0] == "The forward of Does returned NoneType, no tensor."
    assert said(Does(lambda _net, _x: 3), (2,))[0] == "The forward of Does returned int, no tensor."
    message, hint = said(nn.Module(), (2,))
    assert message.startswith("The network (Module), given 2: ")
    assert 'is missing the required "forward" function' in message
    assert hint == "The mistake is in the network's code, whatever the input."


def test_a_mistake_in_the_code_is_shown_with_its_line() -> None:
    def forward(_net: Any, _x: Tensor) -> Tensor:
        raise ValueError("wrong\nin two lines")

    message, hint = said(Does(forward), (2,))
    assert re.fullmatch(
        r"The network \(Does\), given 2: wrong in two lines \(test_failure\.py, line \d+: "
        r'raise ValueError\("wrong\\nin two lines"\)\) \(input 2\)',
        message,
    )
    assert hint == "No other size of input was found to work."


def test_a_network_that_ends_the_program_does_not_end_it() -> None:
    def forward(_net: Any, _x: Tensor) -> Tensor:
        raise SystemExit(3)

    assert "SystemExit: 3" in said(Does(forward), (2,))[0]


def test_endless_recursion_ends() -> None:
    message, hint = said(Does(lambda net, x: net(x)), (2,))
    assert "maximum recursion depth" in message
    assert hint == "The mistake is in the network's code, whatever the input."


def test_the_network_that_came_further_is_explained() -> None:
    network = Does(
        lambda net, x: net.conv(net.words(x).transpose(1, 2)),
        words=nn.Embedding(9, 4),
        conv=nn.Conv1d(4, 4, 6),
    )
    assert said(network, (5,)) == (
        "conv (Conv1d), given 4x5: its kernel of 6 is larger than that (input 5)",
        "The smallest input that works: 6.",
    )


def test_a_fault_of_the_inspection_is_not_blamed_on_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> int:
        raise RuntimeError("ours")

    monkeypatch.setattr("striate.summary.count.multiply_adds", broken)
    with pytest.raises(RuntimeError, match="ours"):
        striate.inspect(nn.Linear(2, 3), (2,))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (AssertionError(), "AssertionError"),
        (ValueError("two\n  lines of text"), "two lines of text"),
        (ValueError("a " * 200), "a " * 79 + "a…"),
    ],
)
def test_an_error_is_put_in_one_line(error: Exception, told: str) -> None:
    assert words(error) == told
