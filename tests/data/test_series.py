"""Series of numbers: both forms of CSV, npz and mat, and errors that name line and column."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from striate.data import series
from striate.data.decode import Unreadable
from striate.data.sequence import Sequences
from striate.data.sources import Sample, Source, open_source
from striate.data.survey import survey
from striate.errors import DataError

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).parents[3] / "shared" / "data"))
PLAN = Sequences(modality="series", channels=1, length=4)


def table(tmp_path: Path, text: str, name: str = "data.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def values(source: Source) -> list[list[Any]]:
    return [np.asarray(source.read(i)).tolist() for i in range(len(source.samples))]


# ---- CSV --------------------------------------------------------------------------------------------


def test_a_row_a_series(tmp_path: Path) -> None:
    text = "id,label,t0,t1,t2,split,group\n7,up,1,2,3.5,train,p1\n8,down,3,2e0,-1,,\n"
    source = open_source(table(tmp_path, text))
    assert source.samples == (
        Sample("data.csv:2", "up", "train", "p1"),
        Sample("data.csv:3", "down", None, None),
    )
    assert (source.modality, source.classes) == ("series", ("down", "up"))
    assert values(source) == [[[1], [2], [3.5]], [[3], [2], [-1]]]
    assert [header.width for header in survey(source).readable] == [3, 3]


LONG = "series,time,x,y,label\nb,10,1,2,up\na,0,5,6,down\nb,9,3,4,up\na,1,7,8,down\na,2,9,9,down\n"


def test_a_row_a_step_in_the_order_of_time(tmp_path: Path) -> None:
    source = open_source(table(tmp_path, LONG))
    assert [(s.name, s.target) for s in source.samples] == [("data.csv:b", "up"), ("data.csv:a", "down")]
    assert values(source) == [[[3, 4], [1, 2]], [[5, 6], [7, 8], [9, 9]]]
    assert (survey(source).channels, survey(source).sizes[:, 0].tolist()) == (2, [2, 3])


def test_labels_are_numbers_or_not_needed(tmp_path: Path) -> None:
    path = table(tmp_path, "label,a,b\n1.5,1,2\n-2,3,4\n")
    source = open_source(path, task="regression")
    assert ([s.target for s in source.samples], source.classes) == ([1.5, -2.0], ())
    for task in ("next-step", "reconstruction"):
        source = open_source(table(tmp_path, "a,b\n1,2\n3,4\n"), task=task)
        assert ([s.target for s in source.samples], source.classes) == ([0.0, 0.0], ())


def test_a_group_may_be_any_column(tmp_path: Path) -> None:
    source = open_source(table(tmp_path, "label,a,b,patient\nx,1,2,p1\ny,3,4,p2\n"), group="patient")
    assert [sample.group for sample in source.samples] == ["p1", "p2"]
    assert values(source)[0] == [[1], [2]]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3), min_size=2, max_size=5))
def test_numbers_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]
) -> None:
    text = "a,b,c\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows)
    source = open_source(table(tmp_path_factory.mktemp("d"), text), task="reconstruction")
    assert [[step for (step,) in series] for series in values(source)] == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,a,b\nx,1,2\ny,1\n", "line 3: 2 values for 3 columns"),
        ("label,a,b\nx,1,\ny,1,2\n", "line 2: the value in column b is missing"),
        ("label,a,b\nx,1,2\ny,NaN,2\n", "line 3: the value in column a is no finite number: 'NaN'"),
        ("label,a,b\nx,1,2\ny,1,1e40\n", "line 3: the value in column b is no finite number: '1e40'"),
        ("label,a,b\nx,1,2\n,1,1\n", "line 3: the label is empty"),
        ("label,a,b,split\nx,1,2,tset\n", "line 2: unknown split 'tset'"),
        ("a,b\n1,2\n", "has no column label. Received: a, b"),
        ("label,file,size\nx,1.jpg,3\n", "column file is no finite number: '1.jpg'"),
        ("series,time,x,label\na,1,5,u\na,1.0,6,u\n", "line 3: time 1.0 twice in series 'a'"),
        ("series,time,x,label\na,1,5,u\na,2,6,v\n", "line 3: the label of series 'a' is 'v' here and 'u'"),
        ("series,step,x,label\na,first,5,u\n", "line 2: the value in column step is no finite number"),
        ("series,step,x,label\na,1,5,u\nb,2,6,u\n", "all 2 sequences are of one class"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        open_source(table(tmp_path, text))
    assert message in error.value.message
    assert len(str(error.value).splitlines()) == 2


def test_a_csv_of_files_stays_one(tmp_path: Path) -> None:
    for name in ("1.wav", "2.flac", "3.jpg"):
        (tmp_path / name).write_bytes(b"")
    source = open_source(table(tmp_path, "path,label,t0,t1\n1.wav,a,1,2\n2.flac,b,1,2\n3.jpg,b,1,2\n"))
    assert (source.modality, source.read(0)) == ("sound", b"")
    assert open_source(table(tmp_path, "path,label\n3.jpg,a\n1.wav,b\n")).modality == "pictures"
    assert open_source(table(tmp_path, "path\n1.wav\n"), task="reconstruction").classes == ()


# ---- arrays -----------------------------------------------------------------------------------------


def saved(tmp_path: Path, **found: Any) -> str:
    np.savez(tmp_path / "data.npz", **found)
    return str(tmp_path / "data.npz")


def test_arrays_of_equal_length(tmp_path: Path) -> None:
    source = open_source(saved(tmp_path, series=np.arange(6).reshape(2, 3), y=np.array([1, 0])))
    assert values(source) == [[[0], [1], [2]], [[3], [4], [5]]]
    assert [s.name for s in source.samples] == ["data[0]", "data[1]"]
    many = np.arange(12.0).reshape(2, 3, 2)
    source = open_source(saved(tmp_path, sequences_train=many, sequences_test=many), task="next-step")
    assert [(s.name, s.split) for s in source.samples][1:3] == [("train[1]", "train"), ("test[0]", "test")]
    assert values(source)[:2] == many.tolist()


def test_unequal_lengths_padded_with_nan_or_joined(tmp_path: Path) -> None:
    nan = np.nan
    padded = np.array([[1, 2, nan], [3, nan, nan]])
    source = open_source(saved(tmp_path, sequences=padded, labels=np.array(["a", "b"])))
    assert values(source) == [[[1], [2]], [[3]]]
    joined = {"values": np.arange(10).reshape(5, 2), "lengths": np.array([2, 3]), "y": np.array([0, 1])}
    source = open_source(saved(tmp_path, **joined))
    assert values(source) == [[[0, 1], [2, 3]], [[4, 5], [6, 7], [8, 9]]]
    assert [s.target for s in source.samples] == ["0", "1"]


def test_a_hole_in_a_series_makes_it_unreadable(tmp_path: Path) -> None:
    holes = np.array([[1, np.nan, 2], [3, 4, 5], [np.nan, np.nan, np.nan], [1, 2, np.inf]])
    source = open_source(saved(tmp_path, series=holes), task="reconstruction")
    found = survey(source).unreadable
    assert found[0].endswith("the first at step 1")
    assert "no series of numbers" in found[2]
    assert found[3].endswith("the first at step 2")
    assert [header.width for header in survey(source).readable] == [3]
    with pytest.raises(Unreadable, match="step 0, channel 1"):
        series.decode(np.array([[1, np.nan]]), PLAN)


def test_other_channels_than_most_are_left_out(tmp_path: Path) -> None:
    cells = np.empty(3, object)
    cells[:] = [np.ones((4, 2)), np.ones((5, 2)), np.ones((4, 3))]
    savemat(tmp_path / "a.mat", {"data": cells})
    source = open_source(str(tmp_path / "a.mat"), task="next-step")
    assert survey(source).unreadable == {2: "3 channels, where most sequences have 2"}


def test_cells_of_a_mat_file(tmp_path: Path) -> None:
    train, test = np.empty(2, object), np.empty(1, object)
    train[:] = [np.ones((4, 3), np.uint8), np.zeros((2, 3), np.uint8)]
    test[0] = np.full((3, 3), 2.0)
    savemat(tmp_path / "rolls.mat", {"traindata": train, "testdata": test, "fs": 4.0})
    source = open_source(str(tmp_path / "rolls.mat"), task="next-step")
    assert [(s.name, s.split) for s in source.samples] == [
        ("train[0]", "train"), ("train[1]", "train"), ("test[0]", "test"),
    ]  # fmt: skip
    assert [np.shape(each) for each in values(source)] == [(4, 3), (2, 3), (3, 3)]
    savemat(tmp_path / "labelled.mat", {"x": np.ones((2, 5)), "labels": np.array([[1.0], [2.0]])})
    assert open_source(str(tmp_path / "labelled.mat")).classes == ("1", "2")


def test_the_chorales() -> None:
    source = open_source(str(SHARED / "jsb-chorales.mat"), task="next-step")
    counts = [sum(s.split == split for s in source.samples) for split in ("train", "val", "test")]
    assert counts == [229, 76, 77]
    found = survey(source)
    assert (found.channels, found.unreadable) == (88, {})
    # Four voices sing, sometimes two of them the same note.
    keys = np.mean([np.asarray(source.read(i)).sum(1).mean() for i in range(len(source.samples))])
    assert 3 < keys < 4.1


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"series": np.ones((2, 3))}, "data.npz has no labels for its 2 sequences"),
        ({"series": np.ones((2, 3)), "y": np.ones(3, int)}, "data.npz: y has 3 labels for 2 sequences"),
        ({"series": np.ones(3), "y": np.ones(3, int)}, "series is float64 of shape (3,), no sequences"),
        ({"series": np.array([["a"]]), "y": np.ones(1, int)}, "no sequences"),
        ({"values": np.ones(5), "lengths": np.array([2, 2]), "y": np.ones(2, int)}, "add up to 5, the steps"),
        ({"values": np.ones(5), "lengths": np.array([0, 5]), "y": np.ones(2, int)}, "add up to 5, the steps"),
        ({"series": np.ones((2, 3)), "sequences": np.ones((2, 3))}, "two arrays would be the steps"),
        ({"lengths": np.ones(3, int)}, "data.npz: no sequences. Received: lengths"),
    ],
    ids=range(8),
)
def test_arrays_that_do_not_fit(tmp_path: Path, found: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        open_source(saved(tmp_path, **found))
    assert message in error.value.message
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    "data", [b"", b"MATLAB 5.0", b"x" * 500, b"MATLAB 7.3 MAT-file" + bytes(105) + b"\0\2IM" + bytes(64)]
)
def test_a_mat_file_that_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError) as error:
        open_source(str(tmp_path / "a.mat"))
    assert len(str(error.value).splitlines()) == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=20))
def test_a_damaged_mat_file_is_told_in_two_lines(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    good = (SHARED / "jsb-chorales.mat").read_bytes()
    path = tmp_path_factory.mktemp("d") / "a.mat"
    path.write_bytes(good[:at] + junk + good[at + len(junk) : 6000])
    with pytest.raises(DataError):
        open_source(str(path), task="next-step")


def test_a_sparse_matrix_of_matlab_is_read(tmp_path: Path) -> None:
    from scipy.io import savemat
    from scipy.sparse import csr_matrix

    savemat(tmp_path / "d.mat", {"traindata": csr_matrix(np.eye(4))})
    source = open_source(str(tmp_path / "d.mat"), task="next-step")
    np.testing.assert_array_equal(np.array([np.asarray(source.read(i))[:, 0] for i in range(4)]), np.eye(4))
