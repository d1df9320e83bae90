"""What each command does, as a function; the command line only parses and prints."""

from striate.api.encoding import encode
from striate.api.explain import explain
from striate.api.fit import train
from striate.api.look import bench, check, inspect, models
from striate.api.rebuilding import reconstruct
from striate.api.scan import scan
from striate.api.several import train_several
from striate.api.stress import stress
from striate.api.use import evaluate, predict
from striate.runs.load import load

__all__ = [
    "bench",
    "check",
    "encode",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "models",
    "predict",
    "reconstruct",
    "scan",
    "stress",
    "train",
    "train_several",
]
