"""The report in headless Chromium: on a desk and on a phone, light and dark, and with nobody to talk to."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from striate.report import suspects
from striate.report.page import page

from .conftest import EVIL, told, told_numbers
from .test_suspects import doubts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser
PHONE, DESK = 360, 1200

# The report's own rules forbid scripts, so that a page around it measures: one frame a width. A frame that
# is given its text shares the origin of the page around it.
MEASURE = """
<script>
function measure(frame) {
  const inner = frame.contentDocument, view = frame.contentWindow, width = view.innerWidth;
  const boxed = e => e.closest('.scroll, pre');
  const wide = [...inner.body.querySelectorAll('*')].filter(
    e => !boxed(e) && e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 120));
  const svg = inner.querySelector('figure svg text');
  const thumb = inner.querySelector('.thumb');
  return {
    width, wide, scrolls: inner.documentElement.scrollWidth,
    paper: view.getComputedStyle(inner.body).backgroundColor,
    ink: view.getComputedStyle(inner.body).color,
    drawn: svg && view.getComputedStyle(svg).fill,
    font: svg && view.getComputedStyle(svg).fontFamily,
    thumb: thumb && view.getComputedStyle(thumb).backgroundImage.slice(0, 16),
    requested: view.performance.getEntriesByType('resource').map(e => e.name)
      .filter(name => !name.startsWith('data:')),
  };
}
onload = () => document.getElementById('found').textContent =
  JSON.stringify([...document.querySelectorAll('iframe')].map(measure));
</script><pre id="found"></pre>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Find the browser; its absence is a visible skip, and a failure in CI."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("skipped, no Chromium")
    return str(found)


@pytest.fixture
def trap() -> Iterator[tuple[int, list[str]]]:
    """Listen for requests: the port, and what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']}{self.path}")
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()
    thread.join()


def opened(
    chromium: str, folder: Path, body: str, *, dark: bool = False, port: int = 9
) -> list[dict[str, Any]]:
    """Open a page at both widths and measure it; every name on the net leads to ``port``."""
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{html.escape(body)}"></iframe>'
        for width in (PHONE, DESK)
    )
    around = folder / "around.html"
    around.write_text(f"<!doctype html><meta charset=utf-8>{frames}{MEASURE}", encoding="utf-8")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules=MAP *.example:80 127.0.0.1:{port}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--window-size=1300,1000",
        "--virtual-time-budget=8000",
        "--dump-dom",
        around.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    measured: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    assert [m["width"] for m in measured] == [PHONE, DESK]
    return measured


@pytest.mark.parametrize("dark", [False, True])
def test_fits_a_phone_and_a_desk_and_follows_the_colour_scheme(
    chromium: str, tmp_path: Path, dark: bool
) -> None:
    for found in opened(chromium, tmp_path, page(told()), dark=dark):
        assert found["scrolls"] <= found["width"], found["wide"]
        assert found["wide"] == []
        assert found["thumb"] == 'url("data:image/'
        assert "system-ui" in found["font"]
        paper, ink, drawn = (
            sum(map(int, re.findall(r"\d+", found[name])[:3])) / 3 for name in ("paper", "ink", "drawn")
        )
        assert (paper < 60) if dark else (paper > 200)
        assert (ink > 200) if dark else (ink < 60)
        assert (drawn > 120) if dark else (drawn < 120)


@pytest.mark.parametrize("kind", ["a hundred classes", "numbers"])
def test_other_stories_fit_a_phone_too(chromium: str, tmp_path: Path, kind: str) -> None:
    story = told_numbers() if kind == "numbers" else told(k=100, evil="a_rather_long_name_without_any_space_")
    for found in opened(chromium, tmp_path, page(story)):
        assert found["scrolls"] <= found["width"], found["wide"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_of_suspects_fits_too_and_asks_nobody(
    chromium: str, tmp_path: Path, trap: tuple[int, list[str]], dark: bool
) -> None:
    port, asked = trap
    for found in opened(chromium, tmp_path, suspects.page(doubts()), dark=dark, port=port):
        assert found["scrolls"] <= found["width"], found["wide"]
        assert found["wide"] == []
        assert found["thumb"] == 'url("data:image/'
        assert found["requested"] == []
        paper, ink = (sum(map(int, re.findall(r"\d+", found[name])[:3])) / 3 for name in ("paper", "ink"))
        assert (paper < 60 and ink > 200) if dark else (paper > 200 and ink < 60)
    assert asked == []


def test_asks_nobody_for_anything(chromium: str, tmp_path: Path, trap: tuple[int, list[str]]) -> None:
    port, asked = trap
    body = page(told())
    assert "http://a.example" in EVIL
    for found in opened(chromium, tmp_path, body, port=port):
        assert found["requested"] == []
    assert asked == []
    # The page's own rules hold even where escaping would fail, and without them the trap does catch.
    picture = '<img src="http://b.example/b.png"></body>'
    opened(chromium, tmp_path, body.replace("</body>", picture), port=port)
    assert asked == []
    lawless = re.sub(r"<meta http-equiv=[^>]*>", "", body)
    opened(chromium, tmp_path, lawless.replace("</body>", picture), port=port)
    assert "b.example/b.png" in asked
