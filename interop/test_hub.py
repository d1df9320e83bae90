"""Networks of timm and torchvision train, predict and are inspected through the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from striate.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:shufflenet_v2_x0_5"])
def test_it_trains_and_its_run_opens_when_it_is_trusted(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    for label, shade in (("dark", 0), ("bright", 200)):
        (tmp_path / "d" / label).mkdir(parents=True)
        for i in range(12):
            picture = Image.new("RGB", (32, 32), (shade + i, shade, shade + 2 * i))
            picture.save(tmp_path / "d" / label / f"{i}.png")
    run, words = str(tmp_path / "run"), ["--size", "32", "--batch", "8", "--epochs", "2"]
    assert main(["train", str(tmp_path / "d"), "--model", name, *words, "--out", run]) == 0
    capsys.readouterr()
    pictures = str(tmp_path / "d" / "dark")
    assert main(["predict", run, pictures]) == 2
    assert f"{name}, is code from outside striate." in capsys.readouterr().err
    assert main(["predict", run, pictures, "--trust"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 12
    assert main(["inspect", run, "--trust"]) == 0


@pytest.mark.parametrize("name", ["timm:resnet81", "torchvision:resnet81"])
def test_an_unknown_name_gets_the_nearest(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", name, "--input", "3x64x64"]) == 2
    assert "Did you mean resnet" in capsys.readouterr().err


def test_grey_pictures_are_for_timm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "torchvision:resnet18", "--input", "1x64x64"]) == 2
    assert "3 channels. Received: 1." in capsys.readouterr().err
    assert main(["inspect", "timm:test_resnet", "--input", "1x64x64", "--classes", "2"]) == 0
