from __future__ import annotations

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from striate.report import Shown, Story, write
from striate.report.layout import _template
from striate.report.page import page
from striate.report.sprite import Sprite
from striate.training.metrics import classified

from .conftest import noise, told, told_numbers

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collect tags, attributes and visible text, and check that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.words += data.replace("\xa0", " ")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def read(story: Story) -> Reader:
    return Reader(page(story))


def test_hostile_names_stay_text(read: Reader) -> None:
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "img", "link", "iframe", "object"})
    assert "<script>alert(1)</script>" in read.words
    assert "${x}" in read.words
    allowed = {
        "class",
        "style",
        "role",
        "id",
        "href",
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "scope",
    }
    allowed |= {
        "tabindex",
        "viewbox",
        "d",
        "x",
        "y",
        "width",
        "height",
        "transform",
        "clip-path",
        "xlink:href",
    }
    for tag, attributes in read.tags:
        for name, value in attributes.items():
            assert name in allowed or name.startswith("aria-"), (tag, name)
            if name in {"href", "xlink:href"}:
                assert value is not None
                assert value.startswith("#")


def test_the_page_forbids_itself_everything_else(read: Reader) -> None:
    policy = next(
        a["content"] for a in read.named("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_it_can_be_read_without_seeing_it(read: Reader) -> None:
    pictures = [a for _, a in read.tags if a.get("role") == "img"]
    assert len(pictures) > 30
    assert all(len(a["aria-label"] or "") > 10 for a in pictures)
    assert all(a.get("scope") in {"row", "col"} for a in read.named("th"))
    assert [tag for tag, _ in read.tags if tag == "h1"] == ["h1"]
    ids = [a["id"] for tag, a in read.tags if "id" in a and tag in {"section", "h2"}]
    assert len(ids) == len(set(ids))
    for link in read.named("a"):
        assert (link["href"] or "")[1:] in ids


def test_the_result_comes_first_and_in_plain_words(story: Story) -> None:
    words = Reader(page(story)).words
    scores = story.headline
    assert scores is not None
    name, value = scores.headline
    assert name == "balanced accuracy"
    assert f"{100 * value:.1f} %" in words
    assert "balanced accuracy on 400 test pictures" in words
    assert "A linear model on the pixels gets 47.0 %; always answering" in words
    assert words.index("balanced accuracy on") < words.index("What is taken for what")
    assert "validation pictures chose" not in words  # a test split chose nothing


def test_every_section_is_there(read: Reader) -> None:
    found = [a["id"] for a in read.named("section")]
    wanted = "result confusion classes mistakes calibration training data augmentation choices recipe usage"
    assert found == wanted.split()
    assert "The first 30 of 200; striate data lists all." in read.words
    assert "and 46 more" in read.words


def test_validation_is_never_called_test() -> None:
    words = Reader(page(told(split="val"))).words
    assert "on 400 validation pictures" in words
    assert "These validation pictures chose the epoch whose weights were kept" in words
    assert "test pictures" not in words
    calm = dataclasses.replace(told(split="val"), recipe="patience = 0\n")
    assert "its validation pictures chose nothing" in Reader(page(calm)).words


def test_a_network_worse_than_a_plain_answer_is_told_so() -> None:
    scores = classified(np.eye(2)[[0, 1, 1, 1]], np.array([0, 0, 0, 1]), ["a", "b"])
    answers = told().answers
    assert (
        "not worth its cost" in page(Story(run={}, scores={"test": scores}, answers=answers[1:]))
        or scores.uneven
    )
    good = classified(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 1]), ["a", "b"])
    assert "not worth its cost" not in page(Story(run={}, scores={"test": good}, answers=answers))


def test_without_held_out_pictures_there_is_no_figure() -> None:
    words = Reader(page(Story(run={"run": "runs/x"}, history=told_numbers().history))).words
    assert "No picture was held out" in words
    assert "interval" not in words


def test_regression_has_sections_of_its_own() -> None:
    reader = Reader(page(told_numbers()))
    found = [a["id"] for a in reader.named("section")]
    assert "regression" in found
    assert "confusion" not in found
    for word in (
        "mean absolute error on 300 test pictures",
        "Root mean squared error",
        "R²",
        "is off by 6.1; always",
    ):
        assert word in reader.words


def test_the_matrix_is_a_table_with_every_count() -> None:
    numbered, dense, none = (page(told(k=k, side=8, evil="c")) for k in (20, 21, 101))
    assert 'class="matrix"' in numbered
    assert 'class="matrix dense"' in dense
    assert 'class="matrix' not in none
    assert "evaluate --json" in none
    table = re.search(r'<table class="matrix">.*?</table>', numbered, re.DOTALL)
    assert table is not None
    scores = told(k=20, side=8, evil="c").headline
    counts = [int(n) for n in re.findall(r"<td[^>]*>(\d+)</td>", table[0])]
    assert sum(counts) == 400
    assert counts == [n for row in getattr(scores, "confusion") for n in row if n]  # noqa: B009


def test_the_hardest_class_comes_first_and_an_empty_one_has_no_figures() -> None:
    probabilities = np.eye(4)[[0, 0, 1, 0, 2]]
    scores = classified(probabilities, np.array([0, 0, 1, 1, 2]), ["fine", "hard", "easy", "empty"])
    html = page(Story(run={}, scores={"test": scores}))
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td>\d+</td><td>(.*?)</td>', html)
    assert [name for name, _ in rows] == ["hard", "fine", "easy", "empty"]
    assert rows[-1][1] == "–"
    assert "the averages leave it out" in html


@pytest.mark.parametrize(("k", "side"), [(100, 128), (100, 48), (1000, 300)])
def test_under_three_megabytes_whatever_it_tells(k: int, side: int) -> None:
    assert len(page(told(k=k, side=side, evil='"' * 500)).encode()) < 3_000_000


def test_written_whole_and_as_utf8(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "report.html"
    write(path, story)
    assert path.read_text(encoding="utf-8") == page(story)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def cut_out(sprite: Sprite, shown: Shown) -> Any:
    """Follow the CSS as a browser does: the sheet scaled, shifted and cut."""
    data = re.search(r"base64,([^)]*)\)", sprite.css())
    assert data is not None
    sheet = Image.open(io.BytesIO(base64.b64decode(data[1]))).convert("RGB")
    style = sprite.thumb(shown, "picture")
    x, y = (float(v) for v in re.findall(r"position:(\S+)px (\S+)px", style)[0])
    w, h = (float(v) for v in re.findall(r"width:(\S+?)px;height:(\S+?)px", style)[0])
    width = re.search(r"background-size:(\S+?)px", style) or re.search(
        r"background-size:(\S+?)px", sprite.css()
    )
    assert width is not None
    zoom = sheet.width / float(width[1])
    box = [round(v * zoom) for v in (-x, -y, -x + w, -y + h)]
    return np.asarray(sheet.crop((box[0], box[1], box[2], box[3])))


def test_the_sprite_gives_every_picture_back() -> None:
    small = [Shown(noise(8, i, 1)[: 4 + i % 5], "") for i in range(25)]
    sprite = Sprite(small)
    for shown in small:
        assert np.array_equal(cut_out(sprite, shown)[..., :1], shown.picture)


def test_large_pictures_come_back_smaller() -> None:
    flat = [
        Shown(np.full((200 + 40 * i, 300, 3), (10 * i, 200 - 10 * i, 90), np.uint8), "") for i in range(13)
    ]
    sprite = Sprite([*flat, Shown(noise(5), "")])
    for shown in flat:
        assert not isinstance(shown.picture, str)
        cut = cut_out(sprite, shown)
        assert np.abs(cut[4:-4, 4:-4].astype(int) - shown.picture[0, 0]).max() < 12
        assert cut.shape[0] / cut.shape[1] == pytest.approx(shown.picture.shape[0] / 300, abs=0.03)


def test_a_page_without_pictures_has_no_sprite() -> None:
    assert Sprite([]).css() == ""


def luminance(colour: str) -> float:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_to_read(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    light, dark = _template("page.css").split("prefers-color-scheme: dark", 1)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", (light if scheme == "light" else dark).split("* {")[0]))
    pairs = [(text, ground) for text in ("ink", "quiet", "accent") for ground in ("paper", "card", "wash")]
    pairs += [("ink", "hit"), ("ink", "miss")]
    for text, ground in pairs:
        one, other = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (other + 0.05) / (one + 0.05) >= 4.5, (text, ground)
