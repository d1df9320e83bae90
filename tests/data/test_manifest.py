"""CSV manifests: what they may hold, and errors that name the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from striate.data.manifest import open_csv
from striate.data.sources import Sample, open_source
from striate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1.jpg", "2.jpg", "3, or 4.jpg"):
        (tmp_path / name).write_text(name)
    return tmp_path


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_any_column_order_quotes_and_empty_lines(folder: Path, encoding: str) -> None:
    text = 'note,Label,split,path,group\r\nx,b,Validation,1.jpg,p1\r\n\r\ny,ä,,"3, or 4.jpg",\r\n'
    source = open_csv(manifest(folder, text, encoding))
    assert source.samples == (Sample("1.jpg", "b", "val", "p1"), Sample("3, or 4.jpg", "ä", None, None))
    assert source.classes == ("b", "ä")
    assert source.read(1) == b"3, or 4.jpg"


def test_regression_reads_numbers(folder: Path) -> None:
    source = open_csv(manifest(folder, "path,label\n1.jpg,1.5\n2.jpg,-2e3\n"), task="regression")
    assert [sample.target for sample in source.samples] == [1.5, -2000.0]
    assert source.classes == ()


def test_a_group_may_be_any_column(folder: Path) -> None:
    path = manifest(folder, "path,label,Patient\n1.jpg,a,p1\n2.jpg,b,p2\n")
    assert [sample.group for sample in open_source(str(path), group="Patient").samples] == ["p1", "p2"]
    assert [sample.group for sample in open_source(str(path)).samples] == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.csv is empty"),
        ("file,label\n1.jpg,a\n", "no column path. Received: file, label"),
        ("path;label\n1.jpg;a\n", "no column path"),
        ("path,label,label\n1.jpg,a,b\n", "'label' twice"),
        ("path,label\n1.jpg,a\nno.jpg,b\n\nnor.jpg,b\n", "names 2 files .* first 'no.jpg' in line 3"),
        ("path,label\n.,a\n", "names 1 files"),
        ("path,label\n1\0.jpg,a\n", "list.csv"),
        ("path,label\n1.jpg,\n", "line 2: the label is empty"),
        ("path,label\n3, or 4.jpg,a\n", "line 2: 3 values for 2 columns"),
        ("path,label,split\n1.jpg,a,tset\n", "line 2: unknown split 'tset'"),
        ('path,label\n"1.jpg"x,a\n', "line 2: "),
    ],
)
def test_mistakes_are_named_with_their_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_csv(manifest(folder, text))
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("label", ["many", "nan", "inf", "1,5"])
def test_what_is_no_finite_number_is_named_with_its_line(folder: Path, label: str) -> None:
    with pytest.raises(DataError, match=f"line 3: a label must be a finite number. Received: '{label}'"):
        open_csv(manifest(folder, f'path,label\n1.jpg,1\n2.jpg,"{label}"\n'), task="regression")


def test_a_file_in_another_encoding_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        open_csv(manifest(folder, "path,label\n1.jpg,ä\n", "latin-1"))
