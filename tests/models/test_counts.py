"""Parameters and multiply-adds are the published ones: facts/architectures.json, recomputed (basis R)."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate.models.mlp import mlp
from striate.models.registry import MODELS, build

FACTS = {  # name: (system, variant); the mlp has its own test
    "lenet5": (
        "lenet5",
        "common modern form: full C3 (2,416), parameter-free pooling, dense 84-10 (850)",
    ),
    "vgg11": ("vgg", "A (VGG-11); A-LRN has the same count"),
    "vgg13": ("vgg", "B (VGG-13)"),
    "vgg16": ("vgg", "D (VGG-16)"),
    "vgg19": ("vgg", "E (VGG-19)"),
    "vgg11_bn": ("vgg", "torchvision vgg11_bn"),
    "vgg13_bn": ("vgg", "torchvision vgg13_bn"),
    "vgg16_bn": ("vgg", "torchvision vgg16_bn"),
    "vgg19_bn": ("vgg", "torchvision vgg19_bn"),
    "resnet20": ("resnet and plain nets (CIFAR-10)", "ResNet-20"),
    "resnet18": ("resnet (ImageNet)", "torchvision resnet18"),
    "resnet34": ("resnet (ImageNet)", "torchvision resnet34"),
    "resnet50": ("resnet (ImageNet)", "torchvision resnet50"),
    "resnet101": ("resnet (ImageNet)", "torchvision resnet101"),
    "resnet152": ("resnet (ImageNet)", "torchvision resnet152"),
}


def counted(model: nn.Module, *shape: int) -> tuple[int, int]:
    """Give (parameters, multiply-adds) of a model on the meta device, as torch counts and as we do."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    by_torch = sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
    totals = striate.inspect(model, shape).totals
    assert (totals.parameters, totals.multiply_adds) == by_torch
    return by_torch


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mlp"])
def test_as_published(name: str, architectures: dict[str, Any]) -> None:
    system, variant = FACTS[name]
    (facts,) = (p for p in architectures[system]["params"] if p["variant"] == variant)
    assert facts["basis"] == "R"
    parameters = facts["option_A_and_plain"] if name == "resnet20" else facts["value"]
    multiply_adds = facts["multiply_adds_A"] if name == "resnet20" else facts["multiply_adds"]
    with torch.device("meta"):
        model = build(name)
    assert counted(model, *MODELS[name].input) == (parameters, multiply_adds)


def test_every_perceptron_as_published(architectures: dict[str, Any]) -> None:
    for facts in architectures["mlp"]["params"]:
        before, *widths, classes = map(int, re.findall(r"\d+", facts["variant"].partition(",")[0]))
        size = math.isqrt(before)
        with torch.device("meta"):
            model = mlp(classes=classes, channels=1, size=size, widths=tuple(widths))
        assert counted(model, 1, size, size) == (facts["value"], facts["multiply_adds"]), facts["variant"]
