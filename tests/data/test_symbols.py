"""FASTA and lines of text: records, alphabets, codes, and what is refused with its line."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data import symbols
from striate.data.decode import Unreadable
from striate.data.sequence import Sequences
from striate.data.sources import open_source
from striate.errors import DataError
from striate.events import Event, Warned

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data.sources import Source


def folder(root: Path, **files: str | bytes) -> str:
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name.replace("__", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root)


def texts(source: Source) -> list[str]:
    return [bytes(source.read(i)).decode() for i in range(len(source.samples))]


def codes(text: str, alphabet: str, dtype: Any = "uint8") -> list[int]:
    plan = Sequences(modality="symbols", channels=len(alphabet), length=9, alphabet=alphabet, dtype=dtype)
    return [int(code) for code in symbols.decode(text.encode(), plan)[:, 0]]


def test_records_of_any_shape(tmp_path: Path) -> None:
    odd = ">one with words\r\nacgt\r\nAC GT\r\n\r\n> \nTTTT\n\n>three\nNNNN"
    source = open_source(folder(tmp_path / "d", a__fa=odd, b__FASTA="\ufeff>x\nACGU\n"))
    assert texts(source) == ["ACGTACGT", "TTTT", "NNNN", "ACGU"]
    assert [sample.name for sample in source.samples] == ["a.fa:1", "a.fa:5", "a.fa:8", "b.FASTA:1"]
    assert [sample.target for sample in source.samples] == ["a", "a", "a", "b"]
    assert (source.modality, source.alphabet, source.classes) == ("symbols", "ACGT", ("a", "b"))


def test_codes_follow_the_alphabet_and_u_is_t() -> None:
    assert codes("ACGTUN-R", "ACGT") == [1, 2, 3, 4, 4, 5, 5, 5]
    assert codes("MUX", symbols.AMINO_ACIDS) == [11, 21, 21]
    assert codes("\u0431a", "ab\u0431", "uint16") == [3, 1]


def test_an_unknown_letter_may_be_any() -> None:
    plan = Sequences(modality="symbols", channels=4, length=4, alphabet="ACGT", dtype="uint8")
    x = plan.tensor(torch.from_numpy(plan.pixels(symbols.decode(b"TNA", plan))[None]).movedim(2, 1))
    assert x[0].T.tolist() == [[0, 0, 0, 1], [0.25] * 4, [1, 0, 0, 0], [0] * 4]


@pytest.mark.parametrize(
    ("letters", "alphabet"),
    [
        ("ACGT", "ACGT"),
        ("acgun", "ACGT"),
        ("ACGTACGTACGTACGTACGR", "ACGT"),  # one other IUPAC letter in twenty
        ("MKVLAAGICT", symbols.AMINO_ACIDS),
        ("mkvlx*", symbols.AMINO_ACIDS),
    ],
)
def test_the_alphabet_of_fasta(tmp_path: Path, letters: str, alphabet: str) -> None:
    data = folder(tmp_path / "d", a__fa=f">1\n{letters}\n", b__fa=f">1\n{letters[::-1]}\n")
    assert open_source(data).alphabet == alphabet


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", r"b.fa, line 1: FASTA begins with a header \('>first'\). Received: 'ACGT'"),
        ("\n\n1 ACGT", "b.fa, line 3: FASTA begins with a header"),
        (
            ">1\nACGT\n>2\nACETACGTACGTACGTACGTACGT\n",
            "the record in line 3 has 'E', which is no letter of nuc",
        ),
        (">1\nMKVL9\n", "the record in line 1 has '9', which is no letter of"),
        (">1\n>2\nACGT\n", "b.fa, line 1: this record has no letters"),
        (">1\nACGT\n>2\n", "b.fa, line 3: this record has no letters"),
        (b">1\nAC\xffGT\n", "b.fa, line 2: this is no UTF-8 text"),
    ],
    ids=range(7),
)
def test_fasta_that_is_refused_says_where(tmp_path: Path, text: str | bytes, message: str) -> None:
    data = folder(tmp_path / "d", a__fa=">1\nACGT\n", b__fa=text)
    with pytest.raises(DataError, match=message) as error:
        open_source(data)
    assert len(str(error.value).splitlines()) == 2


def test_lines_of_text_in_an_archive_with_split_folders(tmp_path: Path) -> None:
    path = tmp_path / "names.zip"
    events: list[Event] = []
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"names/{split}/en.txt", "Ann\r\n\r\n Bob \r\n")
            archive.writestr(f"names/{split}/fr.txt", "Zoe\u0308\n")
        archive.writestr("names/about.md", "x")
    source = open_source(str(path), emit=events.append)
    assert texts(source) == ["Ann", "Bob", "Zo\u00eb"] * 2
    assert source.samples[4].name == "names/train/en.txt:3"
    assert source.samples[4].split == "train"
    assert source.alphabet == "ABZbno\u00eb"
    assert events == [Warned(f"{path}: 1 files are no sequences and were ignored.")]


def test_the_commonest_250_letters_are_the_alphabet(tmp_path: Path) -> None:
    many = "".join(chr(0x4E00 + i) for i in range(300))
    source = open_source(folder(tmp_path / "d", a__txt=many + "\n" + many[-200:], b__txt="\u4e00"))
    assert len(source.alphabet) == 250
    assert set(many[-200:]) <= set(source.alphabet)
    assert source.alphabet == "".join(sorted(source.alphabet))
    assert codes(many[60], source.alphabet) == [251]


def test_one_file_is_enough_where_no_labels_are_needed(tmp_path: Path) -> None:
    folder(tmp_path / "d", a__txt="anna\nben\n", b__fa=">1\nACGT\n")
    for name, task in (("a.txt", "next-step"), ("b.fa", "reconstruction")):
        source = open_source(str(tmp_path / "d" / name), task=task)
        assert source.classes == ()
        assert {sample.target for sample in source.samples} == {0.0}
    with pytest.raises(DataError, match="all 2 sequences are of one class"):
        open_source(str(tmp_path / "d" / "a.txt"))
    with pytest.raises(DataError, match="regression needs numbers"):
        open_source(str(tmp_path / "d" / "a.txt"), task="regression")


def test_pictures_beside_notes_are_pictures(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a class\n")
    assert open_source(str(tmp_path)).classes == ("cat", "dog")


@given(st.text(min_size=1, max_size=30))
def test_every_letter_has_its_code_back(text: str) -> None:
    try:
        header = symbols.header(text.encode(errors="surrogatepass"))
    except Unreadable:
        assert any("\ud800" <= letter <= "\udfff" for letter in text)
        return
    alphabet = "".join(sorted(set(text)))
    found = codes(text, alphabet)
    assert "".join(alphabet[code - 1] for code in found) == text
    assert header.width == len(found)


def test_no_sequence_is_unreadable() -> None:
    for data, reason in ((b"", "is empty"), (b"\xff", "is no UTF-8 text")):
        with pytest.raises(Unreadable, match=reason):
            symbols.header(data)
