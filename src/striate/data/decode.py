"""From a file's bytes to its pixels, by one stated rule for every kind of picture (docs/data.md).

JPEG goes through simplejpeg where its pixels equal Pillow's (ordinary grey and colour files), multi-channel
TIFF through tifffile, everything else through Pillow, whose process-wide settings are left alone.
A file that cannot be read rightly is not read at all: :class:`Unreadable` says why in a few words.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from PIL import Image, ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_PIXELS = 100_000_000
"""A picture of more pixels is refused from its header, before any memory is asked for."""

# No EPS or PDF: Pillow would start Ghostscript on them.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO")
WORDS = {"1": "1-bit", "L": "grey", "LA": "grey+alpha", "I;16": "grey 16-bit", "I;16B": "grey 16-bit"}
WORDS |= {"I": "grey 32-bit", "F": "grey float", "P": "palette", "PA": "palette"}
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
TRUNCATED = "cut off: the file ends before the picture does"


class Unreadable(Exception):  # noqa: N818 - a state of a file, never shown as a traceback
    """A file that is left out; ``reason`` is a few plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself: pixels as they will be decoded, upright.

    channels: 1 grey, 3 colour, else as many as the file holds.   dtype: "uint8", "uint16" or "float32".
    mode: for people, such as "JPEG RGB" or "GIF palette, animated, first frame".
    rate: samples a second, of a sound; a sequence's width is its steps, and its height is 1.
    """

    width: int
    height: int
    channels: int
    dtype: str
    mode: str
    rate: int = 0


def header(data: bytes | NDArray[Any]) -> Header:
    """Read size, channels and depth without decoding pixels.

    data: a file's bytes, or an array (H, W) or (H, W, C).   Raises Unreadable.
    """
    if isinstance(data, np.ndarray):
        array = _as_picture(data)
        height, width, channels = array.shape
        return Header(width, height, channels, array.dtype.name, f"array {_counted(channels)} {data.dtype}")
    found = _jpeg(data)
    if found is not None:
        width, height, channels, turn = found
        mode = f"JPEG {_counted(channels)}{_turned(turn)}"
        return Header(*_size(width, height, turn), channels, "uint8", mode)
    with _foreign():
        special = _tiff(data)
        if special is not None:
            height, width, channels = special.shape
            mode = special.mode + _turned(special.turn)
            return Header(*_size(width, height, special.turn), channels, special.dtype, mode)
        return _describe(_open(data))


def decode(data: bytes | NDArray[Any], channels: int, dtype: str, enough: int = 0) -> NDArray[Any]:
    """Decode one picture, upright.

    data: a file's bytes, or an array (H, W) or (H, W, C).   channels: 1 grey, 3 colour, or the file's own.
    dtype: "uint8", "uint16" or "float32".   enough: a JPEG may be decoded at the smallest eighth of its size
    whose shorter side is at least that; 0 is whole.   Returns (H, W, channels).   Raises Unreadable.

    >>> decode(np.array([[[255, 0, 0]]], np.uint8), channels=1, dtype="uint16").item()
    19532
    """
    picture = _as_picture(data) if isinstance(data, np.ndarray) else _from_bytes(data, enough)
    if picture.dtype == np.float32 and not np.isfinite(picture).all():
        raise Unreadable("holds pixels that are no numbers (NaN or infinite)")
    return _to_depth(_to_channels(picture, channels), np.dtype(dtype))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what Pillow and tifffile have to say about odd files while many are read.

    Python's warning filters belong to the whole process, so only one thread, the one that reads, enters this.
    """
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        log.disabled = before


def from_image(image: Image.Image) -> NDArray[Any]:
    """Give an opened Pillow picture's pixels (H, W, C) by the rules for files: upright, alpha on white."""
    return _upright(_shallow(image), _orientation(image))


def _from_bytes(data: bytes, enough: int) -> NDArray[Any]:
    found = _jpeg(data)
    if found is not None:
        with contextlib.suppress(ValueError):  # Pillow judges what libjpeg only warns about
            return _upright(_jpeg_pixels(data, found[2], enough), found[3])
    with _foreign():
        special = _tiff(data)
        if special is not None:
            return _upright(special.read(), special.turn)
        image = _open(data)
        pixels = _deep(image, data) if _is_deep(image) else _shallow(image)
        return _upright(pixels, _orientation(image))


def _jpeg(data: bytes) -> tuple[int, int, int, int] | None:
    """Give (width, height, channels, orientation) of a JPEG that simplejpeg decodes as Pillow does."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # KeyError: simplejpeg's word for a layout that it does not know
        return None
    if space not in {"YCbCr", "Gray"}:
        return None
    refuse_huge(width, height)
    # Opening a file with Pillow costs 20 times this header: only where a camera or editor left its mark.
    marked = any(data.find(mark, 0, 1 << 17) >= 0 for mark in (b"Exif\0\0", b"http://ns.adobe.com/xap"))
    turn = 1
    if marked:
        with _foreign():
            turn = _orientation(_open(data))
    return width, height, 1 if space == "Gray" else 3, turn


def _jpeg_pixels(data: bytes, channels: int, enough: int) -> NDArray[Any]:
    space = "GRAY" if channels == 1 else "RGB"
    try:
        pixels: NDArray[Any] = simplejpeg.decode_jpeg(data, space, min_height=enough, min_width=enough)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise Unreadable(TRUNCATED) from error
        raise
    return pixels


def _open(data: bytes) -> Image.Image:
    """Do what Image.open does, without its process-wide pixel limit and that limit's warnings."""
    if not data:
        raise Unreadable("empty file")
    Image.init()
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is not None and accepts is not None and accepts(data[:16]) is True:
            image: Image.Image = factory(io.BytesIO(data), "")
            refuse_huge(*image.size)
            return image
    if data[4:8] == b"ftyp" and data[8:12] in HEIC:
        raise Unreadable("HEIC, which is not read: save it as JPEG or PNG")
    raise Unreadable("not a picture")


def _tiff(data: bytes) -> Any:
    if data[:4] not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return None
    from striate.data import tiff

    return tiff.special(data)


@contextlib.contextmanager
def _foreign() -> Iterator[None]:
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if isinstance(error, EOFError) or any(
            word in text.lower() for word in ("truncated", "unpack requires")
        ):
            raise Unreadable(TRUNCATED) from error
        if "imagecodecs" in text:  # tifffile lacks it, and the file is sound
            raise Unreadable(
                "packed in a way that is not read here: save it unpacked or with deflate"
            ) from error
        raise Unreadable(f"damaged: {text[:120] or type(error).__name__}") from error


def grey(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn 8-bit colours (..., 3) into the grey levels (...) that Pillow makes of them (ITU-R 601).

    >>> grey(np.array([[255, 0, 0], [255, 255, 255]], np.uint8)).tolist()
    [76, 255]
    """
    # Pillow's whole numbers; none goes beyond 2**24, so float32 holds them exactly and is faster.
    luma = colours.reshape(-1, 3).astype(np.float32) @ np.array([19595, 38470, 7471], np.float32)
    levels: NDArray[np.uint8] = ((luma + 2**15) * np.float32(2**-16)).astype(np.uint8)
    return levels.reshape(colours.shape[:-1])


def refuse_huge(width: int, height: int) -> None:
    """Raise Unreadable for more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS // 10**6} million"
        raise Unreadable(f"{width} × {height} pixels: more than the {limit} that are read")


def _describe(image: Image.Image) -> Header:
    mode = WORDS.get(image.mode, image.mode)
    channels, dtype, notes = 1, "uint8", ""
    if image.mode == "P":
        channels = 1 if _grey_palette(image) else 3
    elif image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        dtype = "uint16"
    elif image.mode in {"I", "F"}:
        dtype = "float32"
    elif image.mode not in {"1", "L", "LA", "La"}:
        channels = 3
    if _is_deep(image):
        dtype, mode = "uint16", f"{mode} 16-bit"
    elif dtype == "uint8" and ";16" in _rawmode(image):
        mode, notes = f"{mode} 16-bit", ", read at 8 bits"
    if image.format != "MPO" and getattr(image, "is_animated", False):
        notes += ", several pages, first page" if image.format == "TIFF" else ", animated, first frame"
    turn = _orientation(image)
    # Pillow turns TIFF by itself, and says the size afterwards.
    width, height = image.size if image.format == "TIFF" else _size(*image.size, turn)
    return Header(width, height, channels, dtype, f"{image.format} {mode}{notes}{_turned(turn)}")


def _shallow(image: Image.Image) -> NDArray[Any]:
    """Give the pixels at the depth that Pillow keeps."""
    image.load()
    mode = image.mode
    if mode == "I" and image.format == "PPM":
        return np.asarray(image)[:, :, None].astype(np.uint16)
    if mode.startswith("I;16") or mode in {"I", "F"}:
        return np.asarray(image)[:, :, None].astype(np.uint16 if mode.startswith("I;16") else np.float32)
    grey = mode in {"1", "L", "LA", "La"} or (mode == "P" and _grey_palette(image))
    if mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        return on_white(pixels[:, :, [0, 3]] if grey else pixels)
    pixels = np.asarray(image if mode in {"L", "RGB"} else image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], 1 if grey else 3)


def _rawmode(image: Image.Image) -> str:
    arguments = image.tile[0].args if isinstance(image, ImageFile.ImageFile) and len(image.tile) == 1 else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _is_deep(image: Image.Image) -> bool:
    return _rawmode(image)[:-1] in {"RGB;16", "RGBA;16"} and "transparency" not in image.info


def _deep(image: Image.Image, data: bytes) -> NDArray[Any]:
    """Give all 16 bits of a colour file.

    Pillow keeps the high byte of each value. Told that the file has the other byte order, it keeps the
    low one.
    """
    rawmode = _rawmode(image)
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}[rawmode[-1]]
    low_image: Any = _open(data)
    tile = low_image.tile[0]
    arguments = rawmode[:-1] + other
    low_image.tile = [
        tile._replace(args=(arguments, *tile.args[1:]) if isinstance(tile.args, tuple) else arguments)
    ]
    high, low = np.asarray(image).astype(np.uint16), np.asarray(low_image)
    pixels = high << 8 | low
    return on_white(pixels) if pixels.shape[2] == 4 else pixels


def on_white(pixels: NDArray[Any]) -> NDArray[Any]:
    """Compose colours with alpha, (..., C + 1), on a white ground: (..., C) of the same dtype."""
    white = np.iinfo(pixels.dtype).max
    colour, alpha = pixels[..., :-1].astype(np.uint64), pixels[..., -1:].astype(np.uint64)
    return ((colour * alpha + white * (white - alpha) + white // 2) // white).astype(pixels.dtype)


def _grey_palette(image: Image.Image) -> bool:
    palette = np.array(image.getpalette("RGB") or [0, 1, 2]).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(0x112, 1)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to lose a picture
        return 1
    return turn if turn in range(1, 9) else 1


def _turned(turn: int) -> str:
    return ", turned upright as its EXIF says" if turn != 1 else ""


def _size(width: int, height: int, turn: int) -> tuple[int, int]:
    return (height, width) if turn >= 5 else (width, height)


def _upright(pixels: NDArray[Any], turn: int) -> NDArray[Any]:
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    vertical, horizontal = turn in {3, 4, 7, 8}, turn in {2, 3, 6, 7}
    return pixels[:: -1 if vertical else 1, :: -1 if horizontal else 1]


def _as_picture(array: NDArray[Any]) -> NDArray[Any]:
    """Bring an array to (H, W, C) of uint8, uint16 or float32 without changing values (True becomes 255)."""
    if array.ndim not in {2, 3} or 0 in array.shape:
        raise Unreadable(f"an array of shape {array.shape} is no picture")
    refuse_huge(array.shape[1], array.shape[0])
    if array.dtype.kind not in "buif":
        raise Unreadable(f"an array of {array.dtype} is no picture")
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)}:
        array = array.astype(np.float32)
    return array if array.ndim == 3 else array[:, :, None]


def _to_channels(picture: NDArray[Any], channels: int) -> NDArray[Any]:
    have = picture.shape[2]
    if have == channels:
        return picture
    if (have, channels) == (1, 3):
        return np.repeat(picture, 3, axis=2)
    if (have, channels) != (3, 1):
        raise Unreadable(f"{_counted(have)}, where {_counted(channels)} is expected")
    if picture.dtype == np.float32:
        return picture @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if picture.dtype == np.uint8:
        return grey(picture)[:, :, None]
    # ITU-R 601 in Pillow's own integers, with more bits.
    luma = picture.astype(np.uint32) @ np.array([[19595], [38470], [7471]], np.uint32)
    return ((luma + 0x8000) >> 16).astype(picture.dtype)


def _to_depth(picture: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Change depth so that white stays white: full scale is 255, 65535 or 1.0."""
    have = picture.dtype
    if have == dtype:
        return np.ascontiguousarray(picture)
    if have.kind == dtype.kind == "u":
        if dtype == np.uint16:
            return picture.astype(np.uint16) * np.uint16(257)
        return ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if dtype.kind == "f":
        return picture.astype(np.float32) / np.float32(np.iinfo(have).max)
    full = np.iinfo(dtype).max
    return np.rint(picture.clip(0, 1).astype(np.float64) * full).astype(dtype)


def _counted(channels: int) -> str:
    return {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
