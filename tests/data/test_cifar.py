"""CIFAR in its binary version, from a folder or an archive; the python version is refused."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.data.sources import open_source
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
RED = np.zeros((3, 32, 32), np.uint8)
RED[0, 1, 2] = 200


def record(*labels: int) -> bytes:
    return bytes(labels) + RED.tobytes()


TEN = {
    "data_batch_1.bin": record(1) + record(0),
    "data_batch_2.bin": record(2),
    "test_batch.bin": record(0),
    "batches.meta.txt": b"plane\ncar\nbird\n\n",
    "readme.html": b"",
}
HUNDRED = {
    "train.bin": record(0, 1) + record(1, 0),
    "test.bin": record(0, 1),
    "fine_label_names.txt": b"apple\nbear\n",
    "coarse_label_names.txt": b"fruit\nanimal\n",
}


def write(folder: Path, files: dict[str, bytes], kind: str, inner: str = "cifar-10-batches-bin") -> str:
    if kind == "folder":
        for name, data in files.items():
            (folder / inner).mkdir(parents=True, exist_ok=True)
            (folder / inner / name).write_bytes(data)
        return str(folder / inner)
    path = folder / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{inner}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_the_ten(tmp_path: Path, kind: str) -> None:
    source = open_source(write(tmp_path, TEN, kind))
    assert (source.kind, source.classes) == ("cifar", ("bird", "car", "plane"))
    assert [(s.name, s.target, s.split) for s in source.samples] == [
        ("train[0]", "car", "train"),
        ("train[1]", "plane", "train"),
        ("train[2]", "bird", "train"),
        ("test[0]", "plane", "test"),
    ]
    picture = source.read(0)
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (32, 32, 3)
    assert picture.flags.c_contiguous
    assert np.argwhere(picture).tolist() == [[1, 2, 0]]


def test_of_the_hundred_the_fine_labels(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, HUNDRED, "tar"))
    assert [sample.target for sample in source.samples] == ["bear", "apple", "bear"]
    assert source.classes == ("apple", "bear")


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize(
    ("files", "inner"),
    [
        (("data_batch_1", "test_batch", "batches.meta"), "cifar-10-batches-py"),
        (("train", "test", "meta"), "cifar-100-python"),
    ],
)
def test_the_python_version_is_refused(tmp_path: Path, kind: str, files: tuple[str, ...], inner: str) -> None:
    with pytest.raises(DataError, match="python version of CIFAR: pickles") as caught:
        open_source(write(tmp_path, dict.fromkeys(files, b"\x80\x02."), kind, inner))
    assert "binary" in caught.value.hint


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data_batch_2.bin": record(1)[:-1]}, "data_batch_2.bin has 3072 bytes.*3073-byte"),
        ({"test_batch.bin": b""}, "test_batch.bin has 0 bytes"),
        ({"data_batch_1.bin": record(3)}, "holds the label 3, and 3 classes"),
        ({"batches.meta.txt": None}, "lacks batches.meta.txt"),
    ],
)
def test_damage_is_named(tmp_path: Path, changed: dict[str, bytes | None], message: str) -> None:
    files = {name: data for name, data in (TEN | changed).items() if data is not None}
    with pytest.raises(DataError, match=message):
        open_source(write(tmp_path, files, "folder"))
