"""What an inspection finds, and that it leaves the network as it was."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import striate
from striate.errors import DoesNotFit, ModelError, RecipeError
from striate.models.registry import MODELS, build
from striate.summary.inspect import inspect

from .does import Does


def branches() -> nn.Module:
    """Give a network with functions, a shared layer, a frozen one, and one that is never used."""

    def forward(net: Any, x: Tensor) -> Tensor:
        x = F.relu(net.stem(x))
        y = net.twice(net.twice(x)) + x
        return torch.cat([net.frozen(y), x], 1).flatten(1)

    return Does(
        forward,
        stem=nn.Conv2d(1, 4, 3),
        twice=nn.Conv2d(4, 4, 3, padding=1),
        frozen=nn.Conv2d(4, 2, 1).requires_grad_(requires_grad=False),
        unused=nn.Linear(3, 5),
    )


# ---- rows and totals --------------------------------------------------------------------------------


def test_rows_stand_in_the_order_of_execution_and_say_what_they_read() -> None:
    found = inspect(branches(), (1, 8, 8))
    told = [(row.name, row.kind, row.functional, row.inputs, row.output) for row in found.layers]
    assert told == [
        ("stem", "Conv2d", False, (-1,), (4, 6, 6)),
        ("relu", "relu", True, (0,), (4, 6, 6)),
        ("twice", "Conv2d", False, (1,), (4, 6, 6)),
        ("twice#2", "Conv2d", False, (2,), (4, 6, 6)),
        ("add", "add", True, (3, 1), (4, 6, 6)),
        ("frozen", "Conv2d", False, (4,), (2, 6, 6)),
        ("cat", "cat", True, (5, 1), (6, 6, 6)),
        ("flatten", "flatten", True, (6,), (216,)),
    ]


def test_shared_parameters_count_once_frozen_ones_apart_and_unused_ones_by_name() -> None:
    found = inspect(branches(), (1, 8, 8))
    rows = {row.name: row for row in found.layers}
    assert rows["twice"].parameters == 4 * (9 * 4 + 1)
    assert (rows["twice#2"].parameters, rows["twice#2"].shared_with) == (0, "twice")
    assert (rows["frozen"].parameters, rows["frozen"].trainable) == (10, 0)
    assert found.unused == (("unused", 20),)
    assert found.totals.parameters == 40 + 148 + 10 + 20
    assert found.totals.trainable == found.totals.parameters - 10
    assert rows["twice#2"].multiply_adds == 9 * 4 * 4 * 36  # done twice, though stored once
    assert found.totals.multiply_adds == sum(row.multiply_adds for row in found.layers)


def test_the_result_has_the_names_of_the_json() -> None:
    found = striate.inspect("lenet5")
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert found.totals.multiply_adds == told["totals"]["multiply_adds"] == 416_520
    assert {"parameters", "trainable", "multiply_adds"} <= set(told["totals"])
    assert {"inference", "training"} <= set(told["memory"])
    for row in told["layers"]:
        assert set(row) >= {
            "name", "kind", "input", "output", "parameters", "multiply_adds", "receptive_field",
            "border_loss",
        }  # fmt: skip
        assert set(row["receptive_field"]) == {"size", "stride", "offset"}
    first = told["layers"][0]
    assert (first["input"], first["output"]) == ([1, 28, 28], [6, 28, 28])
    assert first["receptive_field"] == {"size": [5, 5], "stride": [1, 1], "offset": [-2, -2]}
    assert first["border_loss"] == [0, 0]


@pytest.mark.parametrize("name", MODELS)
def test_each_network_of_ours_is_inspected_as_strict_json(name: str) -> None:
    found = striate.inspect(name)
    json.dumps(found.json(), allow_nan=False)
    heads = tuple(getattr(build(name), "heads", ())) if name.endswith("_heads") else ()
    assert {part.partition(".")[0] for part, _ in found.unused} == set(heads)  # used in training only
    assert not any(row.uncounted for row in found.layers)


def test_the_dense_layer_instead_joins_every_input_to_every_output() -> None:
    found = inspect(
        nn.Sequential(nn.Conv2d(3, 10, 5, padding=2), nn.Flatten(), nn.Linear(10240, 7)), (3, 32, 32)
    )
    assert found.layers[0].dense_parameters == 3 * 32 * 32 * 10 * 32 * 32 + 10 * 32 * 32
    assert found.totals.dense_parameters == found.layers[0].dense_parameters + 10240 * 7 + 7


def test_activations_grow_with_the_batch_and_parameters_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    one, ten = inspect(network, (1, 9, 9), batch=1), inspect(network, (1, 9, 9), batch=10)
    parameters = 4 * (40 + 148)
    assert ten.memory.inference - parameters == 10 * (one.memory.inference - parameters)
    for row, same in zip(one.layers, ten.layers, strict=True):
        assert same.memory.inference == 10 * row.memory.inference
    assert one.layers[0].memory.inference == 4 * 4 * 7 * 7
    assert ten.layers[1].memory.training == 10 * one.layers[1].memory.training > 0


CONVOLUTIONS = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
DENSE = nn.Sequential(nn.Linear(100, 80), nn.ReLU(inplace=True), nn.Linear(80, 9))


@pytest.mark.parametrize(
    ("network", "shape", "stored", "alive"),
    [(CONVOLUTIONS, (1, 9, 9), 40 + 148, 81 + 196 + 196), (DENSE, (100,), 8080 + 729, 100 + 80 + 9)],
)
def test_inference_holds_the_network_and_what_lives_at_once(
    network: nn.Module, shape: tuple[int, ...], stored: int, alive: int
) -> None:
    assert inspect(network, shape, batch=7).memory.inference == 4 * (stored + 7 * alive)


# ---- what fits and what is lost ---------------------------------------------------------------------

SENTENCE = (
    "7x7 input, 3x3 kernel, stride 3: (7 - 3)/3 + 1 = 2.33. "
    "2 fit, the last row and column are never seen; padding 1 gives 3x3"
)


def test_a_misfit_is_a_warning_and_strict_refuses_it_in_the_same_words() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, stride=3))
    found = inspect(network, (1, 7, 7))
    assert found.layers[0].border_loss == (1, 1)
    assert found.layers[0].warning == found.layers[0].misfit == SENTENCE
    assert found.warnings == (f"0: {SENTENCE}",)
    with pytest.raises(DoesNotFit) as caught:
        inspect(network, (1, 7, 7), strict=True)
    assert caught.value.message == "0 (Conv2d) does not fit its input."
    assert caught.value.hint == SENTENCE


def test_strict_refuses_where_only_padding_is_left_over_and_the_warning_says_that_nothing_is_lost() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1))
    found = inspect(network, (1, 8, 8))
    assert found.layers[0].border_loss == (0, 0)
    assert found.layers[0].misfit
    assert not found.layers[0].warning
    assert found.warnings == ("0: a stride does not divide evenly, but only padding is left over",)
    with pytest.raises(DoesNotFit, match="only padding is left over"):
        inspect(network, (1, 8, 8), strict=True)
    assert not inspect(network, (1, 9, 9), strict=True).warnings


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.MaxPool2d(3, 2, ceil_mode=True), (1, 8, 8)),  # rounds up: nothing is lost
        (nn.ConvTranspose2d(1, 2, 4, 3), (1, 8, 8)),  # grows
        (nn.Conv2d(1, 2, 3, padding=1), (1, 5, 9)),
        (nn.Conv1d(2, 2, 3, stride=2), (2, 9)),
        (nn.Linear(7, 3), (7,)),
    ],
    ids=str,
)
def test_strict_accepts_what_fits(layer: nn.Module, shape: tuple[int, ...]) -> None:
    found = inspect(layer, shape, strict=True)
    assert not found.warnings
    assert not any(found.layers[0].border_loss or ())


def test_axes_lose_each_their_own() -> None:
    found = inspect(nn.Conv2d(1, 1, (3, 2), stride=(3, 2)), (1, 8, 8))
    assert found.layers[0].border_loss == (2, 0)
    assert inspect(nn.MaxPool1d(2), (3, 9)).layers[0].border_loss == (1,)


@given(
    st.lists(st.tuples(*[st.integers(1, n) for n in (14, 4, 4)], st.integers(0, 2)), min_size=1, max_size=2)
)
def test_border_loss_is_what_the_gradient_never_reaches(axes: list[tuple[int, int, int, int]]) -> None:
    # Windows that overlap or touch, so that they pass over nothing but the border.
    assume(all(kernel >= stride and n + 2 * padding >= kernel for n, kernel, stride, padding in axes))
    sizes, kernel, stride, padding = zip(*axes, strict=True)
    kind = nn.Conv2d if len(axes) == 2 else nn.Conv1d
    layer = kind(1, 1, kernel, stride, padding, bias=False).double()
    nn.init.ones_(layer.weight)
    x = torch.ones(1, 1, *sizes, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assume(x.grad.any())  # windows that see padding alone lose everything
    reached = x.grad[0, 0].nonzero().amax(0)
    lost = tuple(n - 1 - int(last) for n, last in zip(sizes, reached, strict=True))
    assert inspect(layer, (1, *sizes)).layers[0].border_loss == lost


# ---- any network ------------------------------------------------------------------------------------


def test_a_network_of_words_is_given_whole_numbers() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        return net.last(net.conv(net.words(x).transpose(1, 2)).mean(2))

    network = Does(forward, words=nn.Embedding(1000, 16), conv=nn.Conv1d(16, 8, 3), last=nn.Linear(8, 2))
    found = inspect(network, (128,))
    assert found.dtype == "int64"
    assert [row.output for row in found.layers] == [(128, 16), (16, 128), (8, 126), (8,), (2,)]
    assert found.layers[2].receptive_field is not None
    assert found.layers[2].receptive_field.size == (3,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_network_in_another_precision_is_given_inputs_of_it(dtype: torch.dtype) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)).to(dtype)
    found = inspect(network, (1, 3, 3))
    assert found.dtype == str(dtype).removeprefix("torch.")
    assert found.layers[0].memory.inference == 32 * 4 * dtype.itemsize


def test_a_dictionary_of_outputs_is_a_result() -> None:
    network = Does(lambda net, x: {"a": net.conv(x), "b": [x]}, conv=nn.Conv2d(1, 2, 3))
    assert inspect(network, (1, 8, 8)).totals.parameters == 20


def test_random_numbers_of_the_networks_own_are_no_row_that_others_read() -> None:
    network = Does(lambda net, x: net.conv(x) * (torch.rand(1) + 1), conv=nn.Conv2d(1, 2, 3))
    found = inspect(network, (1, 8, 8))
    assert found.layers[-1].kind == "mul"
    assert all(source < i for i, row in enumerate(found.layers) for source in row.inputs)


def test_an_operator_without_a_rule_is_named_and_its_count_is_no_silent_0() -> None:
    found = inspect(Does(lambda _, x: torch.fft.fft2(x).abs()), (1, 8, 8))
    assert found.layers[0].uncounted
    assert "cannot be counted" in found.warnings[0]


def test_a_result_without_values_sees_nothing() -> None:
    found = inspect(Does(lambda _, x: x[:, :, 4:]), (1, 4, 4))
    assert found.layers[0].output == (1, 0, 4)
    assert found.layers[0].receptive_field is None


def test_lazy_layers_get_their_sizes_and_the_network_stays_lazy() -> None:
    network = nn.Sequential(nn.LazyConv2d(8, 3), nn.Flatten(), nn.LazyLinear(10))
    found = inspect(network, (3, 5, 5))
    assert found.totals.parameters == 8 * 28 + 72 * 10 + 10
    assert isinstance(network[0], nn.LazyConv2d)


def test_a_compiled_network_is_inspected_as_it_was_written() -> None:
    network = torch.compile(nn.Sequential(nn.Conv2d(1, 2, 3)), backend="eager")
    assert [row.name for row in inspect(network, (1, 8, 8)).layers] == ["0"]  # type: ignore[arg-type]


def test_batch_norm_cannot_be_trained_at_batch_1_and_the_rest_is_told() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    found = inspect(network, (4,), batch=1)
    assert found.memory.training is None
    assert found.totals.multiply_adds == 32
    assert "no training step was possible at batch 1: Expected more than 1 value" in found.warnings[0]


def test_gradients_are_looked_at_whatever_mode_is_set() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    plain = inspect(network, (4,))
    with torch.no_grad():
        assert inspect(network, (4,)) == plain
    with torch.inference_mode():
        assert inspect(network, (4,)) == plain


# ---- what cannot be asked ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0, 3), (3, -1), (3, 2.5), "3x8", None, 5])
def test_an_input_that_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(ModelError, match="input"):
        striate.inspect(nn.Linear(4, 8), shape)


def test_numbers_of_numpy_are_numbers() -> None:
    assert inspect(nn.Linear(4, 8), np.array([4])).input == (4,)  # type: ignore[arg-type]


def test_more_than_any_machine_holds_is_refused() -> None:
    with pytest.raises(ModelError, match="more than any machine holds"):
        inspect(nn.Linear(4, 8), (10**9, 10**9, 4))
    with pytest.raises(ModelError, match="larger than any memory"):
        inspect(nn.Conv2d(1, 10**7, 1), (1, 10**7, 10**5))


def test_a_batch_of_none_and_an_unknown_rule_are_refused() -> None:
    with pytest.raises(ModelError, match="batch must be at least 1"):
        striate.inspect(nn.Linear(4, 8), (4,), batch=0)
    with pytest.raises(RecipeError, match=r"(?s)Unknown optimiser 'adm'.*Did you mean adam"):
        striate.inspect(nn.Linear(4, 8), (4,), optimizer="adm")


# ---- nothing is changed -----------------------------------------------------------------------------


def _state(model: nn.Module) -> tuple[Any, ...]:
    """Give everything about a network that an inspection could change."""
    torch_state, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    tensors = {
        name: (tensor.detach().clone(), tensor.requires_grad, tensor.data_ptr(), tensor.device)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    modules = [
        (name, id(module), module.training, sorted(vars(module)), *(list(vars(module)[key]) for key in HOOKS))
        for name, module in model.named_modules()
    ]
    return tensors, grads, modules, (torch_state, python, numpy), torch.is_grad_enabled()


HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks",
)  # fmt: skip


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (Tensor, np.ndarray)):
        return bool((one == other).all())
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _draws(net: Any, x: Tensor) -> Tensor:
    random.random()
    np.random.rand()  # noqa: NPY002
    return F.dropout(net.norm(net.conv(x)) + torch.randn(1), 0.5, training=True)


@pytest.mark.parametrize(
    ("forward", "works"),
    [
        (_draws, True),
        (lambda net, x: _draws(net, x) * x.sum().item(), False),
        (lambda net, x: _draws(net, x).view(7, 7, 7, 7), False),
        (lambda _net, _x: exec("raise SystemExit"), False),
        (lambda net, x: _draws(net, x.expand(2, 2, 8, 8)), False),
    ],
    ids=["works", "values", "shapes", "exit", "channels"],
)
def test_a_network_is_never_changed(forward: Any, works: bool) -> None:
    conv, norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4).eval()
    conv.register_forward_hook(lambda *_: None)
    conv.weight.grad = torch.ones_like(conv.weight)
    network = Does(forward, conv=conv, norm=norm)
    before = _state(network)
    if works:
        striate.inspect(network, (1, 8, 8))
    else:
        with pytest.raises(ModelError):
            striate.inspect(network, (1, 8, 8))
    assert _same(_state(network), before)
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_building_by_name_leaves_the_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.training.measure.SECONDS", 0)
    before = torch.get_rng_state()
    striate.inspect("lenet5")
    striate.inspect("lenet5", measure=True, batch=2)
    assert torch.equal(torch.get_rng_state(), before)
