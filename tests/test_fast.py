"""The recipe fast from end to end: its first layer comes from the pictures, its answers from both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate import api
from striate.errors import Interrupted
from striate.events import Event, Step
from striate.models.fastnet import fastnet

SETTINGS: dict[str, Any] = {"recipe": "fast-quick", "batch": 8, "epochs": 2, "test": 0.2, "tune": "off"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures of each of two classes: brighter at the left, or at the right."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 120, 32)[None, :, None]
    for name, light in (("left", ramp[:, ::-1]), ("top", ramp.transpose(1, 0, 2)[::-1])):
        (folder / name).mkdir()
        for i in range(20):
            pixels = (random.integers(0, 100, (32, 32, 3)) + light).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> striate.Run:
    """Give a finished run."""
    return api.train(pictures, out=tmp_path_factory.mktemp("runs") / "run", **SETTINGS)


def whitening(run: striate.Run) -> torch.Tensor:
    """Give the filters of the first layer."""
    return run.model.get_parameter("whiten.weight").detach()


def test_the_first_layer_is_made_from_the_training_pictures(run: striate.Run, pictures: Path) -> None:
    lines = (run.path / "split.csv").read_text().splitlines()[1:]
    names = [line.split(",")[0] for line in lines if line.endswith(",train")]
    assert len(names) == 32
    pixels = np.stack([np.asarray(Image.open(pictures / name)) for name in names])
    expected = fastnet(2)
    preprocess = striate.load(run.path).info["preprocess"]
    mean, std = (torch.tensor(preprocess[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected.prepare((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std)  # type: ignore[operator]
    filters = expected.get_parameter("whiten.weight")
    # A direction's sign is free, and each filter is there with its negative.
    products = filters.flatten(1) @ whitening(run).flatten(1).T
    lengths = filters.flatten(1).square().sum(1)
    assert torch.allclose(products.max(1).values, lengths, rtol=1e-3)


def test_a_run_that_was_cut_off_keeps_its_first_layer(
    run: striate.Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Step) and event.step == 5:
            raise Interrupted("Stopped.", "Go on.")

    monkeypatch.setattr("striate.training.loop.Pace.due", lambda _: True)
    with pytest.raises(Interrupted):
        api.train(pictures, out=tmp_path / "cut", emit=stop, **SETTINGS)
    resumed = api.train(resume=tmp_path / "cut")
    assert torch.equal(whitening(resumed), whitening(run))
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_a_picture_and_its_mirror_image_have_one_answer(
    run: striate.Run, pictures: Path, tmp_path: Path
) -> None:
    assert run.recipe.tta == "flip"
    picture, mirrored = pictures / "left" / "00.png", tmp_path / "mirrored.png"
    pixels = np.asarray(Image.open(picture))
    Image.fromarray(np.ascontiguousarray(pixels[:, ::-1])).save(mirrored)
    one, other = api.predict(run, [picture, mirrored])[0]
    assert one.probability == pytest.approx(other.probability, abs=1e-6)
    assert one.label == other.label
    with torch.no_grad():  # which the network alone does not give
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        assert not torch.allclose(run.model(x), run.model(x.flip(3)), atol=1e-3)
