"""Which folder is a class, which a split, and which only wraps the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.folders import class_folders
from striate.data.listing import Listing
from striate.errors import DataError
from striate.events import Event, Note, Warned

if TYPE_CHECKING:
    from striate.data.sources import Source


def listing(*files: str, folders: tuple[str, ...] = ()) -> Listing:
    every = set(folders)
    for name in files:
        parts = name.split("/")
        every |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return Listing("photos", "folder", tuple(sorted(files)), tuple(sorted(every)), str.encode)


def found(source: Source) -> dict[str, tuple[object, str | None]]:
    return {sample.name: (sample.target, sample.split) for sample in source.samples}


def test_a_folder_is_a_class_at_any_depth_below() -> None:
    source = class_folders(listing("cat/1.jpg", "cat/more/2.PNG", "dog/3.jpeg", folders=("empty",)))
    assert found(source) == {
        "cat/1.jpg": ("cat", None),
        "cat/more/2.PNG": ("cat", None),
        "dog/3.jpeg": ("dog", None),
    }
    assert source.classes == ("cat", "dog", "empty")
    assert source.read(2) == b"dog/3.jpeg"


def test_split_folders_by_any_of_their_names() -> None:
    files = [f"{split}/{label}/1.jpg" for split in ("Training", "valid", "test") for label in "ab"]
    source = class_folders(listing(*files, folders=("valid/only-here",)))
    assert {(sample.name[0], sample.split) for sample in source.samples} == {
        ("T", "train"),
        ("v", "val"),
        ("t", "test"),
    }
    assert source.classes == ("a", "b", "only-here")


def test_one_wrapping_folder_is_looked_through() -> None:
    plain = class_folders(listing("data/cat/1.jpg", "data/dog/2.jpg", "README.txt"))
    assert plain.classes == ("cat", "dog")
    split = class_folders(listing("data/train/cat/1.jpg", "data/dev/dog/2.jpg"))
    assert found(split) == {
        "data/train/cat/1.jpg": ("cat", "train"),
        "data/dev/dog/2.jpg": ("dog", "val"),
    }


def test_a_lone_class_folder_that_is_looked_through_is_said() -> None:
    events: list[Event] = []
    assert class_folders(listing("cat/a/1.png", "cat/b/2.png"), events.append).classes == ("a", "b")
    assert events == [Note("photos: all pictures lie in cat, which is no class; the classes are a, b.")]
    class_folders(listing(*(f"data/test/{i}/1.png" for i in range(9))), events.append)
    assert events[1:] == [
        Note("photos: all pictures lie in data, which is no class; the classes are 0, 1, 2, 3, 4, ….")
    ]


def test_a_lone_split_folder_is_a_split() -> None:
    source = class_folders(listing("train/cat/1.jpg", "train/dog/1.jpg"))
    assert {sample.split for sample in source.samples} == {"train"}
    assert source.classes == ("cat", "dog")


def test_a_train_among_vehicles_is_a_class() -> None:
    assert class_folders(listing("bus/1.jpg", "car/1.jpg", "train/1.jpg")).classes == ("bus", "car", "train")


def test_whole_numbers_are_sorted_by_value() -> None:
    assert class_folders(listing("10/1.jpg", "9/1.jpg", "1/1.jpg")).classes == ("1", "9", "10")


def test_other_files_are_counted_in_one_warning() -> None:
    events: list[Event] = []
    files = ("a/1.jpg", "b/2.jpg", "a/notes.txt", "labels.csv", "b/boxes.json", "b/more.json", "b/LICENCE")
    source = class_folders(listing(*files), events.append)
    assert [sample.name for sample in source.samples] == ["a/1.jpg", "b/2.jpg"]
    (event,) = events
    assert isinstance(event, Warned)
    assert "5 files are no pictures" in event.text
    assert "2 .json" in event.text


def test_pictures_outside_the_class_folders_are_left_out_with_a_warning() -> None:
    events: list[Event] = []
    source = class_folders(
        listing("train/a/1.jpg", "train/b/2.jpg", "test/3.jpg", "cover.jpg"), events.append
    )
    assert [sample.name for sample in source.samples] == ["train/a/1.jpg", "train/b/2.jpg"]
    assert [re.sub(r".*: ", "", event.text) for event in events if isinstance(event, Warned)] == [
        "2 pictures lie in no class folder and were left out, the first is cover.jpg."
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no pictures"),
        (("a/notes.txt",), "holds no pictures"),
        (("1.jpg", "2.jpg"), "no class folders"),
        (("train/1.jpg", "test/2.jpg"), "no class folders"),
        (("train/a/1.jpg", "test/a/1.jpg", "extra/b/1.jpg"), r"split folders \(test, train\).*\(extra\)"),
    ],
)
def test_what_has_no_classes_is_an_error_with_a_hint(files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        class_folders(listing(*files))
    assert caught.value.hint


@given(st.sets(st.from_regex(r"(train|val)/[a-c]/[0-9]\.jpg", fullmatch=True), min_size=1))
def test_every_picture_is_one_sample_with_the_names_of_its_folders(names: set[str]) -> None:
    source = class_folders(listing(*names))
    assert [sample.name for sample in source.samples] == sorted(names)
    for sample in source.samples:
        assert sample.name.startswith(f"{sample.split}/{sample.target}/")
        assert sample.target in source.classes
