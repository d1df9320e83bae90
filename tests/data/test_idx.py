"""IDX: the real MNIST, made-up files, and files that lie about themselves."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from striate.data import idx, listing
from striate.data.sources import open_source
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PICTURES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
LABELS = np.array([1, 0, 1, 12], np.uint8)


def encode(values: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write(folder: Path, part: str = "train", *, end: str = "", packed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for kind, values in (("images-idx3", PICTURES), ("labels-idx1", LABELS)):
        data = encode(values)
        (folder / f"{part}-{kind}-ubyte{end}").write_bytes(gzip.compress(data) if packed else data)
    return folder


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)))
def test_parsing_undoes_writing(values: NDArray[np.uint8]) -> None:
    assert np.array_equal(idx.parse(encode(values), "x"), values)
    assert np.array_equal(idx.parse(gzip.compress(encode(values)), "x"), values)


def test_big_endian_values_are_turned_round() -> None:
    values = np.array([1, -2, 300], ">i2")
    data = bytes([0, 0, 11, 1]) + struct.pack(">I", 3) + values.tobytes()
    assert idx.parse(data, "x").tolist() == [1, -2, 300]
    assert idx.parse(data, "x").dtype == np.dtype("=i2")


@pytest.mark.parametrize(("end", "packed"), [("", False), (".gz", True), (".gz", False)])
def test_a_folder_of_four_files_is_two_splits(tmp_path: Path, end: str, packed: bool) -> None:
    write(tmp_path / "data", "train", end=end, packed=packed)
    source = open_source(str(write(tmp_path / "data", "t10k", end=end, packed=packed)))
    assert (source.kind, source.name, source.classes) == ("idx", "data", ("0", "1", "12"))
    assert [(s.name, s.target, s.split) for s in source.samples][3:5] == [
        ("test[3]", "12", "test"),
        ("train[0]", "1", "train"),
    ]
    assert np.array_equal(source.read(6), PICTURES[2])


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "digits.images"])
def test_one_file_with_its_labels_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encode(PICTURES))
    (tmp_path / name.replace("images", "labels").replace("idx3", "idx1")).write_bytes(encode(LABELS))
    source = open_source(str(tmp_path / name))
    assert [sample.target for sample in source.samples] == ["1", "0", "1", "12"]
    assert {sample.split for sample in source.samples} == {None}
    assert np.array_equal(source.read(3), PICTURES[3])


def test_labels_may_have_names(tmp_path: Path) -> None:
    names = tuple("zyxwvutsrqpon")
    source = idx.open_listing(listing.folder(write(tmp_path)), "letters", names)
    assert [sample.target for sample in source.samples] == ["y", "z", "y", "n"]
    assert source.classes == tuple(sorted(names))
    with pytest.raises(DataError, match="holds the label 12, and there are 2 classes"):
        idx.open_listing(listing.folder(tmp_path), "letters", ("a", "b"))


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("images-idx3", b"", "no IDX file: it starts with nothing"),
        ("images-idx3", b"\x89PNG", "no IDX file: it starts with 89 50 4e 47"),
        ("images-idx3", b"\0\0\x08\x03\0\0", "header breaks off after 6 bytes"),
        ("images-idx3", encode(PICTURES)[:-1], r"4 x 5 x 6 values \(120 bytes\), the file has 119"),
        ("images-idx3", encode(PICTURES) + b"\0", "the file has 121"),
        ("images-idx3", b"\0\0\x08\x03" + b"\xff" * 12, "the file has 0"),
        ("images-idx3", encode(PICTURES[:3]), "holds 3 pictures, and train-labels-idx1-ubyte 4 labels"),
        ("images-idx3", encode(LABELS), "holds 1 dimensions"),
        ("images-idx3", gzip.compress(encode(PICTURES))[:-9], "is damaged"),
        ("labels-idx1", encode(PICTURES), "Received: "),
        ("labels-idx1", None, "the file of its labels is missing"),
    ],
)
def test_files_that_lie_are_named_with_their_numbers(
    tmp_path: Path, file: str, data: bytes | None, message: str
) -> None:
    path = write(tmp_path / "data") / f"train-{file}-ubyte"
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        open_source(str(tmp_path / "data"))
    assert "train-" in caught.value.message
    assert caught.value.hint


def test_labels_given_in_the_pictures_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels is missing") as caught:
        open_source(str(write(tmp_path) / "train-labels-idx1-ubyte"))
    assert "Give the file of the pictures" in caught.value.hint


def test_the_real_mnist(shared_data: Path) -> None:
    source = open_source(str(shared_data / "mnist"))
    assert source.classes == tuple("0123456789")
    splits = [sample.split for sample in source.samples]
    assert (splits.count("train"), splits.count("test")) == (60_000, 10_000)
    first = splits.index("train")
    assert source.samples[first].target == "5"
    pictures = np.stack([source.read(first + i) for i in range(60_000)])
    assert pictures.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
