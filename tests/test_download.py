"""Downloads against a local server that is slow, cuts off, lies, is briefly down, or knows no Range."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from striate.download import Remote, fetch
from striate.errors import DownloadError
from striate.events import Event, Note, Working

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(0).randbytes(300_000)


@dataclass
class Behaviour:
    """What the server does; ``log`` holds the Range and If-Range of each request."""

    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)  # bytes of the body sent in the first requests
    statuses: list[int] = field(default_factory=list)  # answers of the first requests
    ranges: bool = True
    etag: str | None = '"one"'
    lie_about_range: bool = False
    slow: float = 0.0
    silent: float = 0.0
    log: list[tuple[str | None, str | None]] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    behaviour: Behaviour

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        does = self.server.behaviour
        asked, version = self.headers.get("Range"), self.headers.get("If-Range")
        does.log.append((asked, version))
        if does.statuses and (status := does.statuses.pop(0)) != 200:
            self.send_error(status)
            return
        time.sleep(does.silent)
        start, content = 0, does.content
        if asked and does.ranges and (version is None or version == does.etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            told = start + 7 if does.lie_about_range else start
            self.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        if does.etag:
            self.send_header("ETag", does.etag)
        self.end_headers()
        sent = body[: does.cuts.pop(0)] if does.cuts else body
        with contextlib.suppress(OSError):  # the other side may have had enough
            for place in range(0, len(sent), 20_000):
                self.wfile.write(sent[place : place + 20_000])
                time.sleep(does.slow)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def _server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(_server: Server) -> Server:
    _server.behaviour = Behaviour()
    return _server


def remote(server: Server, content: bytes = CONTENT) -> Remote:
    return Remote(f"{server.address}a.bin", len(content), hashlib.sha256(content).hexdigest())


def get(server: Server, folder: Path, **options: object) -> bytes:
    (path,) = fetch([remote(server)], folder, pause=0.001, timeout=5, **options)  # type: ignore[arg-type]
    assert [entry.name for entry in folder.iterdir()] == ["a.bin"]  # no part, tag or lock is left
    return path.read_bytes()


def test_a_good_server_is_asked_once_and_then_never_again(server: Server, tmp_path: Path) -> None:
    events: list[Event] = []
    assert get(server, tmp_path / "new", emit=events.append) == CONTENT
    assert get(server, tmp_path / "new", offline=True) == CONTENT
    assert server.behaviour.log == [(None, None)]
    last = events[-1]
    assert isinstance(last, Working)
    assert (last.done, last.total, last.unit) == (300_000, 300_000, "bytes")


def test_a_cut_connection_is_continued_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [100_000, 50_000]
    events: list[Event] = []
    assert get(server, tmp_path, emit=events.append) == CONTENT
    assert server.behaviour.log == [
        (None, None),
        ("bytes=100000-", '"one"'),
        ("bytes=150000-", '"one"'),
    ]
    assert "100,000 of 300,000" in next(event.text for event in events if isinstance(event, Note))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 300_000), max_size=4),
    statuses=st.lists(st.sampled_from([200, 500, 503, 429]), max_size=4),
    ranges=st.booleans(),
    etag=st.sampled_from([None, '"one"', 'W/"weak"']),
)
def test_whatever_breaks_briefly_the_file_arrives(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    cuts: list[int],
    statuses: list[int],
    ranges: bool,
    etag: str | None,
) -> None:
    # At most four connections bring nothing: the fifth ends it.
    server.behaviour = Behaviour(
        cuts=cuts[: 4 - sum(s != 200 for s in statuses)], statuses=statuses, ranges=ranges, etag=etag
    )
    assert get(server, tmp_path_factory.mktemp("cache")) == CONTENT


def test_without_range_it_starts_again(server: Server, tmp_path: Path) -> None:
    server.behaviour = Behaviour(cuts=[200_000], ranges=False)
    assert get(server, tmp_path) == CONTENT


def test_a_new_version_behind_an_old_part_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"old" * 1000)
    (tmp_path / "a.bin.part.tag").write_text('"zero"')
    assert get(server, tmp_path) == CONTENT
    assert server.behaviour.log == [("bytes=3000-", '"zero"')]


@pytest.mark.parametrize("length", [3000, 300_000, 400_000])
def test_a_foreign_part_without_a_tag_is_found_out_and_replaced(
    server: Server, tmp_path: Path, length: int
) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * length)
    assert get(server, tmp_path) == CONTENT


def test_a_whole_part_needs_no_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert get(server, tmp_path) == CONTENT
    assert server.behaviour.log == []


def test_a_server_that_sends_another_range_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.behaviour = Behaviour(cuts=[100_000], lie_about_range=True)
    assert get(server, tmp_path) == CONTENT
    assert [asked for asked, _ in server.behaviour.log] == [None, "bytes=100000-", None]


def test_a_slow_server_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.behaviour.slow = 0.02
    events: list[Event] = []
    assert get(server, tmp_path, emit=events.append) == CONTENT
    done = [event.done for event in events if isinstance(event, Working)]
    assert len(done) > 1
    assert done == sorted(done)


def test_a_connection_that_stalls_is_replaced_by_the_next(server: Server, tmp_path: Path) -> None:
    server.behaviour.slow = 1
    fetch([remote(server)], tmp_path, pause=0.001, timeout=0.05)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_silent_server_counts_as_broken_after_the_timeout(server: Server, tmp_path: Path) -> None:
    server.behaviour.silent = 1
    with pytest.raises(DownloadError, match="timed out"):
        fetch([remote(server)], tmp_path, pause=0.001, timeout=0.05)


def test_wrong_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.behaviour.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match="published SHA-256") as caught:
        get(server, tmp_path)
    assert str(tmp_path) in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_page_in_the_files_place_is_refused_at_once(server: Server, tmp_path: Path) -> None:
    server.behaviour.content = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="offers 26 bytes, not 300000"):
        get(server, tmp_path)
    assert len(server.behaviour.log) == 1


def test_a_server_that_stays_down_is_given_up_and_what_came_is_kept(server: Server, tmp_path: Path) -> None:
    server.behaviour = Behaviour(cuts=[100_000], statuses=[200] + [503] * 9)
    with pytest.raises(DownloadError, match=r"503 .*\(100,000 of 300,000 bytes are kept\)") as caught:
        get(server, tmp_path)
    assert len(server.behaviour.log) == 6
    assert "Run the command again to go on" in caught.value.hint
    server.behaviour = Behaviour()
    assert get(server, tmp_path) == CONTENT
    assert server.behaviour.log == [("bytes=100000-", '"one"')]


def test_a_drip_does_not_hold_us_for_ever(server: Server, tmp_path: Path) -> None:
    server.behaviour.cuts = [1] * 1000
    with pytest.raises(DownloadError, match="the connection ended after"):
        get(server, tmp_path)


def test_not_found_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.behaviour.statuses = [404]
    with pytest.raises(DownloadError, match="404 Not Found"):
        get(server, tmp_path)
    assert len(server.behaviour.log) == 1


def test_nobody_there(tmp_path: Path) -> None:
    nobody = Remote("http://127.0.0.1:9/a.bin", 3, "0" * 64)
    with pytest.raises(DownloadError, match=r"Could not download http://127\.0\.0\.1:9/a\.bin: .*refused"):
        fetch([nobody], tmp_path, pause=0.001)


def test_offline_says_which_files_to_put_where(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="1 of 1 cached files are missing or damaged") as caught:
        fetch([remote(server)], tmp_path, offline=True)
    assert f"put a.bin from {server.address} into {tmp_path}" in caught.value.hint
    assert server.behaviour.log == []


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"damaged")
    assert get(server, tmp_path) == CONTENT


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    server.behaviour.slow = 0.01
    results: list[bytes] = []

    def work() -> None:
        (path,) = fetch([remote(server)], tmp_path, pause=0.001, timeout=5)
        results.append(path.read_bytes())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 3
    assert len(server.behaviour.log) == 1


def test_a_cache_that_cannot_be_written_is_said_in_one_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="Could not write") as caught:
        get(server, tmp_path / "file" / "folder")
    assert "STRIATE_CACHE" in caught.value.hint
