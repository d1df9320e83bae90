"""The table: whole in a pipe, within the width on a terminal, and safe as HTML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import striate
from striate.models.registry import MODELS
from striate.summary.inspect import inspect
from striate.summary.result import Inspected, LayerMemory, Measured
from striate.summary.table import LEGEND, html, text

from .does import Does

MISFIT = nn.Sequential(nn.Conv2d(1, 4, 3, stride=3))


def rows(told: str) -> tuple[list[str], list[list[str]]]:
    """Give the headings and the cells of a table."""
    lines = told.splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line) == {"-"})
    end = lines.index("", rule)
    return lines[rule - 1].split(), [line.split() for line in lines[rule + 1 : end]]


def flat(told: str) -> str:
    """Undo the breaking of lines."""
    return " ".join(told.split())


def test_lenet_at_80_columns() -> None:
    found = striate.inspect("lenet5")
    kept = tuple(replace(row, memory=LayerMemory(1_230_000, 0)) for row in found.layers)
    told = text(replace(found, layers=kept), 80)
    assert told.startswith(
        "lenet5, input 1x28x28; bytes at batch 32\n"
        "\n"
        "    layer    kind          input    output  param.  m-adds   train  sees  stride\n"
        "--------------------------------------------------------------------------------\n"
        " 1  c1       Conv2d      1x28x28   6x28x28     156   118 k  1.2 MB     5       1\n"
        " 2  relu1    ReLU        6x28x28   6x28x28                  1.2 MB     5       1\n"
        " 3  s2       MaxPool2d   6x28x28   6x14x14                  1.2 MB     6       2\n"
        " 4  c3       Conv2d      6x14x14  16x10x10  2.42 k   240 k  1.2 MB    14       2\n"
    )
    assert "\nm-adds: multiply-adds for one input." in told
    assert "\nparameters     61,706\n" in told
    assert "\nmultiply-adds  416,520 for one input; beside them 19,330 operations (bias,\n" in told


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    told = text(striate.inspect(name), width)
    assert max(map(len, told.splitlines())) <= width


def test_a_wider_terminal_shows_more_columns_and_never_fewer() -> None:
    found = striate.inspect("resnet18")
    shown = [set(rows(text(found, width))[0]) for width in range(50, 220, 10)]
    assert all(narrow <= wide for narrow, wide in pairwise(shown))
    assert {"layer", "output", "param.", "m-adds"} == shown[0]
    assert {"kind", "sees", "train"} <= shown[3]
    assert set(LEGEND) | {"input", "kind", "layer", "output", "param."} == shown[-1]


def test_a_name_that_is_too_long_keeps_its_end() -> None:
    network: Any = nn.Conv2d(1, 1, 3)
    for _ in range(12):
        network = nn.Sequential(network)
        network = nn.ModuleDict({"stage": network, "last": nn.Identity()})
        network = Does(lambda net, x: net.inside["stage"](x), inside=network)
    told = text(inspect(network, (1, 8, 8)), 80)
    assert max(map(len, told.splitlines())) <= 80
    assert rows(told)[1][0][1].startswith("…")
    assert rows(told)[1][0][1].endswith(".stage.0")
    assert "inside.stage.0.inside.stage.0.inside" in text(inspect(network, (1, 8, 8)))


def test_a_pipe_gets_every_column_and_exact_numbers() -> None:
    found = striate.inspect("resnet18")
    told = text(found)
    lines = told.splitlines()
    assert "\n\n\n" not in told
    assert lines[2].split("  ")[0] == ""
    for heading in ("parameters", "multiply-adds", "bytes kept in training", "stride", "border loss"):
        assert heading in lines[2]
    first = next(line for line in lines if " conv1 " in line)
    assert "118013952" in first
    assert "9408" in first
    assert len(rows(told)[1]) == len(found.layers)


def branches() -> nn.Module:
    def forward(net: Any, x: Tensor) -> Tensor:
        y = net.a(x)
        return torch.cat([net.a(y), x, net.b(y)], 1)

    return Does(
        forward, a=nn.Conv2d(2, 2, 3, padding=1), b=nn.Conv2d(2, 2, 1).requires_grad_(requires_grad=False)
    )


def test_branches_shared_and_frozen_layers_are_marked_and_the_marks_explained() -> None:
    found = inspect(branches(), (2, 6, 6))
    told = text(found, 80)
    cells = rows(told)[1]
    assert cells[0][:3] == ["1", "a", "Conv2d"]
    assert cells[1][:2] == ["2", "a#2"]
    assert "shared" in cells[1]
    assert cells[2][:3] == ["3", "b", "←1"]
    assert "6*" in cells[2]
    assert cells[3][:3] == ["4", "cat", "←2,input,3"]
    for words in ("←: the rows", "shared: counted", "*: frozen", "6 of them frozen"):
        assert words in flat(told)
    assert "with a" in text(found)


def test_marks_that_do_not_occur_are_not_explained() -> None:
    told = text(striate.inspect("lenet5"), 80)
    for mark in ("←", "shared", "*:", "!", "lost"):
        assert mark not in told


def test_a_misfit_marks_its_row_and_is_a_warning() -> None:
    found = inspect(MISFIT, (1, 7, 7))
    for width in (80, None):
        told = text(found, width)
        assert rows(told)[1][0][0] == "!1"
        assert "(7 - 3)/3 + 1 = 2.33. 2 fit, the last row and column are never seen" in flat(told)
    assert rows(text(found, 80))[0][-1] == "lost"
    assert rows(text(found, 80))[1][0][-1] == "1"
    assert "!: its windows do not fill its input" in flat(text(found, 80))


def test_what_is_not_counted_shows_as_a_question_mark() -> None:
    told = text(inspect(Does(lambda _, x: torch.fft.fft2(x).abs()), (1, 8, 8)), 80)
    assert "?" in rows(told)[1][0]
    assert "cannot be counted" in told


def measured(**changes: Any) -> Inspected:
    values: dict[str, Any] = {
        "seconds_per_step": 0.0123456, "pictures_per_second": 8260.4, "seconds_per_epoch": 1234.5,
        "epoch": 1000, "peak_growth": 200_000_000, "predicted_growth": 150_000_000, "device": "cpu",
    }  # fmt: skip
    return replace(striate.inspect("lenet5"), measured=Measured(**(values | changes)))


def test_what_was_measured_is_told_beside_the_prediction() -> None:
    assert (
        "measured       0.0123 s a step on cpu: 8,260 inputs a second, 1,230 s for 1,000 of them\n"
        "               a step made the process grow by 200 MB; 150 MB were predicted, 25% too little"
    ) in text(measured())
    assert "1,230 s for an epoch of 50,000\n" in text(measured(epoch=50_000, of_run=True))
    assert "10% too much" in text(measured(predicted_growth=220_000_000))
    assert "the memory of a step cannot be read here; 150 MB were predicted" in text(measured(peak_growth=0))


def test_a_network_without_layers_or_parameters_is_a_table_too() -> None:
    for width in (80, None):
        assert "parameters     0\n" in text(inspect(nn.Identity(), (3, 4, 4)), width)
        assert "parameters     0\n" in text(inspect(nn.ReLU(), (3, 4, 4)), width)


class Cells(HTMLParser):
    """Collects the text of cells, and checks that tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        assert all(name == "style" for name, _ in attrs)
        if tag != "br":
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close a tag."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take up text."""
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1] += data


def test_a_notebook_gets_html_in_which_names_are_only_names() -> None:
    network = nn.Sequential()
    network.add_module("<script>alert(1)</script>&", nn.Conv2d(1, 2, 3, stride=3))
    page = html(inspect(network, (1, 7, 7), name="<b>mine"))
    assert "<script>" not in page
    assert "<b>mine" not in page
    cells = Cells(page).cells
    assert "<script>alert(1)</script>&" in cells
    assert len(cells) == 2 * 14
    assert inspect(network, (1, 7, 7))._repr_html_()
