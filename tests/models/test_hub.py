"""How timm and torchvision are asked for networks, and what is said where they cannot give them.

The packages here stand for the real ones, which scripts/interop trains with.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from torch import nn

from striate.cli.main import main
from striate.errors import ModelError
from striate.models.registry import build, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMM = """
from torch import nn
def list_models(): return ["resnet18", "resnet18d", "vit_tiny"]
def create_model(name, *, pretrained, num_classes, in_chans):
    assert not pretrained
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.Flatten(), nn.LazyLinear(num_classes))
"""
TORCHVISION = """
from torch import nn
class models:
    def list_models(module): return ["alexnet", "resnet18"] if module is models else ["fcn_resnet50"]
    def get_model(name, *, weights, num_classes):
        assert weights is None
        return nn.Conv2d(3, num_classes, 1)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Make a function that puts a package, of this name and text, before the installed ones."""
    names = ("timm", "torchvision")

    def forget() -> dict[str, object]:
        mine = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in mine}

    before = forget()
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    yield install
    forget()
    sys.modules.update(before)  # type: ignore[arg-type]


def test_a_network_of_timm_has_the_classes_and_channels_asked_for(installed: Callable[..., None]) -> None:
    installed("timm", TIMM)
    model = build("timm:resnet18.a1_in1k", classes=7, channels=5, size=32)
    assert model[0].in_channels == 5  # type: ignore[index]
    assert model[-1].out_features == 7  # type: ignore[index]
    assert build("timm:vit_tiny")[-1].out_features == 1000  # type: ignore[index]
    assert not is_ours("timm:resnet18")


def test_a_network_of_torchvision_takes_colour_pictures_only(installed: Callable[..., None]) -> None:
    installed("torchvision", TORCHVISION)
    model = build("torchvision:alexnet", classes=7, channels=3)
    assert isinstance(model, nn.Conv2d)
    assert model.out_channels == 7
    with pytest.raises(ModelError, match=r"3 channels\. Received: 1\."):
        build("torchvision:alexnet", classes=7, channels=1)
    with pytest.raises(ModelError, match="has no network 'fcn_resnet50'"):
        build("torchvision:fcn_resnet50")
    assert not is_ours("torchvision:alexnet")


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("timm:resnet81", "timm has no network 'resnet81'", "Did you mean resnet18, resnet18d?"),
        ("timm:zzz", "timm has no network 'zzz'", "It has 3, such as resnet18."),
        ("timm:hf-hub:somebody/net", "has no network 'hf-hub:somebody/net'", "It has 3"),
        ("timm:", "timm has no network ''", "It has 3"),
        ("torchvision:alexnett", "torchvision has no network 'alexnett'", "Did you mean alexnet?"),
    ],
)
def test_an_unknown_name_gets_the_nearest(
    name: str, says: str, hint: str, installed: Callable[..., None]
) -> None:
    installed("timm", TIMM)
    installed("torchvision", TORCHVISION)
    with pytest.raises(ModelError, match=says) as caught:
        build(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "error", ["RuntimeError('operator nms\\n does not exist')", "OSError('libcudart.so')", "ImportError('x')"]
)
def test_a_package_that_does_not_fit_this_torch_is_said_in_two_lines(
    error: str, installed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    installed("torchvision", f"raise {error}")
    installed("timm", "import torchvision")
    for hub in ("timm", "torchvision"):
        assert main(["inspect", f"{hub}:resnet18", "--input", "3x64x64"]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(f"{hub} is installed but cannot be imported: {error.partition('(')[0]}: ")
        assert second.startswith("It must be a build for this torch, 2.")


@pytest.mark.parametrize("hub", ["timm", "torchvision"])
def test_a_missing_package_is_named_with_how_to_install_it(hub: str, installed: Callable[..., None]) -> None:
    missing = ModuleNotFoundError(f"No module named {hub!r}", name=hub)
    installed(hub, f"raise ModuleNotFoundError({str(missing)!r}, name={hub!r})")
    with pytest.raises(ModelError, match=rf"^{hub} is not installed\.") as caught:
        build(f"{hub}:resnet18")
    assert caught.value.hint == "Install it with: pip install 'striate[hub]'"


def test_what_a_package_lacks_itself_is_not_called_a_missing_package(installed: Callable[..., None]) -> None:
    installed("timm", "import no_such_package_at_all")
    with pytest.raises(ModelError, match="timm is installed but cannot be imported: ModuleNotFoundError"):
        build("timm:resnet18")
