"""From a name to a network: ours, timm's and torchvision's by name, anybody's as ``package.module:name``."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

from torch import nn

from striate.errors import ModelError, did_you_mean
from striate.models import hub
from striate.models.alexnet import alexnet, alexnet_2012, alexnet_one_tower
from striate.models.autoencoder import autoencoder, autoencoder_conv
from striate.models.bn_inception import bn_inception
from striate.models.convnetjs import convnetjs, convnetjs_mnist
from striate.models.densenet import densenet40, densenet121
from striate.models.dna import dna
from striate.models.fastnet import fastnet
from striate.models.googlenet import googlenet, googlenet_2014
from striate.models.inception_v3 import inception_v3
from striate.models.lenet import lenet5, lenet5_1998
from striate.models.m5 import M3, M11, M18, m5
from striate.models.mlp import mlp
from striate.models.nin import nin, nin_imagenet
from striate.models.recurrent import gru, lstm, rnn
from striate.models.resnet import resnet18, resnet20, resnet34, resnet50, resnet101, resnet152
from striate.models.tcn import tcn
from striate.models.tdnn import tdnn, tdnn_1989
from striate.models.unshared import unshared
from striate.models.vgg import vgg11, vgg11_lrn, vgg13, vgg16, vgg16_1x1, vgg19
from striate.models.zfnet import zfnet, zfnet_wide

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class Known:
    """A network of ours: its builder, and the paper that it is from.

    input: what it was made for, (C, H, W) or, for sequences, (C, L), and classes likewise: the builder's
    default. None is an autoencoder, which gives its input's shape.
    year: when the paper was first public.
    """

    builder: Builder
    input: tuple[int, ...]
    classes: int | None
    year: int
    paper: str

    @property
    def sizes(self) -> dict[str, Any]:
        """What :func:`build` is to be told of that input."""
        return {"channels": self.input[0], "size" if len(self.input) > 2 else "length": self.input[1]}

    @property
    def output(self) -> tuple[int, ...]:
        """What it gives for one input."""
        return self.input if self.classes is None else (self.classes,)


GRADIENT = "LeCun, Bottou, Bengio and Haffner: Gradient-based learning applied to document recognition"
TOWERS = "Krizhevsky, Sutskever and Hinton: ImageNet classification with deep convolutional neural networks"
WEIRD_TRICK = "Krizhevsky: One weird trick for parallelizing convolutional neural networks"
VISUALISING = "Zeiler and Fergus: Visualizing and understanding convolutional networks"
VERY_DEEP = "Simonyan and Zisserman: Very deep convolutional networks for large-scale image recognition"
IN_NETWORK = "Lin, Chen and Yan: Network in network"
DEEPER = "Szegedy and others: Going deeper with convolutions"
BATCH_NORM = "Ioffe and Szegedy: Batch normalization: accelerating deep network training"
RETHINKING = "Szegedy and others: Rethinking the Inception architecture for computer vision"
RESIDUAL = "He, Zhang, Ren and Sun: Deep residual learning for image recognition"
STOCHASTIC = "Huang, Sun, Liu, Sedra and Weinberger: Deep networks with stochastic depth"
DENSE = "Huang, Liu, van der Maaten and Weinberger: Densely connected convolutional networks"
CONVNETJS = "Karpathy: ConvNetJS, deep learning in your browser"
NINETY_FOUR = "Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU"
ELMAN = "Elman: Finding structure in time"
MEMORY = "Hochreiter and Schmidhuber: Long short-term memory"
BOTH_WAYS = "Schuster and Paliwal: Bidirectional recurrent neural networks"
GATED = "Cho and others: Learning phrase representations using RNN encoder-decoder"
GENERIC = "Bai, Kolter and Koltun: An empirical evaluation of generic convolutional and recurrent networks"
TIME_DELAY = (
    "Waibel, Hanazawa, Hinton, Shikano and Lang: Phoneme recognition using time-delay neural networks"
)
WAVEFORMS = "Dai, Dai, Qu, Li and Das: Very deep convolutional neural networks for raw waveforms"
PROMOTERS = "Umarov and Solovyev: Recognition of prokaryotic and eukaryotic promoters"
STRATEGIES = "LeCun: Generalization and network design strategies"
REDUCING = "Hinton and Salakhutdinov: Reducing the dimensionality of data with neural networks"
LANDSCAPE = "Baldi and Hornik: Neural networks and principal component analysis"
STACKED = "Masci, Meier, Ciresan and Schmidhuber: Stacked convolutional auto-encoders"

GREY24, GREY28, COLOUR32 = (1, 24, 24), (1, 28, 28), (3, 32, 32)
COLOUR64 = (3, 64, 64)
COLOUR224, COLOUR227, COLOUR299 = (3, 224, 224), (3, 227, 227), (3, 299, 299)
ROWS28, PIXELS784, ROLL = (28, 28), (1, 784), (88, 160)  # a digit by its rows, by its pixels; 160 chords
MEL16, SECOND, SECONDS4, BASES81 = (16, 15), (1, 8000), (1, 32_000), (4, 81)  # sounds at 8 kHz

MODELS: dict[str, Known] = {
    "mlp": Known(mlp, GREY28, 10, 1998, GRADIENT),
    "lenet5": Known(lenet5, GREY28, 10, 1998, GRADIENT),
    "lenet5_1998": Known(lenet5_1998, GREY28, 10, 1998, GRADIENT),
    "alexnet": Known(alexnet, COLOUR224, 1000, 2014, WEIRD_TRICK),
    "alexnet_2012": Known(alexnet_2012, COLOUR227, 1000, 2012, TOWERS),
    "alexnet_one_tower": Known(alexnet_one_tower, COLOUR227, 1000, 2012, TOWERS),
    "zfnet": Known(zfnet, COLOUR224, 1000, 2013, VISUALISING),
    "zfnet_wide": Known(zfnet_wide, COLOUR224, 1000, 2013, VISUALISING),
    "vgg11": Known(vgg11, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg11_lrn": Known(vgg11_lrn, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg13": Known(vgg13, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg16_1x1": Known(vgg16_1x1, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg16": Known(vgg16, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg19": Known(vgg19, COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg11_bn": Known(partial(vgg11, use_batch_norm=True), COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg13_bn": Known(partial(vgg13, use_batch_norm=True), COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg16_1x1_bn": Known(partial(vgg16_1x1, use_batch_norm=True), COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg16_bn": Known(partial(vgg16, use_batch_norm=True), COLOUR224, 1000, 2014, VERY_DEEP),
    "vgg19_bn": Known(partial(vgg19, use_batch_norm=True), COLOUR224, 1000, 2014, VERY_DEEP),
    "nin": Known(nin, COLOUR32, 10, 2013, IN_NETWORK),
    "nin_imagenet": Known(nin_imagenet, COLOUR224, 1000, 2013, IN_NETWORK),
    "googlenet": Known(googlenet, COLOUR224, 1000, 2014, DEEPER),
    "googlenet_heads": Known(partial(googlenet, use_heads=True), COLOUR224, 1000, 2014, DEEPER),
    "googlenet_2014": Known(googlenet_2014, COLOUR224, 1000, 2014, DEEPER),
    "googlenet_2014_heads": Known(partial(googlenet_2014, use_heads=True), COLOUR224, 1000, 2014, DEEPER),
    "bn_inception": Known(bn_inception, COLOUR224, 1000, 2015, BATCH_NORM),
    "inception_v3": Known(inception_v3, COLOUR299, 1000, 2015, RETHINKING),
    "inception_v3_heads": Known(partial(inception_v3, use_heads=True), COLOUR299, 1000, 2015, RETHINKING),
    "resnet18": Known(resnet18, COLOUR224, 1000, 2015, RESIDUAL),
    "resnet34": Known(resnet34, COLOUR224, 1000, 2015, RESIDUAL),
    "resnet50": Known(resnet50, COLOUR224, 1000, 2015, RESIDUAL),
    "resnet101": Known(resnet101, COLOUR224, 1000, 2015, RESIDUAL),
    "resnet152": Known(resnet152, COLOUR224, 1000, 2015, RESIDUAL),
    "resnet18_a": Known(partial(resnet18, shortcut="A"), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet34_a": Known(partial(resnet34, shortcut="A"), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet34_c": Known(partial(resnet34, shortcut="C"), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet50_2015": Known(partial(resnet50, strides_first=True), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet101_2015": Known(partial(resnet101, strides_first=True), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet152_2015": Known(partial(resnet152, strides_first=True), COLOUR224, 1000, 2015, RESIDUAL),
    "plain18": Known(partial(resnet18, shortcut=None), COLOUR224, 1000, 2015, RESIDUAL),
    "plain34": Known(partial(resnet34, shortcut=None), COLOUR224, 1000, 2015, RESIDUAL),
    "resnet20": Known(resnet20, COLOUR32, 10, 2015, RESIDUAL),
    "resnet20_b": Known(partial(resnet20, shortcut="B"), COLOUR32, 10, 2015, RESIDUAL),
    "resnet32": Known(partial(resnet20, depth=32), COLOUR32, 10, 2015, RESIDUAL),
    "resnet44": Known(partial(resnet20, depth=44), COLOUR32, 10, 2015, RESIDUAL),
    "resnet56": Known(partial(resnet20, depth=56), COLOUR32, 10, 2015, RESIDUAL),
    "resnet110": Known(partial(resnet20, depth=110), COLOUR32, 10, 2015, RESIDUAL),
    "resnet1202": Known(partial(resnet20, depth=1202), COLOUR32, 10, 2015, RESIDUAL),
    "plain20": Known(partial(resnet20, depth=20, shortcut=None), COLOUR32, 10, 2015, RESIDUAL),
    "plain32": Known(partial(resnet20, depth=32, shortcut=None), COLOUR32, 10, 2015, RESIDUAL),
    "plain44": Known(partial(resnet20, depth=44, shortcut=None), COLOUR32, 10, 2015, RESIDUAL),
    "plain56": Known(partial(resnet20, depth=56, shortcut=None), COLOUR32, 10, 2015, RESIDUAL),
    "plain110": Known(partial(resnet20, depth=110, shortcut=None), COLOUR32, 10, 2015, RESIDUAL),
    "resnet110_stochastic": Known(partial(resnet20, depth=110, survival=0.5), COLOUR32, 10, 2016, STOCHASTIC),
    "densenet121": Known(densenet121, COLOUR224, 1000, 2016, DENSE),
    "densenet40": Known(densenet40, COLOUR32, 10, 2016, DENSE),
    "convnetjs": Known(convnetjs, COLOUR32, 10, 2013, CONVNETJS),
    "convnetjs_mnist": Known(convnetjs_mnist, GREY24, 10, 2013, CONVNETJS),
    "fastnet": Known(fastnet, COLOUR32, 10, 2024, NINETY_FOUR),
    "unshared": Known(unshared, COLOUR32, 10, 1989, STRATEGIES),
    "rnn": Known(rnn, ROWS28, 10, 1990, ELMAN),
    "lstm": Known(lstm, ROWS28, 10, 1997, MEMORY),
    "gru": Known(gru, ROWS28, 10, 2014, GATED),
    "birnn": Known(partial(rnn, bidirectional=True), ROWS28, 10, 1997, BOTH_WAYS),
    "bilstm": Known(partial(lstm, bidirectional=True), ROWS28, 10, 1997, BOTH_WAYS),
    "bigru": Known(partial(gru, bidirectional=True), ROWS28, 10, 1997, BOTH_WAYS),
    "tcn": Known(tcn, PIXELS784, 10, 2018, GENERIC),
    "tcn_jsb": Known(
        partial(tcn, classes=88, channels=88, kernel=3, levels=2, hidden=150, dropout=0.5),
        ROLL,
        88,
        2018,
        GENERIC,
    ),
    "tdnn_1989": Known(tdnn_1989, MEL16, 3, 1989, TIME_DELAY),
    "tdnn": Known(tdnn, SECOND, 10, 1989, TIME_DELAY),
    "m3": Known(partial(m5, widths=M3), SECONDS4, 10, 2016, WAVEFORMS),
    "m5": Known(m5, SECONDS4, 10, 2016, WAVEFORMS),
    "m11": Known(partial(m5, widths=M11), SECONDS4, 10, 2016, WAVEFORMS),
    "m18": Known(partial(m5, widths=M18), SECONDS4, 10, 2016, WAVEFORMS),
    "dna": Known(dna, BASES81, 2, 2017, PROMOTERS),
    "mlp_sigmoid": Known(
        partial(mlp, widths=(500, 500, 2000), nonlinearity=nn.Sigmoid), GREY28, 10, 2006, REDUCING
    ),
    "autoencoder": Known(autoencoder, GREY28, None, 2006, REDUCING),
    "autoencoder_relu": Known(partial(autoencoder, nonlinearity=nn.ReLU), GREY28, None, 2006, REDUCING),
    "autoencoder_linear": Known(
        partial(autoencoder, widths=(30,), nonlinearity=None), GREY28, None, 1989, LANDSCAPE
    ),
    "autoencoder_conv": Known(autoencoder_conv, COLOUR64, None, 2011, STACKED),
}

# These take widths after their names: mlp-300-100 is a perceptron with such hidden layers, autoencoder-500-30
# codes 30 numbers behind a layer of 500, bilstm-64-64 has two layers of 64 cells each way.
WIDTHS = re.compile(
    r"(mlp|mlp_sigmoid|autoencoder(?:_relu|_linear|_conv)?|(?:bi)?(?:rnn|lstm|gru))((?:-[1-9]\d{0,6})+)"
)
TCN = re.compile(
    r"tcn-([1-9]\d{0,2})-([1-9]|1\d)-([1-9]\d{0,6})"
)  # its kernel, levels and width: tcn-3-2-150

# How a user gives what a builder may ask for.
GIVEN_BY = {"classes": "--classes N", "channels": "--input CxHxW", "size": "--input CxHxW"}
GIVEN_BY |= {"length": "--input CxL"}


def build(
    model: str | Builder | nn.Module,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: int | None = None,
    length: int | None = None,
    rate: int | None = None,
    every: bool = False,
    small: bool = False,
) -> nn.Module:
    """Build a network by name, by ``package.module:name``, or from a function; a module is returned as it is.

    The function is called with whichever of classes, channels and size (of sequences length, and of sounds
    rate, samples a second) its signature names (none is fine); what is None here is left to its own default.
    Under ``torch.device("meta")`` ours take no memory.
    small: ask for the stem that keeps small pictures large; ModelError where the builder names no ``small``.
    every: ask for an answer at every step of a sequence; the same with ``every``.
    Raises ModelError when it cannot be found, lacks one of the three, raises, or returns no nn.Module.

    >>> build("lenet5", classes=26).output
    Linear(in_features=84, out_features=26, bias=True)
    """
    found = find(model) if isinstance(model, str) else model
    if isinstance(found, nn.Module):
        return found
    name = model if isinstance(model, str) else getattr(model, "__qualname__", repr(model))
    try:
        wanted = {"classes": classes, "channels": channels, "size": size, "length": length, "rate": rate}
        given = _arguments(name, found, wanted)
        built = found(**given, **_stem(name, found, small=small), **_steps(name, found, every=every))
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"The model {name} raised {type(error).__name__}: {_one_line(error)}",
            "It is called with those of classes, channels and size that it names; --debug shows more.",
        ) from error
    if not isinstance(built, nn.Module):
        raise ModelError(
            f"The model {name} returned {type(built).__name__}, not an nn.Module.", "Return the network."
        )
    return built


def is_ours(model: str) -> bool:
    """Tell whether opening this model runs no code but striate's own."""
    return known(model) is not None


def known(name: str) -> Known | None:
    """Give what is known of a network of ours, those of any widths (``mlp-300-100``) included; else None.

    >>> known("mlp-100").builder(classes=26, channels=1, size=16)[1]
    Linear(in_features=256, out_features=100, bias=True)
    """
    if found := WIDTHS.fullmatch(name):
        base, widths = MODELS[found[1]], tuple(map(int, found[2].split("-")[1:]))
        return dataclasses.replace(base, builder=partial(base.builder, widths=widths))
    if found := TCN.fullmatch(name):
        kernel, levels, hidden = map(int, found.groups())
        builder = partial(tcn, kernel=kernel, levels=levels, hidden=hidden)
        return dataclasses.replace(MODELS["tcn"], builder=builder)
    return MODELS.get(name)


def find(name: str) -> Builder | nn.Module:
    """Look up a model's function, class or module, from the current folder too. Raises ModelError.

    >>> find("lenet5") is lenet5
    True
    """
    ours = known(name)
    if ours is not None:
        return ours.builder
    module_name, colon, path = name.partition(":")
    if colon and module_name in hub.HUBS:
        return hub.find(module_name, path)
    if not colon or not path or not module_name:
        raise ModelError(
            f"Unknown model {name!r}.", f"{did_you_mean(name, MODELS)} Yours: package.module:name."
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        holder = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"Cannot import {module_name!r} for the model: {type(error).__name__}: {_one_line(error)}",
            f"It is looked for from the current folder, {here}.",
        ) from error
    try:
        found = reduce(getattr, path.split("."), holder)
    except AttributeError:
        found = None
    if not callable(found):
        names = [n for n, v in vars(holder).items() if callable(v) and not n.startswith("_")]
        raise ModelError(f"{module_name} has no function {path!r}.", did_you_mean(path, names))
    builder: Builder | nn.Module = found
    return builder


def _arguments(name: str, builder: Builder, offered: dict[str, int | None]) -> dict[str, int]:
    named = inspect.signature(builder).parameters
    missing = [n for n in offered if n in named and offered[n] is None and named[n].default is named[n].empty]
    if missing:
        flags = " and ".join(dict.fromkeys(GIVEN_BY[n] for n in missing))
        square = " (size is the side of a square picture)" if "size" in missing else ""
        raise ModelError(f"The model {name} needs {', '.join(missing)}.", f"Give {flags}{square}.")
    return {n: value for n, value in offered.items() if n in named and value is not None}


def has_small_stem(builder: Builder | nn.Module) -> bool:
    """Tell whether a network's first layers can be asked to keep small pictures large."""
    return not isinstance(builder, nn.Module) and "small" in inspect.signature(builder).parameters


def _stem(name: str, builder: Builder, *, small: bool) -> dict[str, bool]:
    if small and not has_small_stem(builder):
        able = [known for known in MODELS if has_small_stem(MODELS[known].builder)]
        raise ModelError(
            f"{name} has no small stem.", f"Leave --stem away, or take one of {', '.join(able)}."
        )
    return {"small": True} if small else {}


def _steps(name: str, builder: Builder, *, every: bool) -> dict[str, bool]:
    if every and "every" not in inspect.signature(builder).parameters:
        steps = [known for known in MODELS if "every" in inspect.signature(MODELS[known].builder).parameters]
        able = [known for known in steps if not known.startswith("bi")]  # which read from the end, too
        raise ModelError(
            f"{name} answers once a sequence, and the next step is asked at each.",
            f"Take one of {', '.join(able)}, or a function that takes every=True.",
        )
    return {"every": True} if every else {}


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "no message")[:200]
