"""What is wrong with a data set is said in lines that a person understands."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.data import store
from striate.data.check import Check, check
from striate.data.duplicates import duplicate_groups
from striate.data.preprocess import Preprocess
from striate.data.sources import Sample, Source
from striate.errors import DataError

RNG = np.random.default_rng(0)


def png(picture: Any) -> bytes:
    """Save with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def looked(entries: list[tuple[bytes, Any, str]], classes: tuple[str, ...] = ("cat", "dog")) -> Check:
    """Check (bytes, target, side) by side."""
    samples = tuple(Sample(f"{i}.png", target, side) for i, (_, target, side) in enumerate(entries))
    source = Source("pets", "folder", samples, classes, lambda i: entries[i][0])
    seen = store.survey(source)
    built = store.build(source, seen, Preprocess(channels=seen.channels, size=8), cache=False)
    exact, near = duplicate_groups([seen.digests[i] for i in built.rows], built.thumbs)
    sides = np.array([samples[i].split for i in built.rows])
    split = {side: np.flatnonzero(sides == side) for side in ("train", "val", "test")}
    return check(source, seen, built, exact, near, split)


def noise(count: int, side: str, target: Any = None) -> list[tuple[bytes, Any, str]]:
    """Make different pictures, of both classes in turn."""
    made = RNG.integers(0, 256, (count, 20, 30, 3), np.uint8)
    return [(png(picture), target or ("cat", "dog")[i % 2], side) for i, picture in enumerate(made)]


CLEAN = noise(8, "train") + noise(2, "val") + noise(4, "test")


def test_a_clean_set_is_counted_and_not_warned_about() -> None:
    found = looked(CLEAN)
    assert found.classes == {name: {"train": 4, "val": 1, "test": 2} for name in ("cat", "dog")}
    assert found.splits == {"train": 8, "val": 2, "test": 4}
    assert found.sizes == {"width": [30, 30, 30], "height": [20, 20, 20]}
    assert found.modes == {"PNG RGB": 14}
    assert found.imbalance == 1
    assert found.warnings == []


def test_copies_across_sides_make_a_result_too_good() -> None:
    again = [(data, target, "test") for data, target, _ in CLEAN[:3]]
    found = looked(CLEAN + again)
    assert found.warnings == ["3 pictures of test are also in train: the test result is too good"]
    assert found.duplicates == [([f"{i}.png", f"{14 + i}.png"], ["train", "test"], True) for i in range(3)]
    within = [(data, target, "train") for data, target, _ in CLEAN[:1]]
    assert looked(CLEAN + within).warnings == []


def test_near_copies_across_sides_are_told_apart() -> None:
    picture = np.array(Image.open(io.BytesIO(CLEAN[0][0])))
    picture[0, 0] += 1
    found = looked([*CLEAN, (png(picture), CLEAN[0][1], "val")])
    assert found.warnings == ["1 picture of val is also in train, or nearly: the val result is too good"]
    assert found.duplicates == [(["0.png", "14.png"], ["train", "val"], False)]


def test_one_picture_under_two_labels() -> None:
    found = looked([*CLEAN, (CLEAN[0][0], "dog", "train")])
    assert found.warnings == ["1 picture has copies or near copies with another label"]


def test_unreadable_files_are_listed() -> None:
    found = looked([*CLEAN, (b"", "cat", "train"), (b"text", "dog", "test")])
    assert found.unreadable == [("14.png", "empty file"), ("15.png", "not a picture")]
    assert found.warnings == ["2 files cannot be read and are left out, the first is 14.png: empty file"]
    assert found.splits["train"] == 8


def test_empty_single_and_uneven_classes() -> None:
    entries = [*CLEAN, *noise(1, "train", "emu"), *noise(40, "train", "dog"), (b"", "cow", "train")]
    found = looked(entries, ("cat", "cow", "dog", "emu", "yak"))
    assert found.classes["cow"] == found.classes["yak"] == {}
    assert found.imbalance == 47
    assert found.warnings[1:] == [
        "no picture of cow, yak: the network can never learn them",
        "only one picture of emu: nothing is left to test it with",
        "classes are uneven: dog has 47 pictures and emu has 1; see balanced accuracy, and --balance",
    ]


def test_an_empty_side_is_said() -> None:
    assert looked(noise(8, "train") + noise(2, "test")).warnings == [
        "val is empty: the pictures are too few, or their groups too large, to spare any"
    ]


def test_fewer_than_two_classes_with_pictures_is_an_error() -> None:
    with pytest.raises(DataError, match="only 1 class has readable pictures: cat"):
        looked([*noise(3, "train", "cat"), (b"", "dog", "train")])


def test_lost_depth_is_said() -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 4, 0, 0, 0))
    deep = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(17 * 4))) + chunk(b"IEND", b"")
    assert "1 picture of 16 bits is read at 8 bits" in looked([*CLEAN, (deep, "cat", "train")]).warnings


def test_numbers_have_no_classes() -> None:
    entries = [(data, float(i), side) for i, (data, _, side) in enumerate(CLEAN)]
    found = looked(entries, ())
    assert found.classes == {}
    assert found.warnings == []


def test_json_has_the_agreed_keys() -> None:
    found = looked([*CLEAN, (b"", "cat", "train"), (CLEAN[0][0], "cat", "test")])
    document = json.loads(json.dumps(found.json()))
    assert document["unreadable"] == [{"file": "14.png", "reason": "empty file"}]
    assert document["duplicates"] == [
        {"files": ["0.png", "15.png"], "splits": ["train", "test"], "exact": True}
    ]
    assert {"classes", "splits", "sizes", "modes", "imbalance", "warnings"} <= set(document)
