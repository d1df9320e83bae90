"""Tell which kind of data a path holds, and open it."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING

from striate.data.sources import UNLABELLED, Source
from striate.errors import DataError
from striate.events import Emit, ignore

if TYPE_CHECKING:
    from pathlib import Path

    from striate.data.listing import Listing


def open_path(
    path: Path, task: str, group_column: str | None, *, by_name: bool = False, emit: Emit = ignore
) -> Source:
    """Open a folder, an archive or a file of any kind.

    group_column: of a CSV.   by_name: the files' names hold the labels, so that no folders have to.
    Raises DataError for what cannot be read, or does not suit the task.
    """
    from striate.data import arrays, idx, listing, manifest, series_arrays, series_table

    if path.is_dir():
        return _open_files(listing.folder(path, emit), task, by_name=by_name, emit=emit)
    kind = _kind_of_file(path)
    if by_name and kind not in {"zip", "tar"}:
        raise DataError(
            f"--label-pattern takes apart the names of files, and {path.name} is one file.",
            "Leave it away, or give a folder, a zip or a tar of pictures or sounds.",
        )
    if kind == "csv":
        if series_table.is_series(manifest.columns(path)):
            return series_table.open_csv(path, task=task, group_column=group_column)
        return manifest.open_csv(path, task=task, group_column=group_column, emit=emit)
    if kind == "npz":
        held = arrays.read_npz(path)
        if series_arrays.named(held):
            return series_arrays.open_arrays(path.name, "npz", held, task=task)
        return arrays.open_npz(path, task=task, emit=emit)
    if kind == "mat":
        return series_arrays.open_arrays(path.name, "mat", series_arrays.read_mat(path), task=task)
    if kind == "idx":
        return with_classes(task, idx.open_file(path))
    if kind in {"fasta", "text"}:
        return _open_files(listing.one_file(path, kind), task, by_name=False, emit=emit)
    found = listing.open_zip(path) if kind == "zip" else listing.open_tar(path, emit)
    return _open_files(found, task, by_name=by_name, emit=emit)


def with_classes(task: str, source: Source) -> Source:
    """Refuse regression where the data have classes. Raises DataError."""
    if task == "regression":
        raise DataError(
            f"{source.name} has classes, and regression needs numbers.",
            "Name the files and their numbers in a CSV (path,label) or an npz, or leave --task away.",
        )
    return source


def _open_files(found: Listing, task: str, *, by_name: bool, emit: Emit) -> Source:
    from striate.data import cifar, folders, idx, sound, symbols

    flat = by_name or task in UNLABELLED
    if idx.holds(found):
        return with_classes(task, idx.open_listing(found))
    if cifar.holds(found):
        return with_classes(task, cifar.open_listing(found))
    endings = Counter(posixpath.splitext(name)[1].lower() for name in found.files)
    pictures, sounds, fasta, text = (
        sum(endings[ending] for ending in kind)
        for kind in (folders.PICTURES, sound.ENDINGS, symbols.FASTA, symbols.TEXT)
    )
    if not pictures and not sounds and (fasta or text) and not by_name:
        return with_classes(task, symbols.open_listing(found, symbols.FASTA if fasta else symbols.TEXT, emit))
    kind = folders.SOUNDS if sounds > pictures else folders.PHOTOS
    source = folders.flat(found, kind, emit) if flat else folders.class_folders(found, emit, kind)
    return source if by_name else with_classes(task, source)


def _kind_of_file(path: Path) -> str:
    """Tell what a file is: archives by their first bytes, the others by their names."""
    from striate.data import idx, listing, symbols

    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder.", "Devices and pipes cannot be read twice.")
    suffix = path.suffix.lower()
    named = {".csv": "csv", ".tsv": "csv", ".npz": "npz", ".mat": "mat"}
    named |= dict.fromkeys(symbols.FASTA, "fasta") | dict.fromkeys(symbols.TEXT, "text")
    if suffix in named:
        return named[suffix]
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise listing.unreadable(path, error) from error
    if idx.named(path.name) or idx.starts(start):
        return "idx"
    if start[:2] == b"PK":
        return "zip"
    if start[:2] in listing.COMPRESSED or start[257:262] == b"ustar":
        return "tar"
    what = "is empty" if not start else "is not a kind of data that striate reads"
    if suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}:
        raise DataError(
            f"{path} is a pickle, which is refused: opening one can run code.", "Save it as .npz."
        )
    raise DataError(
        f"{path} {what}.",
        "Give a folder per class, a zip or tar of it, IDX, CIFAR (binary), npz, mat, CSV, FASTA, text, or a "
        "data set's name.",
    )
