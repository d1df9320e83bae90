"""IDX files, the format of MNIST: a magic number, the shape, then the values; gzipped or not.

Source of the format: http://yann.lecun.com/exdb/mnist (LeCun, Cortes, Burges).
"""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.data.arrays import MOST_BYTES, from_arrays, labels
from striate.data.listing import Listing, damaged, read_file
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.data.arrays import Part
    from striate.data.sources import Source

NAMED = re.compile(r"(?P<split>train|t10k|test|)[-_.]?images[-.]idx3-ubyte(\.gz)?$", re.IGNORECASE)
DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
SPLITS = {"train": "train", "t10k": "test", "test": "test"}


def named(name: str) -> bool:
    """Tell whether a file's name is that of IDX pictures."""
    return NAMED.search(name) is not None


def starts(data: bytes) -> bool:
    """Tell whether a file begins as IDX does, looking into gzip."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = zlib.decompressobj(31).decompress(data, 4)
        except zlib.error:
            return False
    return len(data) >= 4 and data[:2] == b"\0\0" and data[2] in DTYPES and data[3] in {1, 3, 4}


def holds(listing: Listing) -> bool:
    """Tell whether a folder or archive holds IDX pictures."""
    return any(named(name) for name in listing.files)


def open_listing(listing: Listing, name: str = "", class_names: tuple[str, ...] = ()) -> Source:
    """Open all IDX pictures of a folder or archive; a file named t10k or test is the test split.

    class_names: what the labels 0, 1, 2... mean; else they are their own names.
    Raises DataError for a wrong magic number, for counts that disagree, or where labels are missing.
    """
    parts: list[Part] = []
    for file in filter(named, listing.files):
        match = NAMED.search(file)
        split = SPLITS.get(match["split"].lower()) if match else None
        parts.append(_pair(listing, file, split, class_names))
    return from_arrays(name or listing.name, "idx", parts, tuple(sorted(class_names)) or None)


def open_file(path: Path) -> Source:
    """Open one file of pictures whose labels lie beside it; it says nothing of splits."""
    beside = tuple(sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()))
    listing = Listing(
        str(path.parent), "folder", beside, (), lambda name: read_file(str(path.with_name(name)))
    )
    return from_arrays(path.name, "idx", [_pair(listing, path.name, None, ())])


def parse(data: bytes, name: str) -> NDArray[Any]:
    """Read one IDX file. Raises DataError that names the file and the numbers which disagree."""
    data = _plain(data, name)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in DTYPES or not 1 <= data[3] <= 4:
        raise DataError(
            f"{name} is no IDX file: it starts with {data[:4].hex(' ') or 'nothing'}, "
            "not with 00 00 08 03 (pictures) or 00 00 08 01 (labels).",
            "Download it again, and see that it was not unpacked or converted by halves.",
        )
    rank, dtype = data[3], np.dtype(DTYPES[data[2]])
    start = 4 + 4 * rank
    if len(data) < start:
        raise damaged(name, f"its header breaks off after {len(data)} bytes")
    shape = struct.unpack(f">{rank}I", data[4:start])
    says, holds = math.prod(shape) * dtype.itemsize, len(data) - start
    if says != holds:
        raise DataError(
            f"{name}: the header says {' x '.join(map(str, shape))} values ({says} bytes), "
            f"the file has {holds}.",
            "The file is cut off or not what its name says; download it again.",
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _pair(listing: Listing, name: str, split: str | None, class_names: tuple[str, ...]) -> Part:
    partner = _labels_of(name, listing)
    pictures, targets = parse(listing.read(name), name), parse(listing.read(partner), partner)
    if pictures.ndim < 3:
        raise DataError(
            f"{name} holds {pictures.ndim} dimensions, and pictures have 3.", "Are these the labels?"
        )
    if len(pictures) != len(targets):
        raise DataError(
            f"{name} holds {len(pictures)} pictures, and {partner} {len(targets)} labels.",
            "They do not belong together; download both again.",
        )
    found = labels(targets, partner)
    if class_names:
        strange = [label for label in found if not 0 <= int(label) < len(class_names)]
        if strange:
            raise DataError(
                f"{partner} holds the label {strange[0]}, and there are {len(class_names)} classes.",
                "The file is damaged; delete it and download it again.",
            )
        found = [class_names[int(label)] for label in found]
    return split, pictures, found


def _labels_of(name: str, listing: Listing) -> str:
    head, _, tail = name.rpartition("images")
    wanted = f"{head}labels{tail}".replace("idx3", "idx1")
    for candidate in (wanted, wanted.removesuffix(".gz"), f"{wanted}.gz"):
        if head + tail != name and candidate in listing.files:
            return candidate
    raise DataError(
        f"{name}: the file of its labels is missing.",
        f"Put {wanted.rpartition('/')[2]} beside it."
        if head + tail != name
        else "Give the file of the pictures, named like train-images-idx3-ubyte, with its labels beside it.",
    )


def _plain(data: bytes, name: str) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        plain = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise damaged(name, error) from error
    if len(plain) > MOST_BYTES:
        raise damaged(name, f"it unpacks to more than {MOST_BYTES >> 30} GiB")
    return plain
