"""What DATA may be, and what every kind of it must satisfy."""

from __future__ import annotations

import gzip
import os
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.data.sources import open_source
from striate.errors import DataError, RecipeError

if TYPE_CHECKING:
    from pathlib import Path


def pictures(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return str(folder)


def test_a_folder_and_its_zip_hold_the_same(tmp_path: Path) -> None:
    names = ("a/1.jpg", "b/2.jpg", "c/.hidden/3.jpg")
    folder = open_source(pictures(tmp_path / "photos", *names))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in names:
            archive.writestr(f"photos/{name}", name)
    packed = open_source(str(tmp_path / "photos.zip"))
    assert (folder.kind, packed.kind) == ("folder", "zip")
    assert folder.classes == packed.classes == ("a", "b", "c")
    assert [s.name for s in packed.samples] == [f"photos/{s.name}" for s in folder.samples]
    assert (
        [folder.read(i) for i in range(2)] == [packed.read(i) for i in range(2)] == [b"a/1.jpg", b"b/2.jpg"]
    )


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("minst", "Did you mean mnist?"),
        ("{folder}/photo", "Did you mean {folder}/photos?"),
        ("qqqqqqqqqqqq", "Known: digits, mnist, fashion-mnist, cifar10, cifar100."),
        ("bad\0name", "Known: "),
        ("", "Known: "),
        ("x" * 5000, "Known: "),
    ],
)
def test_what_does_not_exist_is_said_with_the_nearest_name(tmp_path: Path, typed: str, hint: str) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="No such file, folder or data set") as caught:
        open_source(typed.format(folder=tmp_path))
    assert caught.value.hint.startswith(hint.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", b"", "is empty"),
        ("a.zip", b"PK\x03\x04 and no more", "is damaged"),
        ("a.tar", b"x" * 2000, "is not a kind of data"),
        ("a.tar.gz", b"\x1f\x8b not gzip", "is damaged"),
        ("a.gz", gzip.compress(b"just text", mtime=0), "is damaged"),
        ("a.jpg", b"\xff\xd8\xff", "is not a kind of data"),
        ("a.pkl", b"\x80\x04.", "is a pickle"),
        ("a.npz", b"PK\x03\x04", "is damaged"),
        ("a.npz", b"", "is damaged"),
        ("a.csv", b"", "is empty"),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        open_source(str(tmp_path / name))
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photos.zip")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source(str(tmp_path / "photos.zip"))


def test_an_archive_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.tar", "w") as archive:
        archive.writestr("a/1.jpg", "")
        archive.writestr("b/1.jpg", "")
    assert open_source(str(tmp_path / "photos.tar")).kind == "zip"


def test_one_class_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"all 2 pictures are of one class \(a\)"):
        open_source(pictures(tmp_path / "one", "a/1.jpg", "a/2.jpg"))
    (tmp_path / "one" / "empty").mkdir()
    with pytest.raises(DataError, match="of one class"):
        open_source(str(tmp_path / "one"))
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 2, 2)), y=np.zeros(0, int))
    with pytest.raises(DataError, match="no pictures"):
        open_source(str(tmp_path / "none.npz"))


def test_classes_that_training_has_not_seen_are_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/c/1.jpg")
    (tmp_path / "train" / "c").mkdir()
    with pytest.raises(DataError, match="the test split has classes that train has not: c"):
        open_source(folder)


def test_a_test_folder_alone_may_be_opened_to_evaluate(tmp_path: Path) -> None:
    source = open_source(pictures(tmp_path, "test/a/1.jpg", "test/b/1.jpg"))
    assert {sample.split for sample in source.samples} == {"test"}


@pytest.mark.parametrize(
    ("expression", "groups"),
    [(r"(p\d)_", ["p1", "p2"]), (r"p\d_", ["p1_", "p2_"]), (r"^(.)/", ["a", "b"])],
)
def test_groups_by_a_regular_expression(tmp_path: Path, expression: str, groups: list[str]) -> None:
    source = open_source(pictures(tmp_path, "a/p1_1.jpg", "b/p2_1.jpg"), group=expression)
    assert [sample.group for sample in source.samples] == groups


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        (r"(p\d", RecipeError, "not a regular expression"),
        (r"q\d", DataError, "matches no part of 2 of 2 names, the first is a/p1_1.jpg"),
        (r"(p1)|p2", DataError, "1 of 2 names, the first is b/p2_1.jpg"),
    ],
)
def test_groups_that_cannot_be_formed(
    tmp_path: Path, expression: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_source(pictures(tmp_path, "a/p1_1.jpg", "b/p2_1.jpg"), group=expression)


def test_a_group_that_is_no_column_lists_the_columns(tmp_path: Path) -> None:
    pictures(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "list.csv").write_text("path,label,plant\n1.jpg,a,x\n2.jpg,b,y\n")
    with pytest.raises(DataError, match="matches no part") as caught:
        open_source(str(tmp_path / "list.csv"), group="plnat")
    assert "path, label, plant" in caught.value.hint


def test_regression_needs_numbers(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "a/1.jpg", "b/1.jpg")
    for data in (folder, "digits"):
        with pytest.raises(DataError, match="regression needs numbers"):
            open_source(data, task="regression")


def test_the_real_photographs(shared_data: Path) -> None:
    source = open_source(str(shared_data / "clothing-photos.zip"))
    splits = [sample.split for sample in source.samples]
    assert [splits.count(split) for split in ("train", "val", "test")] == [3068, 341, 372]
    assert len(source.classes) == 10
    data = source.read(1000)
    assert isinstance(data, bytes)
    assert data.startswith(b"\xff\xd8")
