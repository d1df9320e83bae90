"""Weights are taken from files, runs and published files; what does not fit is named, and no code is run."""

from __future__ import annotations

import hashlib
import http.server
import os
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.data.preprocess import Preprocess
from striate.errors import DownloadError, ModelError, RunError
from striate.models.registry import build
from striate.runs import imagenet, start, weights
from striate.runs.start import Start, fits, head_of, take


def random_state(name: str, **asked: Any) -> dict[str, Tensor]:
    torch.manual_seed(1)
    state = build(name, **asked).state_dict()
    return {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in state.items()}


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision-like file of ResNet-18 with 1000 classes."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(random_state("resnet18"), path)
    return path


def taken(path: Path, model: str, classes: int = 5, **asked: Any) -> tuple[nn.Module, Start, bool]:
    found = start.find(str(path), model)
    built = build(model, classes=classes, **asked)
    head = head_of(model, built, classes, **asked)
    return built, found, take(built, found, head, name=model, classes=[str(i) for i in range(classes)])


def test_everything_but_the_head_is_taken(resnet: Path) -> None:
    model, found, new_head = taken(resnet, "resnet18")
    state = model.state_dict()
    same = {key for key, tensor in state.items() if tensor.shape == found.tensors[key].shape}
    assert set(state) - same == {"fc.weight", "fc.bias"}
    assert all(torch.equal(state[key], found.tensors[key]) for key in same)
    assert new_head


@pytest.mark.parametrize("wrapped", ["state_dict", "model"])
def test_checkpoints_of_other_programs_are_opened(resnet: Path, tmp_path: Path, wrapped: str) -> None:
    held = torch.load(resnet, weights_only=True)
    parallel = {f"module.{key}": tensor for key, tensor in held.items() if "num_batches" not in key}
    torch.save({wrapped: parallel, "epoch": 3}, tmp_path / "w.pt")
    model, _, _ = taken(tmp_path / "w.pt", "resnet18")
    assert torch.equal(model.state_dict()["layer4.1.conv2.weight"], held["layer4.1.conv2.weight"])


def test_a_file_of_a_thousand_classes_is_prepared_for_as_imagenet(resnet: Path) -> None:
    found = start.find(str(resnet), None)
    assert found.model == "resnet18"
    assert isinstance(found.preprocess, Preprocess)
    assert (found.preprocess.size, found.preprocess.interpolation) == (224, "bilinear")
    assert found.preprocess.mean == (0.485, 0.456, 0.406)


def test_a_safetensors_file_alone_says_of_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    preprocess = imagenet.preparation("resnet18")
    note = start.about("lenet5", small=False, classes=["a", "b"], preprocess=preprocess)
    weights.write(path, random_state("lenet5", classes=2), note)
    found = start.find(str(path), None)
    assert (found.model, found.classes, found.preprocess) == ("lenet5", ("a", "b"), preprocess)
    kept = build("lenet5", classes=2)
    assert not take(kept, found, head_of("lenet5", kept, 2), name="lenet5", classes=["a", "b"])
    assert torch.equal(kept.state_dict()["output.weight"], found.tensors["output.weight"])
    other = build("lenet5", classes=2)
    assert take(other, found, head_of("lenet5", other, 2), name="lenet5", classes=["a", "c"])
    assert not torch.equal(other.state_dict()["output.weight"], found.tensors["output.weight"])


def test_a_plain_safetensors_file_is_taken_too(tmp_path: Path) -> None:
    save_file(random_state("lenet5"), tmp_path / "a.safetensors")
    _, found, _ = taken(tmp_path / "a.safetensors", "lenet5")
    assert found.preprocess is None
    save_file(random_state("resnet18"), tmp_path / "b.safetensors")
    found = start.find(str(tmp_path / "b.safetensors"), None)
    assert found.model == "resnet18"
    assert found.preprocess == imagenet.preparation("resnet18")


def test_weights_of_another_network_name_the_first_tensors_and_the_right_one(resnet: Path) -> None:
    with pytest.raises(RunError) as error:
        taken(resnet, "resnet34")
    assert "layer1.2.conv1.weight is missing there" in error.value.message
    assert "more" in error.value.message
    assert error.value.hint == "It fits resnet18: --model resnet18."
    with pytest.raises(RunError) as error:
        taken(resnet, "resnet18", small=True)
    assert "conv1.weight is 64x3x7x7 there, 64x3x3x3 here" in error.value.message


def test_what_is_only_in_the_file_is_told(tmp_path: Path) -> None:
    state = random_state("lenet5") | {"extra.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(RunError, match=re.escape("extra.weight is only there")):
        taken(tmp_path / "w.pth", "lenet5")


def test_heads_that_the_network_was_built_without_are_left_out(tmp_path: Path) -> None:
    torch.save(random_state("googlenet_heads"), tmp_path / "w.pth")
    model, found, _ = taken(tmp_path / "w.pth", "googlenet")
    assert any(key.startswith("aux1.") for key in found.tensors)
    assert torch.equal(model.state_dict()["conv1.conv.weight"], found.tensors["conv1.conv.weight"])


def test_densenets_published_names_are_brought_up_to_date(tmp_path: Path) -> None:
    state = random_state("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
        for key, value in state.items()
    }
    assert set(old) != set(state)
    torch.save(old, tmp_path / "w.pth")
    model, _, _ = taken(tmp_path / "w.pth", "densenet121")
    key = "features.denseblock1.denselayer1.conv1.weight"
    assert torch.equal(model.state_dict()[key], state[key])


def test_the_network_of_a_file_is_found() -> None:
    assert fits(random_state("resnet50", classes=3)) == "resnet50"
    assert fits(random_state("vgg11", classes=1000)) == "vgg11"
    assert fits({"nothing": torch.zeros(1)}) is None


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_would_run_code_is_refused_unopened(tmp_path: Path, plain: bool) -> None:
    bomb = {"conv1.weight": Bomb(tmp_path / "ran")}
    path = tmp_path / "w.pth"
    if plain:
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb, path)
    with pytest.raises(RunError, match="could run code"):
        start.find(str(path), "resnet18")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pth", b"", "damaged or no weights file"),
        ("a.pth", b"no pickle at all", "damaged|could run code"),
        ("a.safetensors", b"{}", "damaged"),
        ("a.txt", b"x", "no weights file"),
    ],
)
def test_files_that_are_no_weights_say_so(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=told):
        start.find(str(tmp_path / name), "lenet5")


@pytest.mark.parametrize("held", [[torch.zeros(1)], {}, {"a": 1, "b": torch.zeros(1)}])
def test_files_without_named_tensors_say_so(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(RunError, match="holds"):
        start.find(str(tmp_path / "w.pth"), "lenet5")


def test_names_that_are_nothing_say_what_can_be_given() -> None:
    with pytest.raises(RunError) as error:
        start.find("imagnet", "resnet18")
    assert error.value.hint == "Did you mean imagenet?"
    with pytest.raises(RunError, match=r"There are no weights w\.pth"):
        start.find("w.pth", "resnet18")
    with pytest.raises(ModelError, match="No ImageNet weights are published for nin"):
        start.find("imagenet", "nin")


@pytest.fixture
def published(resnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve the file as the published ResNet-18, from this machine; gives the hub's folder."""
    content = resnet.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(imagenet, "HOME", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setitem(imagenet.FILES, "resnet18", name)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        yield tmp_path / "torch" / "hub" / "checkpoints"
        server.shutdown()
        thread.join()


def test_published_weights_are_fetched_checked_and_found_again(published: Path, resnet: Path) -> None:
    with pytest.raises(DownloadError) as error:
        start.find("imagenet", None, offline=True)
    told = f"{error.value.message} {error.value.hint}"
    assert imagenet.FILES["resnet18"] in told  # which file
    assert str(published) in told  # and where to put it
    found = start.find("imagenet", None)
    assert (found.model, found.path.parent) == ("resnet18", published)
    assert found.path.read_bytes() == resnet.read_bytes()
    assert start.find("imagenet", "resnet18", offline=True).path == found.path
    assert str(imagenet.hub_folder().parent) == torch.hub.get_dir()


def test_a_published_file_with_other_content_is_not_taken(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(imagenet.FILES, "resnet18", "resnet18-00000000.pth")
    with pytest.raises(DownloadError, match="SHA-256"):
        start.find("imagenet", "resnet18")
    assert not list(published.glob("*.pth"))
