"""Files become one array, once, whatever the number of threads, the memory and the state of the cache."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import time
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import pytest
import simplejpeg
from PIL import Image

from striate import files
from striate.data import cache, store, survey
from striate.data import decode as decoding
from striate.data.decode import decode
from striate.data.preprocess import Preprocess
from striate.data.sources import Sample, Source
from striate.errors import DataError, StriateError
from striate.events import Event, Warned, Working, ignore

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def encoded(array: NDArray[Any], kind: str = "PNG") -> bytes:
    """Save with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def source(items: list[Any], name: str = "made up") -> Source:
    """Make a source of bytes or arrays; an exception in the list is raised when it is read."""

    def read(i: int) -> Any:
        if isinstance(items[i], Exception):
            raise items[i]
        return items[i]

    samples = tuple(Sample(f"{i}.png", "ab"[i % 2]) for i in range(len(items)))
    return Source(name, "folder", samples, ("a", "b"), read)


def colours(count: int, height: int = 20, width: int = 30) -> list[NDArray[np.uint8]]:
    """Make pictures of noise."""
    return list(RNG.integers(0, 256, (count, height, width, 3), np.uint8))


def made(of: Source, size: int = 16, emit: Any = ignore, *, cached: bool = True) -> store.Store:
    """Survey and build."""
    seen = store.survey(of, emit)
    wanted = Preprocess(channels=seen.channels, size=size, dtype=seen.dtype)
    return store.build(of, seen, wanted, cache=cached, emit=emit)


def same(a: store.Store, b: store.Store) -> bool:
    """Whether two stores hold the same."""
    arrays = all((getattr(a, name) == getattr(b, name)).all() for name in ("pixels", "rows", "thumbs"))
    return arrays and a.unreadable == b.unreadable and a.pixels.dtype == b.pixels.dtype


def test_a_survey_says_what_is_there_without_decoding() -> None:
    grey, colour = encoded(colours(1)[0][:, :, 0]), encoded(colours(1)[0])
    seen = store.survey(source([grey, colour, grey, b"text", b""]))
    assert seen.channels == 3
    assert seen.dtype == "uint8"
    assert seen.sizes.tolist() == [[30, 20]] * 3
    assert seen.digests[0] == seen.digests[2] != seen.digests[1]
    assert seen.unreadable == {3: "not a picture", 4: "empty file"}
    assert store.survey(source([grey, grey])).channels == 1


def test_depth_is_the_widest() -> None:
    items = [np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16)]
    assert store.survey(source([*items])).dtype == "uint16"
    assert store.survey(source([*items, np.zeros((4, 4), np.float64)])).dtype == "float32"


def test_other_numbers_of_channels_leave() -> None:
    items = [np.zeros((4, 4, c), np.uint8) for c in (5, 3, 5, 1, 5, 4)]
    seen = store.survey(source([*items]))
    assert seen.channels == 5
    assert seen.unreadable == {
        i: f"{c} channels, where most pictures have 5" for i, c in ((1, 3), (3, 1), (5, 4))
    }
    assert store.survey(source([*items, items[1], items[3]])).unreadable[0].endswith("have 1 or 3")


def test_a_fingerprint_follows_content_and_labels() -> None:
    items = [encoded(picture) for picture in colours(3)]
    one, two = source(items), source([*items[:2], items[1]])
    assert store.survey(one).fingerprint(one) == store.survey(source(items, "other place")).fingerprint(one)
    assert store.survey(one).fingerprint(one) != store.survey(two).fingerprint(two)
    moved = Source("x", "folder", tuple(Sample(s.name, "b") for s in one.samples), one.classes, one.read)
    assert store.survey(one).fingerprint(one) != store.survey(one).fingerprint(moved)


def test_nothing_readable_is_an_error_that_names_the_first() -> None:
    with pytest.raises(DataError, match="none of the 2 files") as caught:
        store.survey(source([b"", b"text"]))
    assert caught.value.hint == "The first is 0.png: empty file."
    cut = encoded(colours(1)[0])[:500]  # its header is whole
    with pytest.raises(DataError, match="none of the 1 files"):
        made(source([cut]))


def test_files_that_cannot_be_opened_are_left_out() -> None:
    good = encoded(colours(1)[0])
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory")
    found = made(source([good, gone, DataError("1.png is damaged in the archive.")]))
    assert found.rows.tolist() == [0]
    assert found.unreadable == {
        1: "cannot be opened: No such file or directory",
        2: "1.png is damaged in the archive.",
    }


def test_a_file_is_read_once_as_far_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [encoded(picture) for picture in colours(5, 16, 16)]
    opened: list[int] = []

    def read(i: int) -> Any:
        opened.append(i)
        return items[i]

    of = Source("x", "folder", source([*items]).samples, ("a", "b"), read)
    monkeypatch.setattr(survey, "KEPT_BYTES", sum(map(len, items[:3])))
    seen = store.survey(of)
    assert list(seen.kept) == [0, 1, 2]
    fit = Preprocess(channels=3, size=8)
    first = store.build(of, seen, fit, cache=False)
    assert sorted(opened) == [0, 1, 2, 3, 3, 4, 4]
    assert not seen.kept  # nothing of it stays in memory for the length of a training
    assert same(first, store.build(of, seen, fit, cache=False))


def test_a_file_that_goes_after_the_survey_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "KEPT_BYTES", 0)
    items: list[Any] = [encoded(picture) for picture in colours(2, 16, 16)]
    of = source(items)
    seen = store.survey(of)
    items[0] = FileNotFoundError(errno.ENOENT, "No such file or directory")
    found = store.build(of, seen, Preprocess(channels=3, size=16))
    assert found.rows.tolist() == [1]
    assert found.unreadable == {0: "cannot be opened: No such file or directory"}


@pytest.mark.parametrize("quick", [0, float("inf")], ids=["threads", "one thread"])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 300])
def test_every_row_is_its_own_picture(count: int, quick: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "QUICK", quick)
    pictures = colours(count)
    items: list[Any] = [encoded(picture) for picture in pictures]
    cut = {i for i in range(count) if i % 50 == 7}
    for i in cut:
        items[i] = items[i][:-300]
    found = made(source(items))
    assert found.rows.tolist() == [i for i in range(count) if i not in cut]
    assert set(found.unreadable) == cut
    fit = Preprocess(channels=3, size=16)
    for row, i in enumerate(found.rows):
        assert (found.pixels[row] == fit.pixels(pictures[i])).all()
        assert (found.thumbs[row] == store.thumb(pictures[i])).all()


def test_a_picture_of_a_thumbnail_s_size_is_its_own_thumbnail() -> None:
    pictures = [*colours(3, 32, 32), RNG.integers(0, 256, (32, 32), np.uint8), *colours(3, 40, 32)]
    found = made(source([encoded(picture) for picture in pictures]))
    colour = [np.asarray(Image.fromarray(picture).convert("RGB")) for picture in pictures]
    assert (found.thumbs == np.stack([store.thumb(picture) for picture in colour])).all()


def test_progress_is_told_and_ends_whole() -> None:
    heard: list[Event] = []
    made(source([encoded(picture) for picture in colours(130)]), emit=heard.append)
    told = [event for event in heard if isinstance(event, Working)]
    assert {event.what for event in told} == {"checking pictures", "reading pictures"}
    assert (told[-1].done, told[-1].total) == (130, 130)


def test_what_was_decoded_is_read_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    of = source([*(encoded(picture) for picture in colours(70)), encoded(colours(1)[0])[:-300]])
    first = made(of)
    monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
    assert same(made(of), first)
    monkeypatch.undo()


def test_the_cache_is_keyed_by_content_and_by_what_decides_the_pixels(tmp_path: Path) -> None:
    items = [encoded(picture) for picture in colours(4)]
    of = source(items)
    seen = store.survey(of)
    plain = Preprocess(channels=3, size=16)
    for changed in (plain, Preprocess(channels=3, size=16, mean=(0.3,))):
        store.build(of, seen, changed)
    assert len(list((tmp_path / "cache/pixels").glob("*.json"))) == 1
    for number, changed in enumerate(
        (
            Preprocess(channels=1, size=16),
            Preprocess(channels=3, size=17),
            Preprocess(channels=3, size=16, fit="pad"),
            Preprocess(channels=3, size=16, dtype="uint16"),
        ),
        2,
    ):
        store.build(of, seen, changed)
        assert len(list((tmp_path / "cache/pixels").glob("*.json"))) == number
    made(source(items[::-1]))
    assert len(list((tmp_path / "cache/pixels").glob("*.json"))) == 6


def test_another_version_of_a_decoder_decodes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = source([encoded(picture) for picture in colours(3)])
    made(of)
    for number, decoder in enumerate((PIL, simplejpeg), 2):
        monkeypatch.setattr(decoder, "__version__", "another")
        made(of)
        assert len(list((tmp_path / "cache/pixels").glob("*.json"))) == number


@pytest.mark.parametrize("part", [".npy", ".thumbs.npy", ".json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_cache_is_built_again(
    part: str, damage: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(cache, "free_memory", lambda: 0)
    of = source([*(encoded(picture) for picture in colours(9)), b""])
    first = made(of)
    pixels = np.array(first.pixels)
    (path,) = (
        p for p in (tmp_path / "cache/pixels").glob(f"*{part}") if p.name.count(".") == part.count(".")
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    del first
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-100]), "empty": b""}[damage])
    again = made(of)
    assert (again.pixels == pixels).all()
    assert again.unreadable == {9: "empty file"}
    assert same(made(of), again)


def test_a_cache_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(blocked))
    heard: list[Event] = []
    of = source([encoded(picture) for picture in colours(5)])
    found = made(of, emit=heard.append)
    assert len(found.rows) == 5
    (warning,) = (event for event in heard if isinstance(event, Warned))
    assert "not kept for the next time" in warning.text
    assert "\n" not in warning.text


def full_disk(*_: Any, **__: Any) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_only_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.lib.format, "write_array", full_disk)
    heard: list[Event] = []
    assert len(made(source([encoded(picture) for picture in colours(5)]), emit=heard.append).rows) == 5
    assert ["The disk is full" in event.text for event in heard if isinstance(event, Warned)] == [True]


def test_pictures_that_do_not_fit_in_memory_are_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [encoded(picture) for picture in colours(150)]
    items[3] = items[3][:-300]
    inside = made(source(items), cached=False)
    monkeypatch.setattr(cache, "free_memory", lambda: 0)
    mapped = made(source(items), cached=False)
    assert isinstance(mapped.pixels, np.memmap)
    assert same(mapped, inside)
    assert same(made(source(items)), inside)  # from the file


def test_a_full_disk_is_told_where_the_memory_is_too_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache, "free_memory", lambda: 0)
    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full_disk)
    with pytest.raises(StriateError, match=r"more than the memory\. The disk is full") as caught:
        made(source([encoded(picture) for picture in colours(5)]))
    assert "--size" in caught.value.hint
    assert not list((tmp_path / "cache/pixels").iterdir())  # nothing half written, no lock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
def test_a_container_has_only_the_memory_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "GROUPS", tmp_path)
    (tmp_path / "memory.current").write_text("6000000\n")
    (tmp_path / "memory.stat").write_text("anon 5000000\ninactive_file 1000000\n")
    for most, free in (("8000000\n", 3 * 10**6), ("4000000\n", 0)):
        (tmp_path / "memory.max").write_text(most)
        assert cache.free_memory() == free
    (tmp_path / "memory.max").write_text("max\n")
    assert cache.free_memory() > 10**7  # the machine's own


def test_arrays_that_fit_are_not_cached(tmp_path: Path) -> None:
    pictures = colours(5, 16, 16)
    found = made(source([*pictures]))
    assert (found.pixels == np.stack(pictures)).all()
    assert not (tmp_path / "cache").exists()
    made(source([*pictures]), size=8)
    assert (tmp_path / "cache").exists()


def test_the_oldest_entries_go_when_the_cache_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LIMIT", 2 * (16 * 16 * 3 * 5 + 128) + 1)
    folder = tmp_path / "cache/pixels"
    older = time.time() - 1000
    sources = [source([encoded(picture) for picture in colours(5)]) for _ in range(3)]
    for number, of in enumerate(sources):
        made(of)
        for path in folder.iterdir():
            if path.stat().st_mtime > older + 500:
                os.utime(path, (older + number, older + number))
    assert len(list(folder.glob("*.json"))) == 2
    newest = set(folder.iterdir())
    made(sources[0])
    assert len(list(folder.glob("*.json"))) == 2
    assert len(newest & set(folder.iterdir())) == 3  # the second source went, the third stayed
    monkeypatch.setattr(cache, "LIMIT", 1)
    made(sources[1])
    assert len(list(folder.glob("*.json"))) == 1  # what was just made is never deleted


def test_what_a_crash_left_half_written_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "cache/pixels"
    folder.mkdir(parents=True)
    old, new = folder / ".a.npy.1-0.tmp", folder / ".b.npy.2-0.tmp"
    for part in (old, new):
        part.touch()
    os.utime(old, (time.time() - 2 * cache.ABANDONED,) * 2)
    made(source([encoded(picture) for picture in colours(3)]))
    assert not old.exists()
    assert new.exists()


def test_a_lock_left_by_a_crash_does_not_hold_up_for_long(tmp_path: Path) -> None:
    of = source([encoded(picture) for picture in colours(3)])
    made(of)
    (entry,) = (tmp_path / "cache/pixels").glob("*.json")
    lock = entry.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (time.time() - 11,) * 2)
    started = time.monotonic()
    made(of)
    assert time.monotonic() - started < 5


def test_the_lock_is_kept_fresh_while_the_checksum_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crc32, ages = zlib.crc32, []

    def slow(data: Any, total: int) -> int:
        (lock,) = (tmp_path / "cache/pixels").glob("*.lock")
        ages.append(time.time() - lock.stat().st_mtime)
        os.utime(lock, (time.time() - 9,) * 2)
        return crc32(data, total)

    monkeypatch.setattr(zlib, "crc32", slow)
    made(source([*colours(1100, 4, 4)]), size=2)
    assert len(ages) == 4  # two pieces of the pixels, two of the thumbnails
    assert max(ages) < 5


BUILDER = """
import sys, numpy as np
from pathlib import Path
from striate.data import store
from striate.data.preprocess import Preprocess
from striate.data.sources import Sample, Source
paths = sorted(Path(sys.argv[1]).glob("*.png"))
samples = tuple(Sample(p.name, "a") for p in paths)
source = Source("x", "folder", samples, ("a",), lambda i: paths[i].read_bytes())
found = store.build(source, store.survey(source), Preprocess(channels=3, size=40))
print(len(found.rows), int(np.asarray(found.pixels, np.int64).sum()))
"""


def test_two_processes_build_the_same_cache_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, picture in enumerate(colours(200)):
        files.write_bytes(folder / f"{i:03}.png", encoded(picture))
    command = [sys.executable, "-c", BUILDER, str(folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert len(said) == 1
    assert said.pop().startswith("200 ")
    names = sorted(path.name.split(".", 1)[1] for path in (tmp_path / "cache/pixels").iterdir())
    assert names == ["json", "npy", "thumbs.npy"]


def test_users_files_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(colours(1)[0]))
    path.chmod(0o444)
    before = path.stat().st_mtime_ns, path.read_bytes()
    samples = (Sample("a.png", "a"),)
    made(Source("x", "folder", samples, ("a",), lambda _: path.read_bytes()))
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_warning_filters_and_pillows_settings_are_left_alone() -> None:
    before = warnings.filters[:], Image.MAX_IMAGE_PIXELS
    made(source([encoded(picture) for picture in colours(5)]))
    assert (warnings.filters[:], Image.MAX_IMAGE_PIXELS) == before


@pytest.mark.parametrize("shape", [(32, 32, 1), (64, 96, 3), (7, 5, 3), (40, 40, 6)])
def test_a_thumbnail_averages(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 77, np.uint8)
    assert (store.thumb(picture) == 77).all()
    assert store.thumb(RNG.integers(0, 256, shape, np.uint8)).shape == (32, 32)


def test_a_thumbnail_of_deep_pixels_uses_all_levels() -> None:
    deep = np.linspace(1000, 1800, 32 * 32).reshape(32, 32, 1)
    for dtype in (np.uint16, np.float32):
        small = store.thumb(deep.astype(dtype))
        assert (small.min(), small.max()) == (0, 255)


def test_real_photographs(shared_data: Path) -> None:
    from striate.data.sources import open_source

    of = open_source(str(shared_data / "clothing-photos.zip"))
    few = Source(of.name, of.kind, of.samples[:100], of.classes, of.read)
    found = made(few, size=64)
    assert found.pixels.shape == (100, 64, 64, 3)
    fit = Preprocess(channels=3, size=64)
    assert (found.pixels[42] == fit.pixels(decode(of.read(42), 3, "uint8"))).all()


def test_scaled_decoding_is_another_entry_of_the_cache() -> None:
    large = [np.asarray(Image.fromarray(p).resize((96, 96))) for p in colours(3, 12, 12)]
    of = source([encoded(picture, "JPEG") for picture in large])
    whole, scaled = (
        store.build(of, store.survey(of), Preprocess(channels=3, size=24, decode=how))
        for how in ("whole", "scaled")
    )
    apart = np.abs(whole.pixels.astype(int) - scaled.pixels)
    assert apart.max() > 0
    assert apart.mean() < 4
