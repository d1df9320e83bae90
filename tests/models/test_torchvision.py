"""Weights have torchvision's names and shapes, in its order, so that its files load unchanged."""

from __future__ import annotations

import hashlib

import pytest
import torch

from striate.models.registry import build

# torchvision 0.28: sha256 over the lines "name shape" of each state_dict(), its first 16 digits.
TORCHVISION = {
    "resnet18": "84fb10d9c6905a1c",
    "resnet34": "28f9096d51307499",
    "resnet50": "d7e4f8bb0a536344",
    "resnet101": "02c0f34f4842751f",
    "resnet152": "685c66205bc823aa",
    "vgg11": "cb3dc23f2a13e182",
    "vgg13": "67c1dc8b57fde74b",
    "vgg16": "35c4623e0cd4a39d",
    "vgg19": "4723255af8f6c485",
    "vgg11_bn": "8b6717e727c0ecf9",
    "vgg13_bn": "f6b0597d18a7e4d2",
    "vgg16_bn": "347371586a8ea365",
    "vgg19_bn": "fc3ff6fab2b5cc09",
    "alexnet": "9c198ebdae1863e4",
    "googlenet": "f66489fa14bd9d5a",
    "googlenet_heads": "7f541ca29410efb1",
    "inception_v3": "f3a329f258a780ee",
    "inception_v3_heads": "aab0ac2cbaf84aa2",
    "densenet121": "aa0fd9923b0003b8",
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_and_shapes_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        state = build(name).state_dict()
    lines = "\n".join(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items())
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == TORCHVISION[name]
