"""Public data sets by name, served here by a folder on this machine."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import re
import struct
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.data import catalogue
from striate.data.catalogue import DataSet
from striate.data.sources import open_source
from striate.download import Remote
from striate.errors import DownloadError
from striate.events import Event, Working
from striate.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def clothes(site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Remote, ...]:
    """Publish a fashion-mnist of four pictures, and give an empty cache."""
    folder, base = site
    remotes = []
    for part in ("train", "t10k"):
        for kind, shape in (("images-idx3", (2, 4, 4)), ("labels-idx1", (2,))):
            values = np.arange(np.prod(shape), dtype=np.uint8)
            data = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values.tobytes()
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(data))
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            remotes.append(Remote(base + path.name, path.stat().st_size, sha256))
    public = DataSet(tuple(remotes), catalogue.NAMED["fashion-mnist"].classes)
    monkeypatch.setattr(catalogue, "NAMED", {"fashion-mnist": public})
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return public.files


def test_a_public_set_is_downloaded_once_and_then_works_offline(clothes: tuple[Remote, ...]) -> None:
    events: list[Event] = []
    source = open_source("fashion-mnist", emit=events.append)
    assert len([event for event in events if isinstance(event, Working) and event.done == event.total]) == 4
    assert (source.name, source.kind, len(source.classes)) == ("fashion-mnist", "idx", 10)
    assert [(s.target, s.split) for s in source.samples] == [
        ("T-shirt/top", "test"),
        ("Trouser", "test"),
        ("T-shirt/top", "train"),
        ("Trouser", "train"),
    ]
    again = open_source("fashion-mnist", offline=True, emit=lambda event: pytest.fail(str(event)))
    assert again.samples == source.samples


def test_offline_with_nothing_cached_says_what_to_put_where(clothes: tuple[Remote, ...]) -> None:
    with pytest.raises(DownloadError, match="4 of 4") as caught:
        open_source("fashion-mnist", offline=True)
    folder = cache_folder() / "datasets" / "fashion-mnist"
    for remote in clothes:
        assert remote.name in caught.value.hint
    assert str(folder) in caught.value.hint


def test_a_folder_of_that_name_comes_first(
    clothes: tuple[Remote, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("a", "b"):
        (tmp_path / "fashion-mnist" / label).mkdir(parents=True)
        (tmp_path / "fashion-mnist" / label / "1.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert open_source("fashion-mnist", offline=True).kind == "folder"


def test_the_list_is_whole() -> None:
    assert catalogue.NAMES == ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")
    files = [file for public in catalogue.NAMED.values() for file in public.files]
    assert len({file.sha256 for file in files}) == len(files) == 10
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert re.fullmatch(r"https?://.*\.gz", file.url)
        assert file.size
        assert file.size > 0
