"""The result in Python: its names, how it prints, how it is written."""

from __future__ import annotations

import dataclasses
import json

import pytest
from torch import nn

import striate
from striate.summary.result import Inspected
from striate.summary.table import text


@pytest.fixture(scope="module")
def found() -> Inspected:
    """Inspect LeNet-5."""
    return striate.inspect("lenet5")


def test_it_prints_as_its_table(found: Inspected) -> None:
    assert repr(found) == str(found) == text(found, 100)
    assert "<table>" in found._repr_html_()


def test_it_cannot_be_changed_and_equal_ones_are_equal(found: Inspected) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.batch = 3  # type: ignore[misc]
    assert found == striate.inspect("lenet5")
    assert hash(found) == hash(striate.inspect("lenet5"))


def test_json_holds_every_field_and_nothing_that_json_has_not(found: Inspected) -> None:
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert set(told) == {field.name for field in dataclasses.fields(Inspected)}
    assert told["layers"][0]["window"]["axes"][0] == {
        "n": 28, "kernel": 5, "stride": 1, "padding": [2, 2], "dilation": 1, "ceil": False,
    }  # fmt: skip
    assert told["measured"] is None


def test_axes_are_numbers_one_by_one() -> None:
    told = striate.inspect(nn.Conv2d(2, 3, (3, 5), stride=(1, 2)), (2, 9, 20)).json()["layers"][0]
    assert told["receptive_field"] == {"size": (3, 5), "stride": (1, 2), "offset": (0, 0)}
    assert told["border_loss"] == (0, 1)
    assert striate.inspect(nn.Conv1d(2, 3, 5, stride=2), (2, 20)).json()["layers"][0]["border_loss"] == (1,)


def test_memory_has_its_parts(found: Inspected) -> None:
    told = found.json()["memory"]
    assert told["inference"] >= 4 * 61706
    assert told["training"] > 0
    assert found.explain("c1").startswith("c1  Conv2d  1x28x28 -> 6x28x28\n")
