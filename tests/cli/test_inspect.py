"""``striate inspect``: the words of the command, what it prints, and each mistake in two lines at most."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from striate.cli.main import main

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

CODE = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, classes=3, channels=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


def make(classes):
    return Small(classes)


def for_squares(classes, channels, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))


class Wide(Small):
    def __init__(self, width):
        raise AssertionError


class Two(nn.Module):
    def forward(self, x, y):
        return x + y


class Decides(Small):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


class Nothing(nn.Module):
    def forward(self, x):
        torch.relu(x)


class Draws(Small):
    def __init__(self):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(100, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.words(x).mean(1))


instance = Small()
three = 3


def no_network(classes):
    return classes
"""


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.training.measure.SECONDS", 0)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with somebody's networks in own_networks.py."""
    (tmp_path / "own_networks.py").write_text(CODE)
    (tmp_path / "own_broken.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def tells(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must work; give what it printed."""
    code = main(["inspect", *words])
    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    return told.out


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Run a command that must be refused; give its lines."""
    code = main(["inspect", *words])
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert (code, told.out) == (2, ""), told
    assert 1 <= len(lines) <= 2
    assert "Traceback" not in told.err
    return lines


# ---- what it prints ---------------------------------------------------------------------------------


def test_a_terminal_of_80_columns(terminal: Callable[[str], io.StringIO]) -> None:
    screen = terminal("stdout")
    assert main(["inspect", "resnet18"]) == 0
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["layer", "kind", "output", "param.", "m-adds", "train", "sees"]
    assert sum(line.startswith("warning") for line in lines) == 4


def test_a_pipe_gets_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    told = tells(capsys, "lenet5")
    assert "bytes kept in training" in told
    assert "multiply-adds  416,520 for one input" in told


def test_json_is_one_document_with_the_names_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(tells(capsys, "vgg11", "--json"))
    assert told["totals"]["parameters"] == told["totals"]["trainable"] == 132_863_336
    assert told["totals"]["multiply_adds"] == 7_609_090_048
    assert set(told["memory"]) >= {"inference", "training"}
    assert told["layers"][0]["receptive_field"] == {"size": [3, 3], "stride": [1, 1], "offset": [-1, -1]}


def test_explain_prints_the_arithmetic_of_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    told = tells(capsys, "lenet5", "--explain", "c1")
    assert "(28 - 5 + 2*2)/1 + 1 = 28" in told
    assert "5*5*1 + 1 = 26, 26*6 = 156" in told
    assert tells(capsys, "lenet5", "--explain", "1") == told


def test_html_draws_the_network_into_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "network.html"
    assert tells(capsys, "lenet5", "--html", str(page)) == f"wrote {page}\n"
    assert "lenet5" in page.read_text(encoding="utf-8")


def test_input_classes_batch_and_optimizer_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--input", "3x96x64", "--classes", "7", "--batch", "5", "--optimizer", "adamw")
    told = json.loads(tells(capsys, "resnet18", "--json", *words))
    assert (told["input"], told["layers"][-1]["output"]) == ([3, 96, 64], [7])
    assert (told["batch"], told["optimizer"]) == (5, "adamw")
    for spelling in ("3X96X64", "3,96,64", "3×96×64", "3*96*64"):
        assert json.loads(tells(capsys, "resnet18", "--json", "--input", spelling))["input"] == [3, 96, 64]


def test_measure_says_how_far_the_prediction_was_off(capsys: pytest.CaptureFixture[str]) -> None:
    told = tells(capsys, "lenet5", "--measure", "--batch", "2")
    line = next(line for line in told.splitlines() if line.startswith("measured"))
    assert "s a step on cpu" in line
    assert line.endswith("for 1,000 of them")


# ---- which network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Small", "make", "instance"])
def test_somebodys_class_function_or_instance(
    code: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    told = json.loads(tells(capsys, f"own_networks:{name}", "--input", "1x7x7", "--classes", "3", "--json"))
    assert told["totals"]["parameters"] == 40 + 8 + 51
    assert [row["kind"] for row in told["layers"]] == ["Conv2d", "BatchNorm2d", "relu", "flatten", "Linear"]


def test_somebodys_instance_is_only_read_even_when_it_is_measured(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tells(capsys, "own_networks:instance", "--input", "1x7x7", "--measure", "--batch", "2")
    import own_networks  # type: ignore[import-not-found]

    network = own_networks.instance
    assert not hasattr(network, "striate_unallocated")
    assert int(network.norm.num_batches_tracked) == 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_network_that_looks_at_numbers_while_it_is_built(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "parameters     99; " in tells(capsys, "own_networks:Draws", "--input", "1x7x7")


def test_a_network_of_words(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tells(capsys, "own_networks:Words", "--input", "12", "--measure", "--batch", "2")
    assert "parameters     818\n" in told
    assert "s a step on cpu" in told


def test_a_run_knows_its_network_input_classes_batch_and_data(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(tells(capsys, str(trained), "--json", "--measure"))
    assert told["model"] == f"{trained} (mlp)"
    assert (told["input"], told["batch"], told["optimizer"]) == ([3, 8, 8], 8, "adamw")
    assert told["layers"][-1]["output"] == [2]
    assert told["measured"]["of_run"]
    assert (
        told["measured"]["epoch"]
        == json.loads((trained / "run.json").read_text())["data"]["pictures"]["train"]
    )
    assert "for an epoch of" in tells(capsys, str(trained), "--measure")


def test_a_name_of_ours_is_no_folder(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code / "lenet5").mkdir()
    assert "61,706" in tells(capsys, "lenet5")


# ---- strict -----------------------------------------------------------------------------------------


def test_strict_refuses_what_does_not_fit(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = (
        "7x7 input, 3x3 kernel, stride 3: (7 - 3)/3 + 1 = 2.33. "
        "2 fit, the last row and column are never seen; padding 1 gives 3x3"
    )
    words = ("own_networks:Small", "--input", "1x7x7")
    assert fails(capsys, *words, "--strict") == ["conv (Conv2d) does not fit its input.", sentence]
    assert f"warning        conv: {sentence}\n" in tells(capsys, *words)
    assert tells(capsys, "own_networks:Small", "--input", "1x6x6", "--strict")


# ---- mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("resnet19", "Unknown model 'resnet19'", "Did you mean resnet18?"),
        ("own_networks:Smal --input 1x7x7", "own_networks has no function 'Smal'", "Did you mean Small?"),
        ("own_networks:three --input 1x7x7", "own_networks has no function 'three'", "Known: Small, make"),
        ("own_networks: --input 1x7x7", "Unknown model 'own_networks:'", "package.module:name"),
        ("own_broken:x --input 1x7x7", "Cannot import 'own_broken'", "from the current folder"),
        ("no_such:x --input 1x7x7", "Cannot import 'no_such'", "from the current folder"),
        ("own_networks:Wide --input 1x7x7", "missing 1 required positional argument: 'width'", "--debug"),
        ("own_networks:no_network --input 1x7x7 --classes 2", "returned int, not an nn.Module", "network"),
        ("own_networks:make --input 1x7x7", "needs classes", "--classes N"),
        ("own_networks:Two --input 1x7x7", "takes 2 inputs (x, y)", "Wrap it"),
        ("own_networks:Decides --input 1x7x7", "bool needs the values of a tensor", "decision fixed"),
        ("own_networks:Nothing --input 1x7x7", "returned NoneType, no tensor", "return its output"),
        ("own_networks:Small", "The input of own_networks:Small is not known.", "--input 3x224x224"),
        ("own_networks:Small --input 1x9x9", "fc (Linear), given 36: it takes 16 values", "works: 1x6x6."),
        ("own_networks:Small --input 1x2x2", "its 3x3 kernel is larger than that", "works: 1x6x6."),
        ("own_networks:instance --input 3x7x7", "conv (Conv2d), given 3x7x7: it takes 1 channel", "1x6x6."),
        ("own_networks:Small --input 28x28", "it takes 3 axes, channels first", "give 1x28x28 or 3x28x28."),
        ("own_networks:for_squares --input 1x4x6 --classes 2", "one size, 1x6x6. Received: 1x4x6.", "1x6x6."),
        ("lenet5 --input 1x28x40", "one size, 1x40x40. Received: 1x28x40.", "such as 1x40x40."),
        ("mlp --input 1x28x40", "one size, 1x40x40. Received: 1x28x40.", "such as 1x40x40."),
        ("lenet5 --input 1x8x8", "at least 12 pixels", "12x12"),
        ("lenet5 --input 28x28", "c1 (Conv2d), given 28x28: it takes 3 axes", "give 1x28x28 or"),
        ("lenet5 --input 0x3", "--input '0x3' is no shape.", "3x224x224"),
        ("lenet5 --input 3x", "--input '3x' is no shape.", "3x224x224"),
        ("lenet5 --input big", "--input 'big' is no shape.", "3x224x224"),
        ("lenet5 --input 3x-1x3", "--input '3x-1x3' is no shape.", "3x224x224"),
        ("lenet5 --input 3x1e3x3", "--input '3x1e3x3' is no shape.", "3x224x224"),
        ("resnet18 --input 99999999x99999999x9999999", "more than any machine holds", "smaller"),
        ("lenet5 --batch 0", "--batch", "striate inspect --help"),
        ("lenet5 --batch 100000000 --measure", "GB are free.", "smaller --batch"),
        ("lenet5 --classes 0", "--classes", "striate inspect --help"),
        ("lenet5 --optimizer sgdd", "--optimizer", "striate inspect --help"),
        ("lenet5 --explain outpt", "lenet5 has no layer 'outpt'.", "Did you mean output?"),
        ("lenet5 --explain 99", "lenet5 has no layer '99'.", "from 1 to 12."),
        ("lenet5 --html nowhere/x.html", "The folder nowhere does not exist.", "Make it first"),
        ("lenet5 --html .", "--html . is a folder.", "network.html"),
        ("lenet5 --html x.html --json", "--json and --html", "one of them"),
        ("lenet5 --explain c1 --json", "--json and --explain", "one of them"),
        ("runs/none", "runs/none is not a run folder", "striate train"),
        (".", ". is not a run folder", "striate train"),
        ("own_networks:Small --input 1x7x7 --batch 1 --measure", "", ""),
    ],
)
def test_each_mistake_is_said_in_two_lines_at_most(
    code: Path, capsys: pytest.CaptureFixture[str], words: str, message: str, hint: str
) -> None:
    if not message:  # batch norm over 2x2 places can be trained at batch 1
        tells(capsys, *words.split())
        return
    lines = fails(capsys, *words.split())
    assert message in lines[0]
    assert hint in lines[-1]
    assert not (code / "nowhere").exists()
    assert not (code / "x.html").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: "{", "is damaged"),
        (lambda _: "[]", "is damaged"),
        (lambda info: json.dumps(info | {"format": 99}), "format 99"),
        (lambda info: json.dumps({key: info[key] for key in info if key != "preprocess"}), "is damaged"),
        (lambda info: json.dumps(info | {"preprocess": {}}), "run.json"),
        (lambda info: json.dumps(info | {"preprocess": None}), "is damaged"),
        (lambda info: json.dumps(info | {"classes": 3}), "is damaged"),
        (lambda info: json.dumps(info | {"data": []}), "is damaged"),
        (lambda info: json.dumps(info | {"data": {"pictures": None}}), "is damaged"),
        (lambda info: json.dumps(info | {"model": "resnet19"}), "is code from outside striate"),
        (lambda info: json.dumps(info | {"model": None}), "is damaged"),
        (lambda info: json.dumps(info | {"model": ["mlp"]}), "is damaged"),
        (lambda info: json.dumps(info | {"model": "own_networks:Small"}), "is code from outside striate"),
    ],
)
def test_a_damaged_or_foreign_run_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, said: str
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    info = json.loads((trained / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(change(info))
    assert said in fails(capsys, str(tmp_path / "run"))[0]


def test_a_run_of_foreign_code_opens_where_its_user_says_so(
    code: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, code / "run")
    info = json.loads((trained / "run.json").read_text())
    (code / "run" / "run.json").write_text(json.dumps(info | {"model": "own_networks:Small"}))
    assert "Conv2d" in tells(capsys, "run", "--trust", "--input", "3x7x7")


def test_a_run_without_its_recipe_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").unlink()
    assert "Cannot read the recipe" in fails(capsys, str(tmp_path / "run"))[0]
