"""Folders of picture or sound files, in a folder, a zip or a tar: one per class, or all together.

Either way there may be train, val and test folders above.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.data import sound
from striate.data.sources import NOUNS, Sample, Source, in_order, split_name
from striate.errors import DataError
from striate.events import Emit, Note, Warned, ignore

if TYPE_CHECKING:
    from striate.data.listing import Listing

PICTURES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".heic", ".heif", ".jp2", ".j2k", ".tga", ".ico", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".sgi",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of files: the endings that tell it, and what a person calls them."""

    modality: str
    endings: frozenset[str]
    hint: str

    @property
    def noun(self) -> str:
        """What a person calls them."""
        return NOUNS[self.modality]


PHOTOS = Kind(
    "pictures",
    frozenset(PICTURES),
    "Make one folder per class (photos/cat/1.jpg, photos/dog/2.jpg), name files and labels in a CSV, or say "
    "with --label-pattern what names say.",
)
SOUNDS = Kind(
    "sound",
    frozenset(sound.ENDINGS),
    "Make one folder per class (words/yes/1.wav, words/no/2.wav), name files and labels in a CSV, or say "
    "with --label-pattern what names say.",
)


def class_folders(listing: Listing, emit: Emit = ignore, kind: Kind = PHOTOS) -> Source:
    """Take each folder's name as the class of all files of a kind below it.

    Pictures and sounds are told by their names' endings; one that then cannot be decoded is found later.
    Other files are ignored and counted in one warning, as are those outside the class folders. One folder
    around everything is looked through, and a note says so: it might have been meant as a class.
    Raises DataError where there are no such files or no class folders.
    """
    names, top, splits = _files(listing, kind, emit)
    depth = len(top) + (1 if splits else 0)
    samples, outside = [], []
    for name in names:
        parts = name.split("/")
        if len(parts) <= depth + 1:
            outside.append(name)
            continue
        split = splits[parts[len(top)]] if splits else None
        samples.append(Sample(name, parts[depth], split))
    if not samples:
        raise DataError(
            f"{listing.where} holds {len(names)} {kind.noun} but no class folders, the first is {names[0]}.",
            kind.hint,
        )
    if outside:
        emit(Warned(
            f"{listing.where}: {len(outside)} {kind.noun} lie in no class folder and were left out, "
            f"the first is {outside[0]}."
        ))  # fmt: skip
    classes = in_order(parts[depth] for parts in _split(listing.folders) if _is_class(parts, top, splits))
    if top:
        some = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
        emit(Note(
            f"{listing.where}: all {kind.noun} lie in {top[0]}, which is no class; the classes are {some}."
        ))  # fmt: skip
    return _source(listing, kind, samples, classes)


def flat(listing: Listing, kind: Kind, emit: Emit = ignore) -> Source:
    """Take all files of a kind, wherever they lie; their labels are not known.

    Raises DataError where there are none.
    """
    names, top, splits = _files(listing, kind, emit)
    samples = [Sample(name, 0.0, splits.get(name.split("/")[len(top)])) for name in names]
    return _source(listing, kind, samples, ())


def _files(listing: Listing, kind: Kind, emit: Emit) -> tuple[list[str], tuple[str, ...], dict[str, str]]:
    """Give the files of a kind, the folder around everything and the folders that are splits."""
    names = [name for name in listing.files if _ending(name) in kind.endings]
    if not names:
        raise DataError(
            f"{listing.where} holds no pictures, sounds or sequences ({len(listing.files)} other files).",
            kind.hint,
        )
    _warn_of_others(listing, kind, emit)
    top = _wrapping(listing, names)
    return names, top, _split_folders(listing.where, names, top)


def _source(listing: Listing, kind: Kind, samples: list[Sample], classes: tuple[str, ...]) -> Source:
    return Source(
        name=listing.name,
        kind=listing.kind,
        samples=tuple(samples),
        classes=classes,
        read=lambda i: listing.read(samples[i].name),
        modality=kind.modality,
    )


def _wrapping(listing: Listing, pictures: list[str]) -> tuple[str, ...]:
    """Find the one folder that some archives put around everything, unless it is a class or a split."""
    tops = {parts[0] for parts in _split(listing.folders)}
    if len(tops) != 1 or any(name.count("/") < 2 for name in pictures):
        return ()
    (only,) = tops
    return () if split_name(only) else (only,)


def _split_folders(where: str, pictures: list[str], top: tuple[str, ...]) -> dict[str, str]:
    """Map the folders that name splits to "train", "val" or "test"; empty where the folders are classes."""
    inner = [parts[len(top) :] for parts in _split(pictures) if len(parts) > len(top) + 1]
    names = sorted({parts[0] for parts in inner})
    splits = {name: split for name in names if (split := split_name(name))}
    if len(splits) == len(names):
        return splits
    # "train" may be a class among vehicles: it is a split only where the folders in it hold the pictures.
    nested = {parts[0] for parts in inner if len(parts) > 2}
    if len(set(splits.values())) > 1 and nested & set(splits):
        others = [name for name in names if name not in splits]
        raise DataError(
            f"{where} holds split folders ({', '.join(splits)}) and other folders with pictures beside "
            f"them ({', '.join(others[:3])}).",
            "Move the others away, or into the split folders as classes.",
        )
    return {}


def _is_class(parts: list[str], top: tuple[str, ...], splits: dict[str, str]) -> bool:
    depth = len(top) + (1 if splits else 0)
    return len(parts) == depth + 1 and (not splits or parts[len(top)] in splits)


def _split(names: tuple[str, ...] | list[str]) -> list[list[str]]:
    return [name.split("/") for name in names]


def _ending(name: str) -> str:
    return posixpath.splitext(name)[1].lower()  # a Path for each of many thousand names takes half a second


def _warn_of_others(listing: Listing, kind: Kind, emit: Emit) -> None:
    found = Counter(_ending(name) or "no ending" for name in listing.files)
    others = {ending: n for ending, n in found.most_common() if ending not in kind.endings}
    if others:
        some = ", ".join(f"{n} {ending}" for ending, n in list(others.items())[:3])
        emit(Warned(
            f"{listing.where}: {sum(others.values())} files are no {kind.noun} and were ignored ({some})."
        ))  # fmt: skip
