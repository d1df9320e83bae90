"""Greedy pretraining: stage k changes layer k and nothing else, and what it trains is worth something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import striate
from striate.errors import ModelError, RecipeError
from striate.events import Choice
from striate.models.registry import build
from striate.training import greedy
from striate.training.greedy import Stage, stages
from striate.training.reconstruction import Reconstruction


def changes(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Note, whenever a stage begins and at the end, which of the network's weights are others than before."""
    found: list[set[str]] = []
    jobs: list[Any] = []
    held: dict[str, Tensor] = {}
    real, loss = greedy.pretrain, greedy.stage_loss
    seen = [0]

    def look() -> None:
        now = {name: tensor.clone() for name, tensor in jobs[0].model.state_dict().items()}
        if held:
            found.append({name for name in now if not torch.equal(now[name], held[name])})
        held.update(now)

    def noting(done: list[Stage], *arguments: Any) -> Tensor:
        if len(done) > seen[0]:
            seen[0] = len(done)
            look()
        return loss(done, *arguments)

    def pretrain(job: Any, emit: Any) -> list[Choice]:
        jobs.append(job)
        told = real(job, emit)
        look()
        return told

    monkeypatch.setattr(greedy, "pretrain", pretrain)
    monkeypatch.setattr(greedy, "stage_loss", noting)
    return found


def parameters(*layers: str) -> set[str]:
    return {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}


def test_only_layer_k_and_its_mirror_change_in_stage_k(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = changes(monkeypatch)
    striate.train(
        "digits",
        task="reconstruction",
        model="autoencoder-20-12-5",
        pretrain=1,
        tune="off",
        steps=1,
        out=tmp_path / "run",
    )
    assert found == [
        parameters("encoder.1", "decoder.4"),
        parameters("encoder.3", "decoder.2"),
        parameters("encoder.5", "decoder.0"),
    ]


def test_of_a_classifier_all_but_the_last_layer_learn_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = changes(monkeypatch)
    run = striate.train(
        "digits", model="mlp_sigmoid-20-12", size=8, pretrain=1, steps=1, tune="off", out=tmp_path / "run"
    )
    assert found == [parameters("1"), parameters("3")]
    assert [one["value"] for one in run.info["choices"] if one["name"] == "pretrain"] == ["2 layers"]


def test_pretrained_and_told_again_it_is_the_same_and_better_than_not(tmp_path: Path) -> None:
    """Plain descent from small random weights leaves a deep sigmoid net where it was: the claim of 2006."""
    asked: dict[str, Any] = {"model": "mlp_sigmoid-40-40-40", "size": 8, "optimizer": "sgd", "lr": 0.1}
    asked |= {"batch": 16, "epochs": 4, "augment": "off", "tune": "off"}
    runs = [
        striate.train("digits", **asked, pretrain=passes, out=tmp_path / f"{i}")
        for i, passes in enumerate((0, 4, 4))
    ]
    plain, first, second = (run.metrics["test"]["accuracy"] for run in runs)
    assert first == second
    assert first > plain + 0.2
    weights = [(run.path / "model.safetensors").read_bytes() for run in runs]
    assert weights[1] == weights[2] != weights[0]


def test_a_damaged_input_is_shown_and_the_clean_one_asked_for() -> None:
    layer, decoder = nn.Linear(4, 4), nn.Linear(4, 4)
    with torch.no_grad():
        for one in (layer, decoder):
            one.weight.copy_(torch.eye(4))
            one.bias.zero_()
    done = [Stage(layer, nn.Identity(), decoder)] * 2
    x = torch.rand(8, 4) + 1
    clean = greedy.stage_loss(done, x, Reconstruction())
    damaged = greedy.stage_loss(done, x, Reconstruction(mask=0.5))
    assert clean == 0
    assert 0.2 < damaged / x.square().mean() < 0.8  # half of the values are gone, and all are asked for


@pytest.mark.parametrize("name", ["lenet5", "autoencoder_conv"])
def test_what_is_no_chain_of_dense_layers_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="chain of dense layers"):
        stages(build(name))


def test_a_crooked_decoder_no_hidden_layer_and_two_first_weights_are_refused() -> None:
    crooked = build("autoencoder-20-5", channels=1, size=4)
    crooked.decoder = nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (1, 4, 4)))
    with pytest.raises(ModelError, match="mirror"):
        stages(crooked)
    with pytest.raises(ModelError, match="no hidden layer"):
        stages(nn.Linear(3, 2))
    recipe = striate.Recipe(pretrain=1, weights="run")
    with pytest.raises(RecipeError, match="both say"):
        greedy.check(recipe, build("mlp"))


def test_it_is_refused_before_the_data_are_decoded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="chain of dense layers"):
        striate.train("digits", model="lenet5", pretrain=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_recipe_of_a_run_says_it(tmp_path: Path) -> None:
    run = striate.train(
        "digits",
        task="reconstruction",
        model="autoencoder-9-3",
        pretrain=2,
        steps=1,
        tune="off",
        out=tmp_path / "run",
    )
    assert "pretrain = 2" in (run.path / "recipe.toml").read_text()
    choices = json.loads((run.path / "run.json").read_text())["choices"]
    (told,) = [one["reason"] for one in choices if one["name"] == "pretrain"]
    assert "64-9: " in told
    assert "9-3: " in told
