"""One folder per class, with or without train, val and test folders above: in a folder, a zip or a tar."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

from striate.data.sources import Sample, Source, in_order, split_name
from striate.errors import DataError
from striate.events import Emit, Note, Warned, ignore

if TYPE_CHECKING:
    from striate.data.listing import Listing

PICTURES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".heic", ".heif", ".jp2", ".j2k", ".tga", ".ico", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".sgi",
}  # fmt: skip
SHAPE = "Make one folder per class (photos/cat/1.jpg, photos/dog/2.jpg), or name files and labels in a CSV."


def class_folders(listing: Listing, emit: Emit = ignore) -> Source:
    """Take each folder's name as the class of all pictures below it.

    Pictures are told by their names' endings; one that then cannot be decoded is found later. Other files
    are ignored and counted in one warning, as are pictures outside the class folders. One folder around
    everything is looked through, and a note says so: it might have been meant as a class.
    Raises DataError where there are no pictures or no class folders.
    """
    pictures = [name for name in listing.files if _ending(name) in PICTURES]
    _warn_of_others(listing, pictures, emit)
    if not pictures:
        raise DataError(f"{listing.where} holds no pictures ({len(listing.files)} other files).", SHAPE)
    top = _wrapping(listing, pictures)
    splits = _split_folders(listing.where, pictures, top)
    depth = len(top) + (1 if splits else 0)
    samples, outside = [], []
    for name in pictures:
        parts = name.split("/")
        if len(parts) <= depth + 1:
            outside.append(name)
            continue
        split = splits[parts[len(top)]] if splits else None
        samples.append(Sample(name, parts[depth], split))
    if not samples:
        _no_classes(listing.where, pictures)
    if outside:
        emit(Warned(
            f"{listing.where}: {len(outside)} pictures lie in no class folder and were left out, "
            f"the first is {outside[0]}."
        ))  # fmt: skip
    classes = in_order(parts[depth] for parts in _split(listing.folders) if _is_class(parts, top, splits))
    if top:
        some = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
        emit(
            Note(f"{listing.where}: all pictures lie in {top[0]}, which is no class; the classes are {some}.")
        )
    return Source(
        name=listing.name,
        kind=listing.kind,
        samples=tuple(samples),
        classes=classes,
        read=lambda i: listing.read(samples[i].name),
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


def _warn_of_others(listing: Listing, pictures: list[str], emit: Emit) -> None:
    kinds = Counter(_ending(name) or "no ending" for name in listing.files)
    others = {kind: n for kind, n in kinds.most_common() if kind not in PICTURES}
    if pictures and others:
        some = ", ".join(f"{n} {kind}" for kind, n in list(others.items())[:3])
        emit(
            Warned(
                f"{listing.where}: {sum(others.values())} files are no pictures and were ignored ({some})."
            )
        )


def _no_classes(where: str, pictures: list[str]) -> NoReturn:
    raise DataError(
        f"{where} holds {len(pictures)} pictures but no class folders, the first is {pictures[0]}.", SHAPE
    )
