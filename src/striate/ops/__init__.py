"""The operator spelled out in plain tensor arithmetic: to learn from, and the reference that tests trust."""

from striate.ops import kernels, recurrent, sequence
from striate.ops.activation import relu, sigmoid, softmax, tanh
from striate.ops.conv import (
    convolve,
    cross_correlate,
    full_convolve,
    locally_connected,
    toeplitz,
    unshare,
)
from striate.ops.norm import local_response
from striate.ops.pool import average_pool, global_average_pool, global_max_pool, l2_pool, max_pool
from striate.ops.size import Axis, output_size
from striate.ops.window import total_padding

__all__ = [
    "Axis",
    "average_pool",
    "convolve",
    "cross_correlate",
    "full_convolve",
    "global_average_pool",
    "global_max_pool",
    "kernels",
    "l2_pool",
    "local_response",
    "locally_connected",
    "max_pool",
    "output_size",
    "recurrent",
    "relu",
    "sequence",
    "sigmoid",
    "softmax",
    "tanh",
    "toeplitz",
    "total_padding",
    "unshare",
]
