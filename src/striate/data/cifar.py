"""CIFAR-10 and CIFAR-100 in their binary version: records of one or two label bytes and 3 x 32 x 32 values.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version". The python version
is made of pickles, which can run code when opened, and is refused.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data.arrays import Part, from_arrays
from striate.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.data.listing import Listing
    from striate.data.sources import Source

TEN = re.compile(r"(data_batch_\d+|test_batch)\.bin$")
HUNDRED = re.compile(r"(train|test)\.bin$")
NAMES = {"batches.meta.txt": 1, "fine_label_names.txt": 2}  # file of class names -> label bytes of a record
PICKLES = re.compile(r"(data_batch_\d|test_batch|batches\.meta|cifar-100-python/(train|test|meta))$")
AGAIN = "Take the whole binary version: cifar-10-binary.tar.gz or cifar-100-binary.tar.gz."


def holds(listing: Listing) -> bool:
    """Tell whether a folder or archive is CIFAR, in either version."""
    files = [f"{listing.name}/{name}" for name in listing.files]
    return any(TEN.search(f) or PICKLES.search(f) or f.endswith("/fine_label_names.txt") for f in files)


def open_listing(listing: Listing, name: str = "") -> Source:
    """Open the records of a folder or archive; the test file is the test split.

    Raises DataError for the python version, for files that are missing or whose size is no whole number of
    records, and for labels without a name.
    """
    files = {PurePosixPath(file).name: file for file in listing.files}
    batches = sorted(file for file in files if TEN.match(file) or HUNDRED.match(file))
    if not batches:
        raise DataError(
            f"{listing.where} is the python version of CIFAR: pickles, which can run code.", AGAIN
        )
    meta = next((file for file in NAMES if file in files), None)
    if meta is None:
        raise DataError(f"{listing.where} lacks batches.meta.txt, the names of the classes.", AGAIN)
    names = listing.read(files[meta]).decode("utf-8", "replace").split()
    by_split: dict[str, list[tuple[NDArray[Any], list[str]]]] = {}
    for batch in batches:
        split = "test" if batch.startswith("test") else "train"
        by_split.setdefault(split, []).append(_records(listing.read(files[batch]), batch, NAMES[meta], names))
    parts: list[Part] = [
        (
            split,
            np.concatenate([pictures for pictures, _ in found]),
            [label for _, part in found for label in part],
        )
        for split, found in sorted(by_split.items(), reverse=True)
    ]
    return from_arrays(name or listing.name, "cifar", parts, tuple(sorted(names)))


def _records(data: bytes, file: str, label_bytes: int, names: list[str]) -> tuple[NDArray[Any], list[str]]:
    """Cut a file into pictures (N, 32, 32, 3) and class names; the last label byte is the fine one."""
    length = label_bytes + 3 * 32 * 32
    if not data or len(data) % length:
        raise DataError(
            f"{file} has {len(data)} bytes, which are no whole number of {length}-byte records.", AGAIN
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, length)
    labels = records[:, label_bytes - 1]
    if labels.max() >= len(names):
        raise DataError(f"{file} holds the label {labels.max()}, and {len(names)} classes have names.", AGAIN)
    pictures = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pictures, [names[label] for label in labels]
