"""npz files in their many shapes, and the digits."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from striate.data import arrays
from striate.data.sources import Source, open_source
from striate.errors import DataError
from striate.events import Event, Note

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GREY = np.arange(4 * 6 * 7, dtype=np.uint8).reshape(4, 6, 7)
Y = np.array([0, 1, 1, 0])


def save(folder: Path, **content: NDArray[Any]) -> str:
    np.savez(folder / "a.npz", **content)  # type: ignore[arg-type]
    return str(folder / "a.npz")


def targets(source: Source) -> list[object]:
    return [sample.target for sample in source.samples]


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("Images", "LABELS"), ("data", "targets"), ("X", "label")])
def test_pairs_by_their_usual_names(tmp_path: Path, x: str, y: str) -> None:
    source = open_source(save(tmp_path, **{x: GREY, y: Y}))
    assert (source.kind, source.classes, targets(source)) == ("npz", ("0", "1"), ["0", "1", "1", "0"])
    assert source.samples[2].name == "a[2]"
    assert np.array_equal(source.read(2), GREY[2])


def test_splits_by_their_names(tmp_path: Path) -> None:
    parts = {f"{word}_images": GREY for word in ("train", "val", "test")}
    parts |= {f"{word}_labels": Y[:, None] for word in ("train", "val", "test")}
    assert [s.split for s in open_source(save(tmp_path, **parts)).samples[::4]] == ["train", "val", "test"]
    source = open_source(save(tmp_path, x_train=GREY, y_train=Y, X_test=GREY + 1, y_test=Y))
    assert {(s.split, s.name[:5]) for s in source.samples} == {("train", "train"), ("test", "test[")}
    assert np.array_equal(source.read(4), GREY[0] + 1)


def test_text_labels_and_arrays_that_are_not_used(tmp_path: Path) -> None:
    events: list[Event] = []
    path = save(tmp_path, x=GREY, y=np.array(["b", "a", "b", "é"]), weights=Y)
    assert targets(open_source(path, emit=events.append)) == ["b", "a", "b", "é"]
    assert events == [Note("a.npz: the array weights is not used.")]
    assert targets(open_source(save(tmp_path, x=GREY, y=np.array([b"b", b"a", b"b", b"c"])))) == list("babc")
    assert targets(open_source(save(tmp_path, x=GREY, y=Y.astype(float)))) == list("0110")


def test_regression(tmp_path: Path) -> None:
    source = open_source(save(tmp_path, x=GREY, y=Y / 2), task="regression")
    assert (targets(source), source.classes) == ([0.0, 0.5, 0.5, 0.0], ())
    whole = open_source(save(tmp_path, x=GREY, y=Y), task="regression")
    assert (targets(whole), whole.classes) == ([0.0, 1.0, 1.0, 0.0], ())


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((4, 6, 7), (6, 7)),
        ((4, 6, 7, 1), (6, 7, 1)),
        ((4, 6, 7, 3), (6, 7, 3)),
        ((4, 3, 6, 7), (6, 7, 3)),
        ((4, 5, 5, 5), (5, 5, 5)),
    ],
)
def test_channels_come_last(tmp_path: Path, shape: tuple[int, ...], picture: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random(shape, np.float32)
    read = open_source(save(tmp_path, x=x, y=Y)).read(1)
    assert isinstance(read, np.ndarray)
    assert read.shape == picture
    assert read.flags.c_contiguous
    assert np.array_equal(read, x[1] if shape != (4, 3, 6, 7) else x[1].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (GREY, np.uint8),
        (GREY.astype(np.uint16), np.uint16),
        (GREY.astype(np.float32), np.float32),
        (GREY.astype(np.float64), np.float32),
        (GREY.astype(np.float16), np.float32),
        (GREY.astype(np.int64), np.uint8),
        (GREY.astype(np.int64) + 300, np.uint16),
        (GREY.astype(np.int64) - 1, np.float32),
        (GREY.astype(np.int64) + 65536, np.float32),
    ],
)
def test_depth_is_the_narrowest_that_holds_the_values(
    tmp_path: Path, given: NDArray[Any], kept: type[np.generic]
) -> None:
    read = open_source(save(tmp_path, x=given, y=Y)).read(3)
    assert isinstance(read, np.ndarray)
    assert read.dtype == kept
    assert np.array_equal(read, given[3])


def test_depth_is_one_for_all_splits_and_masks_become_black_and_white(tmp_path: Path) -> None:
    source = open_source(save(tmp_path, x_train=GREY, y_train=Y, x_test=GREY.astype("u2"), y_test=Y))
    assert {np.asarray(source.read(i)).dtype for i in range(8)} == {np.dtype(np.uint16)}
    masks = open_source(save(tmp_path, x=GREY > 9, y=Y))
    assert np.unique(masks.read(0)).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no pictures and labels. Received: nothing"),
        ({"a": GREY, "b": Y}, "no pictures and labels. Received: a, b"),
        ({"x": GREY}, "x has no partner"),
        ({"x": GREY, "y_train": Y}, "x has no partner"),
        ({"x": GREY, "images": GREY, "y": Y}, "both x and images would be the pictures"),
        ({"x": GREY.reshape(4, 42), "y": Y}, r"Received: \(4, 42\)"),
        ({"x": GREY[:, :0], "y": Y}, r"Received: \(4, 0, 7\)"),
        ({"x": GREY, "y": Y[:3]}, "x has 4 pictures and y 3 labels"),
        ({"x": GREY, "y": np.eye(4)}, r"one label a picture. Received: \(4, 4\)"),
        ({"x": GREY, "y": Y / 2}, "whole numbers or text. Received: float64"),
        ({"x": GREY, "y": Y + np.inf}, "whole numbers or text"),
        ({"x": GREY + 1j, "y": Y}, "must be numbers. Received: complex"),
        ({"x": np.array([None] * 4), "y": Y}, "holds Python objects, which are pickles"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, content: dict[str, NDArray[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_source(save(tmp_path, **content))
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_number_to_predict_must_be_finite(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"y\[2\] is nan \(1 such values\)"):
        open_source(save(tmp_path, x=GREY, y=np.array([1, 2, np.nan, 3])), task="regression")


@pytest.mark.parametrize("cut", [0, 10, 300, 500])
def test_a_truncated_file_is_damaged(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path, x=GREY, y=Y)
    with open(path, "r+b") as file:
        file.truncate(cut)
    with pytest.raises(DataError, match="is damaged"):
        open_source(path)


def test_a_header_that_lies_about_its_shape_is_damage(tmp_path: Path) -> None:
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9, 9)}"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header + (118).to_bytes(2, "little") + text.ljust(117) + b"\n")
    with pytest.raises(DataError, match="is damaged"):
        open_source(str(tmp_path / "a.npz"))


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2, 1024, 1024), np.uint8), y=Y[:2])
    with pytest.raises(DataError, match="unpacks to"):
        open_source(str(tmp_path / "a.npz"))


def test_the_digits() -> None:
    source = open_source("digits")
    assert len(source.samples) == 1797
    assert source.classes == tuple("0123456789")
    pictures = np.stack([source.read(i) for i in range(1797)])
    assert pictures.dtype == np.uint8
    assert pictures.shape == (1797, 8, 8)
    assert set(np.unique(pictures)) == {round(value * 255 / 16) for value in range(17)}


@pytest.mark.parametrize("value", [1e39, -1e39, np.inf, np.nan])
def test_a_number_that_float32_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"y\[1\] is"):
        arrays.numbers(np.array([1.0, value]), "y")
