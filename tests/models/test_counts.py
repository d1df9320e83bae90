"""Parameters and multiply-adds are the published ones: facts/architectures.json, recomputed (basis R)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import striate
from striate.models.autoencoder import autoencoder
from striate.models.bn_inception import bn_inception
from striate.models.mlp import mlp
from striate.models.nin import nin_textbook
from striate.models.registry import MODELS, build, known
from striate.models.resnet import resnet20
from striate.models.tcn import tcn

PERCEPTRON = "mlp"
LENET = "lenet5"
ALEXNET = "alexnet"
ZFNET = "zfnet"
VGG = "vgg"
NIN = "nin"
GOOGLENET = "googlenet"
BN_INCEPTION = "bn-inception (inception v2, first form)"
INCEPTION = "inception v2 (second form) and v3"
RESNET = "resnet (ImageNet)"
CIFAR_RESNET = "resnet and plain nets (CIFAR-10)"
DENSENET = "densenet-121"
CONVNETJS = "convnetjs-cifar10-demo"
SYSTEMS = [PERCEPTRON, LENET, ALEXNET, ZFNET, VGG, NIN, GOOGLENET, BN_INCEPTION, INCEPTION, RESNET]
AUTOENCODER = "deep autoencoder and PCA comparison"
TCN = "tcn"
SYSTEMS += [CIFAR_RESNET, DENSENET, CONVNETJS, AUTOENCODER, TCN]

NIN_IMAGENET = (
    "ImageNet, authors' Caffe network (29 MB snapshot = 30.4 MB / 29.0 MiB float32); "
    "pools with ceil as in Caffe: 54, 27, 13, 6"
)
BN_INCEPTION_PRINTED = (
    "figure 5 as printed (4c and 4d give 608 channels), conv bias and BN affine: "
    "the common Caffe/PyTorch port"
)

MNIST_CODES = "MNIST, untied after unrolling, all biases (weights 2,833,000)"

ADDING = "adding T=600 k=8 n=8 hidden 24 (paper: 70K)"
COPYING = "copy memory T=1000 k=8 n=8 hidden 10 (paper: 16K)"
NOTTINGHAM = "Nottingham k=6 n=4 hidden 150 (paper: 1M)"
SCRIPT = "repository default of music_test.py: k=5 n=4 hidden 150"
# Inputs that entries leave out.
INPUTS = {ADDING: (2, 600), COPYING: (1, 1020), NOTTINGHAM: (88, 200), SCRIPT: (88, 160)}

# What is built (a name, or a call that no name stands for), and the entry that it must equal: its system and
# its variant. A CIFAR ResNet's entry is two here, ", option A" and ", option B". Several may equal one entry.
ROWS: list[tuple[str | Callable[[], nn.Module], str, str]] = [
    (partial(mlp, classes=26, size=16, widths=(100,)), PERCEPTRON, "256-100-26, deck 001"),
    ("mlp", PERCEPTRON, "784-300-100-10"),
    ("mlp-300", PERCEPTRON, "784-300-10"),
    ("mlp-1000", PERCEPTRON, "784-1000-10"),
    ("mlp-500-150", PERCEPTRON, "784-500-150-10"),
    ("mlp-800", PERCEPTRON, "784-800-10"),
    ("mlp-1024-1024-1024", PERCEPTRON, "784-1024-1024-1024-10"),
    ("lenet5", LENET, "common modern form: full C3 (2,416), parameter-free pooling, dense 84-10 (850)"),
    ("lenet5_1998", LENET, "1998, partial C3, RBF weights fixed"),
    ("alexnet", ALEXNET, "torchvision alexnet"),
    ("alexnet_2012", ALEXNET, "2012, two towers (groups=2 in conv2, conv4, conv5)"),
    ("alexnet_one_tower", ALEXNET, "same widths, one tower"),
    ("zfnet", ZFNET, "figure 3 network, dense connections (one tower)"),
    ("zfnet_wide", ZFNET, "variant (b): layers 3-5 with 512, 1024, 512 maps"),
    ("vgg11", VGG, "A (VGG-11); A-LRN has the same count"),
    ("vgg11_lrn", VGG, "A (VGG-11); A-LRN has the same count"),
    ("vgg13", VGG, "B (VGG-13)"),
    ("vgg16_1x1", VGG, "C (16 layers, three of them 1x1)"),
    ("vgg16", VGG, "D (VGG-16)"),
    ("vgg19", VGG, "E (VGG-19)"),
    ("vgg11_bn", VGG, "torchvision vgg11_bn"),
    ("vgg13_bn", VGG, "torchvision vgg13_bn"),
    ("vgg16_bn", VGG, "torchvision vgg16_bn"),
    ("vgg19_bn", VGG, "torchvision vgg19_bn"),
    ("nin", NIN, "CIFAR-10, authors' Caffe network; same count in a public model table"),
    ("nin_imagenet", NIN, NIN_IMAGENET),
    (partial(nin_textbook, classes=10), NIN, "textbook form of deck 001, last block num_classes=10"),
    (nin_textbook, NIN, "textbook form of deck 001, last block num_classes=1000"),
    ("resnet20", CIFAR_RESNET, "ResNet-20, option A"),
    ("resnet18", RESNET, "torchvision resnet18"),
    ("resnet34", RESNET, "torchvision resnet34"),
    ("resnet50", RESNET, "torchvision resnet50"),
    ("resnet101", RESNET, "torchvision resnet101"),
    ("resnet152", RESNET, "torchvision resnet152"),
    ("googlenet", GOOGLENET, "torchvision googlenet_noaux"),
    ("googlenet_heads", GOOGLENET, "torchvision googlenet"),
    (
        "googlenet_2014",
        GOOGLENET,
        "2014 network with conv biases, no auxiliary heads (6,990,272 weights + 8,280 biases)",
    ),
    ("googlenet_2014_heads", GOOGLENET, "with the two auxiliary heads (3,188,840 + 3,190,888)"),
    ("bn_inception", BN_INCEPTION, BN_INCEPTION_PRINTED),
    (partial(bn_inception, use_bias=False), BN_INCEPTION, "same without conv bias"),
    (
        partial(bn_inception, use_bias=False, depth_576=True),
        BN_INCEPTION,
        "pool projection 96 in 4c and 4d so that the depth is 576 as figure 5 states",
    ),
    ("inception_v3", INCEPTION, "torchvision inception_v3_noaux"),
    ("inception_v3_heads", INCEPTION, "torchvision inception_v3"),
    ("resnet18_a", RESNET, "ResNet-18 option A = plain-18"),
    ("plain18", RESNET, "ResNet-18 option A = plain-18"),
    ("resnet34_a", RESNET, "ResNet-34 option A = plain-34"),
    ("plain34", RESNET, "ResNet-34 option A = plain-34"),
    ("resnet50_2015", RESNET, "ResNet-50, stride on the first 1x1 as in 2015 (paper: 3.8e9)"),
    ("resnet101_2015", RESNET, "ResNet-101, likewise (paper: 7.6e9)"),
    ("resnet152_2015", RESNET, "ResNet-152, likewise (paper: 11.3e9)"),
    ("plain20", CIFAR_RESNET, "ResNet-20, option A"),
    ("resnet20_b", CIFAR_RESNET, "ResNet-20, option B"),
    ("resnet32", CIFAR_RESNET, "ResNet-32, option A"),
    ("plain32", CIFAR_RESNET, "ResNet-32, option A"),
    (partial(resnet20, depth=32, shortcut="B"), CIFAR_RESNET, "ResNet-32, option B"),
    ("resnet44", CIFAR_RESNET, "ResNet-44, option A"),
    ("plain44", CIFAR_RESNET, "ResNet-44, option A"),
    (partial(resnet20, depth=44, shortcut="B"), CIFAR_RESNET, "ResNet-44, option B"),
    ("resnet56", CIFAR_RESNET, "ResNet-56, option A"),
    ("plain56", CIFAR_RESNET, "ResNet-56, option A"),
    (partial(resnet20, depth=56, shortcut="B"), CIFAR_RESNET, "ResNet-56, option B"),
    ("resnet110", CIFAR_RESNET, "ResNet-110, option A"),
    ("plain110", CIFAR_RESNET, "ResNet-110, option A"),
    (partial(resnet20, depth=110, shortcut="B"), CIFAR_RESNET, "ResNet-110, option B"),
    ("resnet110_stochastic", CIFAR_RESNET, "ResNet-110, option A"),
    ("resnet1202", CIFAR_RESNET, "ResNet-1202, option A"),
    ("densenet121", DENSENET, "torchvision densenet121"),
    ("convnetjs", CONVNETJS, "default network"),
    (
        "convnetjs_mnist",
        CONVNETJS,
        "sibling MNIST demo: 24x24 crop, conv 5x5 8, pool 2, conv 5x5 16, pool 3, fc 10",
    ),
    (
        partial(autoencoder, widths=(50, 50, 2), nonlinearity=nn.Tanh),
        CONVNETJS,
        "sibling autoencoder demo 784-50-50-2-50-50-784, tanh",
    ),
    ("tcn", TCN, "sequential MNIST k=7 n=8 hidden 25 (paper: 70K)"),
    (partial(tcn, 1, 2, kernel=8, hidden=24), TCN, ADDING),
    (partial(tcn, kernel=8, hidden=10), TCN, COPYING),
    ("tcn_jsb", TCN, "JSB k=3 n=2 hidden 150 (paper: 300K)"),
    (partial(tcn, 88, 88, kernel=6, levels=4, hidden=150), TCN, NOTTINGHAM),
    (partial(tcn, 88, 88, kernel=5, levels=4, hidden=150), TCN, SCRIPT),
    ("autoencoder", AUTOENCODER, MNIST_CODES),
    ("autoencoder_relu", AUTOENCODER, MNIST_CODES),
    ("autoencoder-1000-500-250-2", AUTOENCODER, "MNIST 2-D code"),
    (partial(autoencoder, widths=(400, 200, 100, 50, 25, 6)), AUTOENCODER, "curves"),
    (partial(autoencoder, size=25, widths=(2000, 1000, 500, 30)), AUTOENCODER, "faces"),
    (partial(autoencoder, length=2000, widths=(500, 250, 125, 10)), AUTOENCODER, "documents"),
    ("mlp_sigmoid", AUTOENCODER, "classifier 784-500-500-2000-10"),
]

# What table 1 of the waveform networks says: widths between poolings; each sees places a quarter as many.
WAVEFORMS = {
    "m3": ([256], [256]),
    "m5": ([128], [128], [256], [512]),
    "m11": ([64], [64] * 2, [128] * 2, [256] * 3, [512] * 2),
    "m18": ([64], [64] * 4, [128] * 4, [256] * 4, [512] * 4),
}
CONVOLVED = ((3, 32), (32, 64), (64, 128))  # maps before and after each halving of the side


def recurrent(gates: int, ways: int = 1) -> tuple[int, int]:
    products, last = ways * gates * 128 * (28 + 128), ways * 128 * 10
    return products + ways * gates * 2 * 128 + last + 10, 28 * products + last


def waveform(blocks: tuple[list[int], ...]) -> tuple[int, int]:
    """Add up kernels, biases and norms, and a head of 10, on 4 seconds at 8 kHz."""
    (first,), *_ = blocks
    parameters, products, before = 80 * first + 3 * first, 80 * first * 8000, first
    for places, block in zip((2000, 500, 125, 32), blocks[1:], strict=False):
        for width in block:
            parameters += 3 * before * width + 3 * width
            products += 3 * before * width * places
            before = width
    return parameters + 10 * before + 10, products + 10 * before


# Networks of ours that the facts have no entry for: parameters and multiply-adds, worked out here.
WORKED_OUT: dict[str, tuple[int, int]] = {
    # Column C's, and a weight and a bias for each of its 4,224 maps.
    "vgg16_1x1_bn": (133_638_952 + 2 * 4_224, 11_770_888_192),
    # The twin's, each layer's as often as it has places; the dense layer once.
    "unshared": (1216 * 32**2 + 8020 * 16**2 + 10020 * 8**2 + 3210, 3_920_000),
    # Maps of 24, then 64, 256 and 256, two 3x3 and their norms a block; sides 32, 16, 8 and 4.
    "fastnet": (
        24 * 13 + sum(9 * w * (v + w) + 4 * w for v, w in ((24, 64), (64, 256), (256, 256))) + 2560,
        24 * 12 * 32**2
        + sum(9 * w * (4 * v + w) * s**2 for v, w, s in ((24, 64, 16), (64, 256, 8), (256, 256, 4)))
        + 2560,
    ),
    # Option B's, and a projection in the 3, 3, 5 and 2 blocks that keep their shape.
    "resnet34_c": (
        21_797_672 + sum(n * (w * w + 2 * w) for n, w in ((3, 64), (3, 128), (5, 256), (2, 512))),
        3_663_761_408
        + sum(n * (w * s) ** 2 for n, w, s in ((3, 64, 56), (3, 128, 28), (5, 256, 14), (2, 512, 7))),
    ),
    # A layer that reads w maps has 2 w weights in its norm and 9 * 12 w in its kernel; the paper prints 1.0M.
    "densenet40": (1_019_722, 264_812_928),
    # Gates of 128 cells that read 28 values and themselves, with two biases, on 28 steps; then 10 classes.
    "rnn": recurrent(1),
    "gru": recurrent(3),
    "lstm": recurrent(4),
    "birnn": recurrent(1, ways=2),
    "bigru": recurrent(3, ways=2),
    "bilstm": recurrent(4, ways=2),
    **{name: waveform(blocks) for name, blocks in WAVEFORMS.items()},
    # 8 units that see 3 frames of 16, on 13 places; 3 that see 5 frames of these, on 9.
    "tdnn_1989": (8 * 49 + 3 * 41, 13 * 8 * 48 + 9 * 3 * 40),
    # Norms, kernels of 5 and 3; the fixed front end of 98 frames multiplies, too.
    "tdnn": (
        2 * 32 + 5 * 32 * 64 + 3 * 3 * 64**2 + 4 * 2 * 64 + 650,
        98 * (200 * 202 + 101 * 32) + 94 * 5 * 32 * 64 + (46 + 42 + 38) * 3 * 64**2 + 640,
    ),
    # 64 motifs of 9 letters on 73 places; 64 of 5 of these on 20; pooled to 10; 32 units, 2 classes.
    "dna": (64 * 37 + 64 * 321 + 64 * 10 * 32 + 32 + 66, 73 * 64 * 36 + 20 * 64 * 320 + 64 * 10 * 32 + 64),
    # Weights, and a bias a unit of the code and of the output.
    "autoencoder_linear": (2 * 784 * 30 + 30 + 784, 2 * 784 * 30),
    # 3x3 kernels down to 8x8, a code of 128, 4x4 kernels back up; each side's places.
    "autoencoder_conv": (
        sum((9 + 16) * v * w for v, w in CONVOLVED)
        + 2 * 8192 * 128
        + (32 + 64 + 128 + 128 + 8192 + 64 + 32 + 3),
        sum((9 + 16) * v * w * s**2 for (v, w), s in zip(CONVOLVED, (32, 16, 8), strict=True))
        + 2 * 8192 * 128,
    ),
}

# Multiply-adds that an entry includes and ours do not, as nothing in them is learnt.
STATED_APART = {"lenet5_1998": 840}  # the 84 x 10 of its output, whose codes are fixed

# Entries that no network of ours is held to, and why.
LEFT_OUT: dict[tuple[str, str], str] = {
    (
        INCEPTION,
        "Keras InceptionV3 (BN without gamma; 17,216 BN channels): total 23,851,784, trainable 23,817,352",
    ): "counts the running statistics, and leaves out gamma: another library's bookkeeping",
}


class Published(NamedTuple):
    """One entry: what the file says of a network; None where it says nothing."""

    parameters: int
    multiply_adds: int | None
    input: tuple[int, ...] | None  # one picture's, (C, H, W)


def published(architectures: dict[str, Any]) -> dict[tuple[str, str], Published]:
    """Read every recomputed entry of the systems above, by system and variant."""
    found = {}
    for system in SYSTEMS:
        for entry in architectures[system]["params"]:
            if entry["basis"] != "R":
                continue
            name, shape = entry["variant"], tuple(entry["input"][1:]) if "input" in entry else None
            if "option_A_and_plain" in entry:
                found[system, f"{name}, option A"] = Published(
                    entry["option_A_and_plain"], entry["multiply_adds_A"], (3, 32, 32)
                )
                if entry["option_B"] is not None:
                    found[system, f"{name}, option B"] = Published(entry["option_B"], None, (3, 32, 32))
            else:
                found[system, name] = Published(entry["value"], entry.get("multiply_adds"), shape)
    return found


def counted(model: nn.Module, *shape: int) -> tuple[int, int]:
    """Give (parameters, multiply-adds) of a model on the meta device, as torch counts and as we do."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.empty(1, *shape, device="meta"))
    by_torch = sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
    totals = striate.inspect(model, shape).totals
    assert (totals.parameters, totals.multiply_adds) == by_torch
    return by_torch


@pytest.mark.parametrize(("built", "system", "variant"), ROWS)
def test_as_published(
    built: str | Callable[[], nn.Module], system: str, variant: str, architectures: dict[str, Any]
) -> None:
    right = published(architectures)[system, variant]
    ours = known(built) if isinstance(built, str) else None
    shape = right.input or (ours.input if ours else INPUTS[variant])
    with torch.device("meta"):
        model = build(built)
    parameters, multiply_adds = counted(model, *shape)
    assert parameters == right.parameters
    if right.multiply_adds is not None:
        apart = STATED_APART.get(built, 0) if isinstance(built, str) else 0
        assert multiply_adds + apart == right.multiply_adds


@pytest.mark.parametrize("name", WORKED_OUT)
def test_as_worked_out(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    assert counted(model, *MODELS[name].input) == WORKED_OUT[name]


def test_every_entry_is_held_to_or_left_out_with_a_reason(architectures: dict[str, Any]) -> None:
    held = {(system, variant) for _, system, variant in ROWS}
    assert not held & LEFT_OUT.keys()
    assert held | LEFT_OUT.keys() == published(architectures).keys()
    assert all(LEFT_OUT.values())


def test_every_network_is_counted() -> None:
    names = {built for built, *_ in ROWS if isinstance(built, str) and built in MODELS}
    assert not names & WORKED_OUT.keys()
    assert names | WORKED_OUT.keys() == MODELS.keys()
