"""What somebody means by a network, and that it stays theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import striate
from striate.errors import ModelError, RunError
from striate.models.registry import MODELS
from striate.runs.load import own
from striate.runs.network import Network, find

OWN = """
import torch
from torch import nn

network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(4))


def built(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.Flatten(), nn.LazyLinear(classes))


def looks(classes):
    return nn.Linear(int(torch.tensor(4).item()), classes)


def given():
    return network
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a module of networks."""
    (tmp_path / "found_networks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MODELS)
def test_a_network_of_ours_knows_its_input_and_allocates_nothing(name: str) -> None:
    found = find(name, None, classes=None, trust=False)
    assert found.shape == MODELS[name].input
    assert all(parameter.is_meta for parameter in found.shapes().parameters())


def test_a_module_is_read_itself_and_copied_to_be_changed(code: Path) -> None:
    model = nn.Linear(3, 2)
    found = find(model, (3,), classes=None, trust=False)
    assert found.shapes() is model
    assert found.build() is not model
    named = find("found_networks:network", (1, 5, 5), classes=None, trust=False)
    import found_networks  # type: ignore[import-not-found]

    assert named.shapes() is found_networks.network
    assert named.build() is not found_networks.network


def test_a_builder_gets_what_it_asks_for(code: Path) -> None:
    built = find("found_networks:built", (5, 9, 9), classes=7, trust=False).shapes()
    assert built(torch.empty(1, 5, 9, 9, device="meta")).shape == (1, 7)
    nothing = {"classes": None, "channels": None, "size": None, "small": False, "every": False}
    assert Network("mlp", "mlp", (784,)).wanted == nothing
    assert striate.inspect("mlp", (784,)).layers[0].input == (784,)


def test_a_builder_that_looks_at_numbers_is_given_them(code: Path) -> None:
    built = find("found_networks:looks", (4,), classes=2, trust=False).shapes()
    assert not any(parameter.is_meta for parameter in built.parameters())
    assert striate.inspect("found_networks:looks", (4,), classes=2).totals.parameters == 10


def test_a_builder_that_gives_somebodys_module_leaves_no_mark_on_it(code: Path) -> None:
    striate.inspect("found_networks:given", (1, 5, 5))
    import found_networks

    assert not hasattr(found_networks.network, "striate_unallocated")
    assert isinstance(found_networks.network[2], nn.LazyLinear)


def test_a_network_of_ones_own_is_a_copy_or_new() -> None:
    model = nn.Linear(3, 2)
    nothing: dict[str, Any] = {"classes": None, "channels": None, "size": None}
    assert own(model, **nothing) is not model
    assert torch.equal(own(model, **nothing).weight, model.weight)  # type: ignore[arg-type]
    assert own("lenet5", **nothing) is not own("lenet5", **nothing)


def test_a_folder_is_a_run_and_a_word_is_a_name(code: Path) -> None:
    (code / "folder").mkdir()
    for name in ("folder", "no/such", Path("nothing")):
        with pytest.raises(RunError, match="is not a run folder"):
            find(name, None, classes=None, trust=False)
    with pytest.raises(ModelError, match="Unknown model 'lenet6'"):
        find("lenet6", None, classes=None, trust=False)


@pytest.mark.parametrize("shape", [(), (0,), "3x3", 7])
def test_a_shape_that_is_none_is_refused_before_anything_is_built(shape: object) -> None:
    with pytest.raises(ModelError, match="whole numbers above 0"):
        find("lenet5", shape, classes=None, trust=False)  # type: ignore[arg-type]
