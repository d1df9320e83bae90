"""The page of a network in headless Chromium: on a phone and on a desk, light and dark, by keyboard."""

from __future__ import annotations

import html
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from striate.report.network import page
from tests.report import test_browser as report

from .nets import chain, conv, inception, long_net, net, residual, u_net

if TYPE_CHECKING:
    from pathlib import Path

    from striate.summary.result import Inspected

pytestmark = pytest.mark.browser
chromium = report.chromium  # the fixture


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("make", [chain, inception, u_net, lambda: long_net(3, 5)])
def test_fits_a_phone_and_a_desk(chromium: str, tmp_path: Path, dark: bool, make: Any) -> None:
    for found in report.opened(chromium, tmp_path, page(make()), dark=dark):
        assert found["scrolls"] <= found["width"], found["wide"]
        assert found["wide"] == []
        assert found["requested"] == []
        paper, drawn = (sum(map(int, re.findall(r"\d+", found[name])[:3])) / 3 for name in ("paper", "drawn"))
        assert (paper < 60) if dark else (paper > 200)
        assert (drawn > 150) if dark else (drawn < 110)


def flat() -> Inspected:
    """Give volumes that are narrower than their words."""
    return net((3, 1000, 1000), *(conv(f"conv{i}", (3, 1000, 1000), 3, 1) for i in range(3)))


LOOK = """
<script>
onload = () => {
  const frame = document.querySelector('iframe'), inner = frame.contentDocument, view = frame.contentWindow;
  const look = v => {
    const tip = v.querySelector('.tip');
    const shown = view.getComputedStyle(tip).display, box = tip.getBoundingClientRect();
    return [shown, box.left, box.right, box.top - v.getBoundingClientRect().top];
  };
  const volumes = [...inner.querySelectorAll('.v')];
  const before = volumes.map(v => look(v)[0]);
  const after = volumes.map(v => { v.focus(); return look(v); });
  const text = [...inner.querySelectorAll('.unit')].map(u => [
    u.getBoundingClientRect().right,
    Math.max(...[...u.querySelectorAll('text')].map(t => t.getBoundingClientRect().right))]);
  const scrolled = [...inner.querySelectorAll('.flow')].filter(f => f.scrollWidth > f.clientWidth).length;
  document.getElementById('found').textContent = JSON.stringify({before, after, text, scrolled});
};
</script><pre id="found"></pre>
"""


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("make", [chain, lambda: residual(projection=True), flat])
def test_the_focus_shows_the_numbers_of_a_volume_on_the_page(
    chromium: str, tmp_path: Path, width: int, make: Any
) -> None:
    body = html.escape(page(make()))
    around = tmp_path / "around.html"
    frame = f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{body}"></iframe>'
    around.write_text(f"<!doctype html><meta charset=utf-8>{frame}{LOOK}", encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000", "--dump-dom"]
    command += ["--window-size=1300,1000", around.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    told = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found = json.loads(html.unescape(told[1]))
    assert set(found["before"]) == {"none"}
    for shown, left, right, below in found["after"]:
        assert shown == "flex"
        assert left >= 0
        assert right <= width
        assert below > 20  # under the volume, not over it
    assert found["scrolled"] == 0  # what does not fit on a line goes to the next
    for end, words in found["text"]:
        assert words <= end + 1  # what stands under a volume stays in its unit
