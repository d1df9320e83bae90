"""A classifier slid over a larger picture: where, if anywhere, it sees each class."""

from striate.scan.boxes import Box, Level, boxes, suppressed
from striate.scan.convolutional import fully_convolutional, total_stride
from striate.scan.slide import dense, difference, positions, pyramid, windows

__all__ = [
    "Box",
    "Level",
    "boxes",
    "dense",
    "difference",
    "fully_convolutional",
    "positions",
    "pyramid",
    "suppressed",
    "total_stride",
    "windows",
]
