"""``striate bench`` and ``striate train --profile``: what is printed where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from striate.cli import bench as cli
from striate.cli import profiled
from striate.cli.main import main
from striate.report import bench as report
from striate.training.bench import Bench, Compared
from striate.training.machine import Limits
from striate.training.operators import Operator

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

QUICK = ["digits", "--model", "mlp", "--size", "8", "--epochs", "1"]
MACHINE = {
    "processor": "A <processor>",
    "instructions": "AVX512",
    "cores": 2,
    "memory": 23,
    "torch": "2.13.0",
}


def made(*ratios: tuple[float, float]) -> Bench:
    """A result with a row for each pair of ratios; sizes as large as they come."""
    operator = Operator("BatchNorm2d", (1024, 112, 112), (1024, 112, 112), 12, 1.2345, 2.3456, 0.0, 0.031)
    rows = tuple(
        Compared(
            network="googlenet", batch=64, size=128, images_per_second=12345.6, ratio_to_plain=plain,
            ratio_to_best=best, plain=4115.2, best=10000.0, best_setting="channels_last bf16 fused", rounds=7,
            ours={}, tried={"plain": 1.0, "channels_last bf16 fused": 0.5}, operators=(operator,) * 20,
        )
        for plain, best in ratios
    )  # fmt: skip
    return Bench(MACHINE, Limits("A <processor>", 2, float32=1.5e11, bfloat16=8e10, bandwidth=6.6e9), rows)


def test_the_table_fits_a_terminal_and_ends_with_the_means() -> None:
    told = cli.lines(made((2.0, 1.0), (8.0, 4.0)), 80)
    assert max(map(len, told)) <= 80
    assert any(line.split()[:5] == ["googlenet", "12,346", "4,115", "10,000", "2.00"] for line in told)
    assert any("4.00 times plain, 2.00 times the best" in line for line in told)
    assert any("nothing compiled" in line for line in " ".join(told).split(";"))
    assert not any("operators" in line for line in told)  # of one network only


def test_a_single_network_has_its_operators() -> None:
    told = cli.lines(made((2.0, 1.0)), 80)
    assert max(map(len, told)) <= 80
    assert sum(line.startswith("BatchNorm2d") for line in told) == cli.TOP
    assert told[-1].startswith(f"{20 - cli.TOP} more shapes: ")
    assert not any("geometric" in line for line in told)


def test_the_page_has_the_picture_every_figure_and_no_script() -> None:
    page = report.page(made((2.0, 1.0), (8.0, 4.0)))
    assert "A &lt;processor&gt;" in page
    assert "<processor>" not in page
    assert page.count("<svg") == 1
    assert 'aria-label="Images a second of our step' in page
    assert "var(--accent)" in page
    assert "#010104" not in page  # every stand-in for a colour became a variable
    assert page.count("BatchNorm2d") == 40
    assert "<script" not in page


def test_an_unknown_network_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--network", "resnet81"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--network: 'resnet81' is none that is measured.", "Did you mean resnet18?"
    ]  # fmt: skip


def test_a_page_that_cannot_be_written_is_told_before_minutes_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--html", str(tmp_path / "none" / "bench.html")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_one_document_and_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "bench.html"
    words = ["bench", "--network", "lenet5", "--minutes", "0.01", "--json", "--html", str(page)]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["machine", "limits", "step"]
    assert [row["network"] for row in told["step"]] == ["lenet5"]
    assert "lenet5" in page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("profiled") / "run"
    assert main(["train", *QUICK, "--profile", "--out", str(out)]) == 0
    return out


def test_a_profile_ends_with_a_table_that_fits_a_terminal(run: Path) -> None:
    found: dict[str, Any] = json.loads((run / "profile.json").read_text(encoding="utf-8"))
    told = profiled.lines(found, 80)
    assert max(map(len, told)) <= 80
    rows = {line.split("  ")[0]: line.split() for line in told}
    parts = ("all layers", "waiting for data", "augmentation", "loss", "update", "rest")
    shares = [next(float(cell[:-1]) for cell in rows[part] if cell.endswith("%")) for part in parts]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert rows["a step"][-1] == "100.0%"
    assert found["advice"] in " ".join(" ".join(told).split())


def test_the_rest_of_many_layers_is_summed() -> None:
    row = {"name": "a" * 60, "kind": "LocalResponseNorm", "forward": 1.0, "backward": 2.0, "least": 0.3}
    parts: dict[str, Any] = dict.fromkeys(
        ("data", "augmentation", "rest", "loss", "update", "update_least"), 1.0
    )
    limits = {"float32": 1e12, "bfloat16": 1e13, "bandwidth": 1e10, "name": "a processor"}
    found = parts | {"layers": [row] * 30, "seconds": 95.0, "unwatched": 95.0, "batch": 8, "steps": 9}
    found |= {"limits": limits, "advice": "so."}
    told = profiled.lines(found, 80)
    assert max(map(len, told)) <= 80
    (more,) = [line.split() for line in told if line.startswith(f"{30 - profiled.TOP} more")]
    assert more[-3:] == ["66,000", "69.5%", "10%"]


def test_a_profile_changes_nothing_about_the_run(run: Path, tmp_path: Path) -> None:
    words = ["train", "--recipe", str(run / "recipe.toml"), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert not (tmp_path / "run" / "profile.json").exists()


def test_a_terminal_gets_the_table_and_a_pipe_the_folder(
    tmp_path: Path, terminal: Callable[[str], io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *QUICK, "--profile", "--out", str(tmp_path / "pipe")]) == 0
    piped = capsys.readouterr()
    assert piped.out.splitlines() == [str(tmp_path / "pipe")]
    assert "waiting for data" in piped.err
    screen = terminal("stdout")
    assert main(["train", *QUICK, "--profile", "--out", str(tmp_path / "screen")]) == 0
    assert "waiting for data" in screen.getvalue()


def test_json_has_the_profile_as_an_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, "--profile", "--json", "--out", str(tmp_path / "run")]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (told,) = [event["profile"] for event in events if event["event"] == "profiled"]
    assert told == json.loads((tmp_path / "run" / "profile.json").read_text(encoding="utf-8"))


def test_several_trainings_have_no_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, "--profile", "--repeat", "2"]) == 2
    assert "--profile" in capsys.readouterr().err.splitlines()[0]
