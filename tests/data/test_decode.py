"""Every kind of picture is read by a stated rule, or refused with a reason."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from striate.data.decode import MAX_PIXELS, Header, Unreadable, decode, header

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (9, 7, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (9, 7, 5)).astype(np.uint16)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Save with Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 60, width: int = 40) -> NDArray[np.uint8]:
    """Make a colour picture that looks the same after JPEG, and different from every side."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 // width, y * 250 // height, (x + y) % 90], 2).astype(np.uint8)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """Build a PNG by hand, for what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def png16(pixels: NDArray[np.uint16], colour: int) -> bytes:
    """Build a PNG of 16 bits a channel."""
    rows = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    return png(pixels.shape[1], pixels.shape[0], 16, colour, rows)


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    """Save with tifffile."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def agree(data: bytes) -> Header:
    """Check that the header promises what decoding gives, and return it."""
    said = header(data)
    picture = decode(data, said.channels, said.dtype)
    assert picture.shape == (said.height, said.width, said.channels)
    assert picture.dtype.name == said.dtype
    assert picture.flags.c_contiguous
    return said


@pytest.mark.parametrize("archive", ["cifar10-jpeg.zip", "clothing-photos.zip"])
def test_real_jpegs_have_pillows_pixels(shared_data: Path, archive: str) -> None:
    with zipfile.ZipFile(shared_data / archive) as files:
        names = [name for name in files.namelist() if name.endswith(".jpg")]
        for name in names[:: len(names) // 20]:
            data = files.read(name)
            image = Image.open(io.BytesIO(data))
            assert (decode(data, 3, "uint8") == np.asarray(image)).all(), name
            assert (decode(data, 1, "uint8")[:, :, 0] == np.asarray(image.convert("L"))).all(), name
            assert agree(data).mode == "JPEG RGB"
            grey = encoded(image.convert("L"), "JPEG")
            assert (decode(grey, 1, "uint8")[:, :, 0] == np.asarray(Image.open(io.BytesIO(grey)))).all(), name
            assert agree(grey).mode == "JPEG grey"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_every_jpeg_layout_has_pillows_pixels(subsampling: int, progressive: bool) -> None:
    data = encoded(Image.fromarray(smooth(33, 21)), "JPEG", subsampling=subsampling, progressive=progressive)
    assert (decode(data, 3, "uint8") == np.asarray(Image.open(io.BytesIO(data)))).all()


@pytest.mark.parametrize("mode", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(mode: str) -> None:
    said = agree(encoded(Image.fromarray(smooth()).convert("CMYK"), mode))
    assert (said.channels, said.mode) == (3, f"{mode} CMYK")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x112] = turn
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(smooth()), kind, exif=exif, **options)
    said = agree(data)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (said.width, said.height) == upright.size
    assert (decode(data, 3, "uint8") == np.asarray(upright)).all()


def test_an_orientation_out_of_range_or_a_broken_exif_is_no_loss() -> None:
    exif = Image.Exif()
    exif[0x112] = 77
    agree(encoded(Image.fromarray(smooth()), "JPEG", exif=exif))
    agree(encoded(Image.fromarray(smooth()), "JPEG", exif=b"Exif\0\0 nothing of the kind"))


def test_alpha_lies_on_white() -> None:
    alpha = np.array([[0, 128, 255]], np.uint8)
    rgba = np.dstack([np.zeros((1, 3, 3), np.uint8), alpha])
    assert decode(encoded(Image.fromarray(rgba), "PNG"), 3, "uint8")[0, :, 0].tolist() == [255, 127, 0]
    grey = encoded(Image.fromarray(np.dstack([alpha * 0, alpha])), "PNG")
    assert decode(grey, 1, "uint8")[0, :, 0].tolist() == [255, 127, 0]
    assert agree(grey).mode == "PNG grey+alpha"


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entries_are_white(kind: str) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((0, 0), 0)
    data = encoded(image, kind, transparency=0)
    pixels = decode(data, 3, "uint8")
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [200, 100, 0]
    assert agree(data).mode == f"{kind} palette"


def test_a_palette_of_greys_is_grey() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 10, 10, 200, 200, 200])
    data = encoded(image, "PNG")
    assert agree(data).channels == 1
    assert decode(data, 1, "uint8")[0, 0, 0] == 200


def test_a_colour_key_is_transparent() -> None:
    data = encoded(Image.new("RGB", (3, 3), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert agree(data).channels == 3
    assert (decode(data, 3, "uint8") == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert decode(data, 3, "uint8")[4, 4].tolist() == [255, 0, 0]
    assert agree(data).mode.endswith(", animated, first frame")


def test_one_bit_is_black_and_white() -> None:
    data = encoded(Image.fromarray(np.array([[True, False]])), "PNG")
    assert decode(data, 1, "uint8").ravel().tolist() == [255, 0]
    assert agree(data).mode == "PNG 1-bit"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_depth(kind: str) -> None:
    data = encoded(Image.fromarray(DEEP[:, :, 0]), kind)
    assert agree(data).dtype == "uint16"
    assert (decode(data, 1, "uint16") == DEEP[:, :, :1]).all()


def test_big_endian_16_bit_tiff_is_read_rightly() -> None:
    assert (decode(tiff(DEEP[:, :, 0], byteorder=">"), 1, "uint16") == DEEP[:, :, :1]).all()


def test_16_bit_colour_png_keeps_its_depth() -> None:
    data = png16(DEEP[:, :, :3], 2)
    assert agree(data).mode == "PNG RGB 16-bit"
    assert (decode(data, 3, "uint16") == DEEP[:, :, :3]).all()


def test_16_bit_alpha_lies_on_white() -> None:
    rgba = DEEP[:, :, :4].copy()
    rgba[0, :, 3], rgba[1, :, 3] = 0, 65535
    pixels = decode(png16(rgba, 6), 3, "uint16")
    assert (pixels[0] == 65535).all()
    assert (pixels[1] == rgba[1, :, :3]).all()


def test_what_loses_depth_says_so() -> None:
    said = agree(png16(DEEP[:, :, :2], 4))
    assert (said.dtype, said.mode) == ("uint8", "PNG RGBA 16-bit, read at 8 bits")


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}])
def test_16_bit_colour_tiff_keeps_its_depth(byteorder: Any, options: dict[str, Any]) -> None:
    colour = DEEP[:, :, :3]
    stored = np.moveaxis(colour, 2, 0) if "planarconfig" in options else colour
    data = tiff(stored, photometric="rgb", byteorder=byteorder, **options)
    assert agree(data).dtype == "uint16"
    assert (decode(data, 3, "uint16") == colour).all()


@pytest.mark.parametrize(
    ("first", "options"),
    [
        (False, {"photometric": "minisblack", "planarconfig": "contig"}),
        (True, {"photometric": "minisblack", "planarconfig": "separate"}),
        (True, {"imagej": True, "metadata": {"axes": "CYX"}}),
        (True, {}),  # a stack that names no axis: the smallest
        (False, {}),
    ],
)
def test_channels_of_a_tiff_are_found_where_they_are(first: bool, options: dict[str, Any]) -> None:
    data = tiff(np.moveaxis(DEEP, 2, 0) if first else DEEP, **options)
    said = agree(data)
    assert (said.channels, said.mode) == (5, "TIFF 5 channels uint16")
    assert (decode(data, 5, "uint16") == DEEP).all()


def test_four_samples_are_colour_with_alpha_only_where_the_file_says_so() -> None:
    rgba = DEEP[:, :, :4]
    near_infrared = tiff(rgba, photometric="rgb", extrasamples=["unspecified"])
    assert agree(near_infrared).channels == 4
    assert agree(tiff(rgba, photometric="rgb", extrasamples=["unassalpha"])).channels == 3


def test_of_a_tiff_of_pages_the_first_is_read() -> None:
    pages = [Image.new("L", (6, 5), level) for level in (10, 20, 30)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert (decode(data, 1, "uint8") == 10).all()
    assert agree(data).mode == "TIFF grey, several pages, first page"
    volume = tiff(np.moveaxis(DEEP, 2, 0), metadata={"axes": "ZYX"})
    assert (decode(volume, 1, "uint16") == DEEP[:, :, :1]).all()


def test_float_tiff_stays_float_and_must_hold_numbers() -> None:
    values = RNG.normal(size=(5, 4)).astype(np.float32)
    data = tiff(values)
    assert agree(data).dtype == "float32"
    assert (decode(data, 1, "float32")[:, :, 0] == values).all()
    values[2, 2] = np.nan
    with pytest.raises(Unreadable, match="NaN"):
        decode(tiff(values), 1, "float32")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_never_read(kind: str, share: float) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), kind)
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(Unreadable) as caught:
        decode(cut, 3, "uint8")
    assert 0 < len(caught.value.reason) < 140
    assert "\n" not in caught.value.reason
    if kind == "JPEG" and share >= 0.4:
        for filled in (cut + b"\xff\xd9", cut + bytes(2000)):  # an end that pretends to be one
            with pytest.raises(Unreadable, match="cut off"):
                decode(filled, 3, "uint8")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is a text", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which is not read: save it as JPEG or PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
        (b"\xff\xd8\xff\xe0 not a jpeg at all", ""),
        (b"\x89PNG\r\n\x1a\n", ""),
        (b"GIF89a", ""),
        (b"II*\0", ""),
        (b"BM", ""),
        (b"RIFF\0\0\0\0WEBPVP8 ", ""),
    ],
)
def test_what_is_no_picture_says_why(data: bytes, reason: str) -> None:
    for read in (header, lambda data: decode(data, 3, "uint8")):
        with pytest.raises(Unreadable) as caught:
            read(data)
        assert reason in caught.value.reason
        assert "0x" not in caught.value.reason


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"]),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damage_is_unreadable_or_a_picture_never_another_error(
    kind: str, places: list[tuple[float, int]]
) -> None:
    data = bytearray(encoded(Image.fromarray(smooth(12, 10)), kind))
    for where, value in places:
        data[int(where * len(data))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Unreadable):
            header(bytes(data))
            assert decode(bytes(data), 3, "uint8").shape[2] == 3


def test_a_huge_picture_is_refused_from_its_header() -> None:
    data = png(60_000, 60_000, 1, 0, bytes(1000))
    for read in (header, lambda data: decode(data, 3, "uint8")):
        with pytest.raises(Unreadable, match="60000 × 60000 pixels"):
            read(data)


def test_a_large_picture_below_the_limit_raises_no_warning() -> None:
    width, height = 9_900, 10_000  # Pillow warns from 89 million on
    assert 89_478_485 < width * height < MAX_PIXELS
    said = header(png(width, height, 1, 0, bytes(1000)))
    assert (said.width, said.height) == (width, height)


def test_arrays_follow_the_same_rules() -> None:
    assert header(COLOUR).mode == "array RGB uint8"
    assert decode(COLOUR[:, :, 0], 3, "uint8").shape == (9, 7, 3)
    assert decode(COLOUR[:, :, 0] > 99, 1, "uint8").max() == 255
    assert header(COLOUR.astype(np.float64)).dtype == "float32"
    assert header(DEEP).channels == 5
    for shape in ((3,), (2, 3, 4, 5), (0, 3)):
        with pytest.raises(Unreadable, match="no picture"):
            header(np.zeros(shape))
    with pytest.raises(Unreadable, match="no picture"):
        header(np.array([["a"]]))


@settings(deadline=None)
@given(arrays.arrays(np.uint8, (3, 4, 3)))
def test_white_stays_white_and_order_stays_order_at_every_depth(picture: NDArray[np.uint8]) -> None:
    deep = decode(picture, 3, "uint16")
    assert (deep == picture.astype(int) * 257).all()
    assert (decode(deep, 3, "uint8") == picture).all()
    real = decode(picture, 3, "float32")
    assert (real == decode(deep, 3, "float32")).all()
    assert (decode(real, 3, "uint8") == picture).all()


def test_grey_of_deep_colour_is_luma() -> None:
    colour = DEEP[:, :, :3]
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(decode(colour, 1, "uint16")[:, :, 0] - colour @ weights).max() <= 1
    real = colour.astype(np.float32)
    assert decode(real, 1, "float32")[:, :, 0] == pytest.approx(real @ weights, rel=1e-4)


def test_other_numbers_of_channels_do_not_mix() -> None:
    with pytest.raises(Unreadable, match="5 channels, where RGB is expected"):
        decode(DEEP, 3, "uint16")


def test_a_sound_tiff_that_is_packed_in_an_unknown_way_is_not_called_damaged() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, DEEP, photometric="minisblack", planarconfig="contig", byteorder="<")
    entry = struct.pack("<HHIH", 259, 3, 1, 1)
    packed = buffer.getvalue().replace(entry, entry[:-2] + b"\x05\0")  # says LZW
    with pytest.raises(Unreadable, match="packed in a way that is not read"):
        decode(packed, 5, "uint16")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_scaled_decoding_is_the_librarys_own(mode: str) -> None:
    smooth = Image.fromarray(RNG.integers(0, 256, (12, 16, 3), np.uint8)).resize((320, 240)).convert(mode)
    data, channels = encoded(smooth, "JPEG"), len(mode)
    for enough, (height, width) in ((0, (240, 320)), (240, (240, 320)), (120, (120, 160)), (60, (60, 80))):
        found = decode(data, channels, "uint8", enough)
        drafted = Image.open(io.BytesIO(data))
        drafted.draft(mode, (width, height))  # Pillow's way to the same code, at powers of two
        assert found.shape == (height, width, channels)
        assert (found.squeeze() == np.asarray(drafted)).all()
    assert decode(data, channels, "uint8", 100).shape == (120, 160, channels)  # never smaller than asked for
    assert decode(data, channels, "uint8", 1000).shape == (240, 320, channels)
    assert decode(encoded(smooth, "PNG"), channels, "uint8", 60).shape == (240, 320, channels)  # PNG
