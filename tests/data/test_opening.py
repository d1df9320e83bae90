"""Which kind of data a path holds, and what each task makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.data.sources import open_source
from striate.errors import DataError
from striate.events import Event, Warned

if TYPE_CHECKING:
    from pathlib import Path


def files(root: Path, *names: str) -> str:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


@pytest.mark.parametrize(
    ("names", "modality", "ignored"),
    [
        (["a/1.png", "a/2.wav", "b/3.jpg", "b/4.png"], "pictures", "pictures and were ignored (1 .wav)."),
        (["a/1.png", "a/2.wav", "b/3.FLAC", "b/4.mp3"], "sound", "recordings and were ignored (1 .png)."),
        (["a.fa", "b.fasta", "readme.txt"], "symbols", "sequences and were ignored."),
    ],
)
def test_the_commonest_kind_is_taken_and_the_rest_is_counted(
    tmp_path: Path, names: list[str], modality: str, ignored: str
) -> None:
    events: list[Event] = []
    root = files(tmp_path, *names)
    if modality == "symbols":
        for name in ("a.fa", "b.fasta"):
            (tmp_path / name).write_text(">1\nACGT\n")
    source = open_source(root, emit=events.append)
    assert (source.modality, source.classes) == (modality, ("a", "b"))
    assert [
        event.text.partition(": 1 files are no ")[2] for event in events if isinstance(event, Warned)
    ] == [ignored]


@pytest.mark.parametrize("task", ["next-step", "reconstruction"])
def test_without_labels_everything_counts_wherever_it_lies(tmp_path: Path, task: str) -> None:
    root = files(tmp_path, "train/1.png", "train/a/2.png", "test/3.png")
    source = open_source(root, task=task)
    assert source.classes == ()
    assert [(s.name, s.target, s.split) for s in source.samples] == [
        ("test/3.png", 0.0, "test"),
        ("train/1.png", 0.0, "train"),
        ("train/a/2.png", 0.0, "train"),
    ]
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 4, 4), np.uint8))
    assert len(open_source(str(tmp_path / "x.npz"), task=task).samples) == 3


def test_with_labels_a_flat_folder_names_the_ways_out(tmp_path: Path) -> None:
    for ending, noun in (("png", "pictures"), ("wav", "recordings")):
        root = files(tmp_path / ending, f"1.{ending}", f"2.{ending}")
        with pytest.raises(DataError, match=f"holds 2 {noun} but no class folders") as error:
            open_source(root)
        assert "--label-pattern" in error.value.hint


def test_nothing_of_any_kind(tmp_path: Path) -> None:
    for task in ("classification", "reconstruction"):
        with pytest.raises(DataError, match="holds no pictures, sounds or sequences"):
            open_source(files(tmp_path, "a/x.bin"), task=task)
