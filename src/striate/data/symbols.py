"""Sequences of symbols: FASTA records and lines of text, one sequence each, over an alphabet.

FASTA: upper case is lower case. Where nine letters in ten are A, C, G, T, U or N the records are nucleic
acids: U is T, and every other IUPAC letter (N, R, Y, ..., and - for a gap) is unknown. Else they are
proteins: 20 amino acids; B, J, O, U, X, Z, - and * are unknown. Any other character is refused.
Text: UTF-8, normalised to NFC, a line a sequence, blank lines skipped; the alphabet is the letters that
occur, at most the 250 commonest. What is not in the alphabet is unknown, which the network sees as 1/K each.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from striate.data.decode import Header, Unreadable
from striate.data.sources import Sample, Source, in_order, split_name
from striate.errors import DataError
from striate.events import Emit, Warned, ignore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from striate.data.listing import Listing
    from striate.data.sequence import Sequences

FASTA = {".fa", ".fasta", ".fna", ".faa", ".ffn", ".frn"}
TEXT = {".txt"}
NUCLEOTIDES, AMINO_ACIDS = "ACGT", "ACDEFGHIKLMNPQRSTVWY"
MAYBE = {NUCLEOTIDES: set("ACGTURYSWKMBDHVN-"), AMINO_ACIDS: set("ABCDEFGHIJKLMNOPQRSTUVWXYZ-*")}
MOSTLY = 0.9  # of nucleotides among a nucleic acid's letters; of a protein's about a quarter are
MOST_LETTERS = 250
ONE_A_CLASS = "Give one file a class (arabic.txt, english.txt), one sequence a line."

Entry = tuple[int, str]  # line number, sequence


def header(data: bytes) -> Header:
    """Count a sequence's letters: ``width``. Raises Unreadable for one that is empty or no UTF-8.

    >>> header(b"ACGT").width
    4
    """
    letters = _text(data)
    return Header(len(letters), 1, 1, "uint8" if len(set(letters)) <= MOST_LETTERS else "uint16", "letters")


def decode(data: bytes, preprocess: Sequences) -> NDArray[Any]:
    """Number a sequence's letters by ``preprocess.alphabet``.

    Returns: (n, 1) of ``preprocess.dtype``: 1..K in the alphabet's order, K + 1 where unknown.
    Raises Unreadable.
    """
    alphabet, letters = preprocess.alphabet, _text(data)
    if alphabet == NUCLEOTIDES:
        letters = letters.replace("U", "T")
    place = {letter: number for number, letter in enumerate(alphabet, 1)}
    codes = [place.get(letter, len(alphabet) + 1) for letter in letters]
    return np.array(codes, preprocess.dtype)[:, None]


def open_listing(listing: Listing, endings: set[str], emit: Emit = ignore) -> Source:
    """Open the FASTA or text files of a folder or an archive: one file a class, named by its stem.

    Other files are ignored and counted in one warning. A folder named train, val or test above them is their
    split; other folders say nothing.
    Raises DataError with the file's line for what is no FASTA, no text or no letter.
    """
    names = [name for name in listing.files if posixpath.splitext(name)[1].lower() in endings]
    others = len(listing.files) - len(names)
    if others:
        emit(Warned(f"{listing.where}: {others} files are no sequences and were ignored."))
    parsed = {name: list(_entries(name, listing.read(name), fasta=endings is FASTA)) for name in names}
    samples: list[Sample] = []
    texts: list[str] = []
    for name, entries in parsed.items():
        parts = name.split("/")
        split = next((found for part in parts[:-1] if (found := split_name(part))), None)
        label = posixpath.splitext(parts[-1])[0]
        samples += [Sample(f"{name}:{line}", label, split) for line, _ in entries]
        texts += [text for _, text in entries]
    alphabet = _fasta_alphabet(parsed) if endings is FASTA else _letters(texts)
    return Source(
        name=listing.name,
        kind=listing.kind,
        samples=tuple(samples),
        classes=in_order(posixpath.splitext(posixpath.basename(name))[0] for name in names),
        read=lambda i: texts[i].encode(),
        modality="symbols",
        alphabet=alphabet,
    )


def _entries(name: str, data: bytes, *, fasta: bool) -> Iterator[Entry]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{name}, line {line}: this is no UTF-8 text.", "Save the file as UTF-8.") from error
    lines = enumerate((line.strip() for line in text.replace("\r\n", "\n").split("\n")), 1)
    filled = ((number, line) for number, line in lines if line)
    if fasta:
        yield from _records(name, filled)
    else:
        yield from ((number, unicodedata.normalize("NFC", line)) for number, line in filled)


def _records(name: str, lines: Iterator[Entry]) -> Iterator[Entry]:
    start, parts = 0, list[str]()
    for number, line in lines:
        if line.startswith(">"):
            if start:
                yield start, _joined(name, start, parts)
            start, parts = number, []
        elif not start:
            raise DataError(
                f"{name}, line {number}: FASTA begins with a header ('>first'). Received: {line[:20]!r}.",
                "Put one above each sequence; one sequence a line and no headers is text (.txt).",
            )
        else:
            parts.append(line.upper())
    if start:
        yield start, _joined(name, start, parts)


def _joined(name: str, line: int, parts: list[str]) -> str:
    if not parts:
        raise DataError(f"{name}, line {line}: this record has no letters.", "Take the record out.")
    return "".join("".join(part.split()) for part in parts)


def _fasta_alphabet(parsed: dict[str, list[Entry]]) -> str:
    counts = Counter[str]()
    for entries in parsed.values():
        for _, text in entries:
            counts.update(text)
    nucleotides = sum(counts[letter] for letter in "ACGTUN")
    alphabet = NUCLEOTIDES if nucleotides >= MOSTLY * counts.total() else AMINO_ACIDS
    if set(counts) - MAYBE[alphabet]:
        _foreign(parsed, alphabet)
    return alphabet


def _foreign(parsed: dict[str, list[Entry]], alphabet: str) -> NoReturn:
    kind = "nucleic acids" if alphabet == NUCLEOTIDES else "proteins"
    name, line, letter = next(
        (name, line, letter)
        for name, entries in parsed.items()
        for line, text in entries
        for letter in text
        if letter not in MAYBE[alphabet]
    )
    raise DataError(
        f"{name}: the record in line {line} has {letter!r}, which is no letter of {kind}.",
        f"Known are {''.join(sorted(MAYBE[alphabet]))}, in either case; correct it or take the record out.",
    )


def _letters(texts: list[str]) -> str:
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    # Of letters that occur equally often the earlier in Unicode's order is kept, whatever the files' order.
    kept = sorted(counts, key=lambda letter: (-counts[letter], letter))[:MOST_LETTERS]
    return "".join(sorted(kept))


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("is no UTF-8 text") from error
    if not text:
        raise Unreadable("is empty")
    return text
