"""Each script of examples/ runs, draws its figure, prints its table, and is listed."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "example")
ROWS = {"degradation": 4, "initialisation": 4, "optimisers": 9, "pretraining": 2, "sharing": 2}
ROWS |= {"promoter_motifs": 2}


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_runs(
    name: str,
    tmp_path: Path,
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("STRIATE_DATA", str(shared_data))
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--out", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    table = re.findall(r"^\| .*\|$", capsys.readouterr().out, re.MULTILINE)
    assert len(table) == 1 + ROWS[name]
    assert len({line.count("|") for line in table}) == 1
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert "</svg>" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")


def test_all_are_listed() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\.py\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == SCRIPTS == sorted(ROWS)


def test_a_smaller_archive_has_as_many_of_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from example import fewer

    with ZipFile(tmp_path / "all.zip", "w") as whole:
        for split, count in (("train", 30), ("test", 20)):
            for label in "ab":
                for i in range(count):
                    whole.writestr(f"{split}/{label}/{i:03}.jpg", b"")
    with ZipFile(fewer(tmp_path / "all.zip", 10, tmp_path / "part.zip")) as part:
        names = part.namelist()
    assert [sum(name.startswith(f"{s}/{c}/") for name in names) for s in ("train", "test") for c in "ab"] == [
        5
    ] * 4
