"""What lies in a folder, zip or tar, and what is refused."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data import listing
from striate.errors import DataError
from striate.events import Event, Warned

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "b/2.jpg": b"two",
    "a/1.jpg": b"one" * 1000,
    "a/.hidden": b"",
    "__MACOSX/a/1.jpg": b"",
    "Thumbs.db": b"",
}
SEEN = ("a/1.jpg", "b/2.jpg")


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "stored zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_lists_and_reads_the_same(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        found = listing.folder(write_folder(tmp_path / "data", FILES))
    elif "zip" in kind:
        method = zipfile.ZIP_STORED if "stored" in kind else zipfile.ZIP_DEFLATED
        found = listing.open_zip(write_zip(tmp_path / "data", FILES, method))
    else:
        found = listing.open_tar(write_tar(tmp_path / "data", FILES, kind))
    assert found.files == SEEN
    assert found.folders == ("a", "b")
    assert found.name == "data"
    assert [found.read(name) for name in found.files] == [FILES[name] for name in SEEN]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-c]/[d-z]{1,3}\.png", fullmatch=True), st.binary(max_size=300), max_size=6
    )
)
def test_archives_give_back_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("archives")
    for found in (
        listing.open_zip(write_zip(folder / "z", files)),
        listing.open_tar(write_tar(folder / "t", files)),
    ):
        assert {name: found.read(name) for name in found.files} == files


def test_threads_read_one_archive_at_once(tmp_path: Path) -> None:
    files = {f"a/{i:03}.jpg": os.urandom(i) for i in range(300)}
    found = listing.open_zip(write_zip(tmp_path / "z.zip", files))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found.read, files)) == list(files.values())


@pytest.mark.parametrize("name", ["a/1\n2.jpg", "a/\x1b[2J.jpg"])
def test_names_that_would_break_a_line_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be printed"):
        listing.open_zip(write_zip(tmp_path / "z.zip", {name: b""}))
    with pytest.raises(DataError, match="cannot be printed"):
        listing.open_tar(write_tar(tmp_path / "t.tar", {name: b""}))


@pytest.mark.parametrize("name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "C:/a.jpg", "..\\a.jpg"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="points outside"):
        listing.open_zip(write_zip(tmp_path / "z.zip", {"a/1.jpg": b"", name: b""}))
    with pytest.raises(DataError, match="points outside"):
        listing.open_tar(write_tar(tmp_path / "t.tar", {"a/1.jpg": b"", name: b""}))


@pytest.mark.parametrize(
    ("kind", "target", "refused"),
    [
        (tarfile.SYMTYPE, "../../secret.jpg", True),
        (tarfile.SYMTYPE, "/secret.jpg", True),
        (tarfile.LNKTYPE, "../secret.jpg", True),
        (tarfile.SYMTYPE, "../b/2.jpg", False),
        (tarfile.LNKTYPE, "b/2.jpg", False),
    ],
)
def test_links_out_of_an_archive_are_refused_and_others_left_out(
    tmp_path: Path, kind: bytes, target: str, refused: bool
) -> None:
    path = write_tar(tmp_path / "t.tar", {"b/2.jpg": b"two"})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("a/link.jpg")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    zipped = tmp_path / "z.zip"
    with zipfile.ZipFile(zipped, "w") as packed:
        packed.writestr("b/2.jpg", b"two")
        link = zipfile.ZipInfo("a/link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, target if kind == tarfile.SYMTYPE else "../../x")
    if refused:
        with pytest.raises(DataError, match="points outside"):
            listing.open_tar(path)
        with pytest.raises(DataError, match="points outside"):
            listing.open_zip(zipped)
    else:
        assert listing.open_tar(path).files == ("b/2.jpg",)
        if kind == tarfile.SYMTYPE:
            assert listing.open_zip(zipped).files == ("b/2.jpg",)


def test_encrypted_and_strangely_packed_entries_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a/1.jpg": b"one"})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        listing.open_zip(path)
    with pytest.raises(DataError, match="method 14"):
        listing.open_zip(write_zip(path, {"a/1.jpg": b"one"}, zipfile.ZIP_LZMA))


def test_bombs_are_refused_before_they_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "BOMB_BYTES", 1 << 20)
    monkeypatch.setattr(listing, "LARGEST_FILE", 4 << 20)
    bomb = {"a/1.jpg": bytes(2 << 20)}
    with pytest.raises(DataError, match="more than 200 times"):
        listing.open_zip(write_zip(tmp_path / "z.zip", bomb))
    large = {"a/1.jpg": bytes(5 << 20)}
    with pytest.raises(DataError, match="larger than"):
        listing.open_zip(write_zip(tmp_path / "z.zip", large))
    with pytest.raises(DataError, match="larger than"):
        listing.open_tar(write_tar(tmp_path / "t.tar", large))
    with pytest.raises(DataError, match="more than 200 times"):
        listing.open_tar(write_tar(tmp_path / "t.tar.gz", large, "w:gz"))


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, kind: str, cut: int) -> None:
    files = {f"a/{i}.jpg": os.urandom(3000) for i in range(20)}
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        write_zip(path, files)
    else:
        write_tar(path, files, "w:" + kind.removeprefix("tar").removeprefix("."))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * cut // 4])
    with pytest.raises(DataError, match="is damaged: ") as caught:
        (listing.open_zip if kind == "zip" else listing.open_tar)(path)
    assert "\n" not in caught.value.message


def test_a_tar_that_ends_between_two_files_is_damaged(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a/1.jpg": b"x" * 512, "a/2.jpg": b"y" * 512})
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(DataError, match="breaks off after 1 files"):
        listing.open_tar(path)


def test_sparse_files_in_a_tar_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, holes in (("a/1.jpg", {}), ("a/2.jpg", {"map": "5,3", "size": "8"}), ("a/3.jpg", {})):
            info = tarfile.TarInfo(name)
            info.size = 3
            info.pax_headers = {f"GNU.sparse.{key}": value for key, value in holes.items()}
            archive.addfile(info, io.BytesIO(b"one"))
    events: list[Event] = []
    found = listing.open_tar(path, events.append)
    assert found.files == ("a/1.jpg", "a/3.jpg")
    assert found.read("a/3.jpg") == b"one"
    (event,) = events
    assert isinstance(event, Warned)
    assert event.text.endswith("the first is a/2.jpg.")


def test_a_damaged_entry_is_an_error_of_its_own_and_not_of_its_neighbours(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a/1.jpg": b"one", "a/2.jpg": b"two"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"one", b"eno"))
    found = listing.open_zip(path)
    with pytest.raises(DataError, match=r"a/1.jpg in z.zip is damaged"):
        found.read("a/1.jpg")
    assert found.read("a/2.jpg") == b"two"


def test_links_in_a_folder_stay_inside(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"a/1.jpg": b"one"})
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    try:
        (data / "a" / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    except OSError:
        pytest.skip("this system does not let us make links")
    (data / "a" / "in.jpg").symlink_to("1.jpg")
    (data / "a" / "broken.jpg").symlink_to("nothing.jpg")
    (data / "loop").symlink_to(data, target_is_directory=True)
    events: list[Event] = []
    found = listing.folder(data, events.append)
    assert found.files == ("a/1.jpg", "a/in.jpg")
    (event,) = events
    assert isinstance(event, Warned)
    assert "3 entries were left out" in event.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"a/1.jpg": b"one"})
    os.mkfifo(data / "a" / "pipe.jpg")
    assert listing.folder(data).files == ("a/1.jpg",)


def test_a_file_that_is_gone_is_said_when_it_is_read(tmp_path: Path) -> None:
    found = listing.folder(write_folder(tmp_path / "data", {"a/1.jpg": b"one"}))
    (tmp_path / "data/a/1.jpg").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*1\.jpg"):
        found.read("a/1.jpg")


def test_a_name_that_is_no_unicode_is_left_out(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", {"a/1.jpg": b"one"})
    try:
        with open(os.fsencode(data) + b"/a/\xff.jpg", "wb"):
            pass
    except OSError:
        pytest.skip("this system has no such names")
    events: list[Event] = []
    assert listing.folder(data, events.append).files == ("a/1.jpg",)
    assert len(events) == 1
    repr(events[0]).encode()


def test_a_folder_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied", name)

    data = write_folder(tmp_path / "data", {"a/1.jpg": b"one"})
    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(DataError, match=r"Cannot read .*a: Permission denied"):
        listing.folder(data)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = write_tar(tmp_path / "t.tar.gz", {"cat/1.png": b"x" * 5000}, "w:gz")
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        with pytest.raises(DataError, match=r"t\.tar\.gz is unpacked into .*disk is full"):
            listing.open_tar(packed)
