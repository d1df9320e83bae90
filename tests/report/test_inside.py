"""The page of what is inside a network: whole, harmless, under 3 MB, and fit for a phone in the dark."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from striate import explain
from striate.report import Shown
from striate.report.inside import (
    Filters,
    Looked,
    Made,
    Map,
    Maps,
    Mistake,
    Network,
    Points,
    Unit,
    drawn,
    section,
)
from striate.report.inside.methods import METHODS
from striate.report.inside.page import page

from .conftest import EVIL, noise
from .test_browser import chromium, opened, trap

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["chromium", "trap"]  # fixtures
INFO = {"run": EVIL, "model": EVIL, "data": {"name": EVIL}, "versions": {"striate": "0.1.0"}}


def pictured(side: int = 32, name: str = EVIL, badge: str = "moves: rank correlation 0.04") -> Looked:
    rng = np.random.default_rng(0)

    def made(method: str) -> Map:
        if METHODS[method].pattern:
            return Map(method, rng.normal(size=(3, side, side)), None, badge)
        plane = (side, side)
        return Map(method, rng.normal(size=plane), rng.normal(size=plane), badge, coarse=(4, 4))

    return Looked(
        name,
        noise(side),
        ((name, 0.7), ("cat", 0.2999), ("dog", 0.0001)),
        target=name,
        versus="cat",
        note=name,
        maps=[made(method) for method in METHODS],
        layers=[Maps(name, "Conv2d", list(range(16)), rng.normal(size=(16, 8, 8)), 64)],
        near=[Shown(noise(side, i), name, name) for i in range(6)],
        seen=5000,
    )


def network(name: str = EVIL) -> Network:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    one = {"name": name, "gradient": 0.1, "update": 1e-3}
    records: list[dict[str, Any]] = [{"epoch": i, "step": i, "layers": [one, one]} for i in range(4)]
    return Network(
        filters=[Filters(name, "Conv2d", rng.normal(size=(8, 3, 5, 5)), 64)],
        mistakes=[
            Mistake(noise(16), name, "cat", name, rng.normal(size=(16, 16)), rng.normal(size=(16, 16)))
        ],
        method="grad-cam",
        badge=name,
        units=[Unit(name, [Shown(noise(9), name, name)] * 9, noise(16)), Unit(name, [Shown(noise(9), name)])],
        searched=2000,
        made=[Made(name, noise(16))],
        layers=[Maps(name, "Conv2d", [3, 1], rng.normal(size=(2, 8, 8)), 2)],
        health=explain.look(model, torch.rand(32, 3, 8, 8), records=records),
        points=[
            Points("PCA", rng.normal(size=(40, 2)), np.arange(40) % 3, [name, "cat", "dog"], labelled=True)
        ],
    )


def test_nothing_in_a_name_becomes_part_of_the_page() -> None:
    body = page(INFO, [pictured()], network())
    assert "<script" not in body
    assert "<img src=http" not in body
    assert set(re.findall(r'(?:src|href)="([^"#]{5})', body)) == {"data:"}
    assert body.encode()


def test_every_map_carries_its_badge_and_its_paper() -> None:
    body = page(INFO, [pictured()], Network())
    figures = [part for part in body.split("<figure>")[1:] if "<figcaption>" in part]
    assert len(figures) == len(METHODS)
    for method, figure in zip(METHODS.values(), figures, strict=True):
        assert method.title in figure
        assert method.paper.partition(";")[0] in figure
        assert "rank correlation 0.04" in figure


def test_patterns_are_no_answer_to_why_this_class() -> None:
    body = page(INFO, [pictured(name="shoe")], Network())
    why, patterns = body.split("What pattern in it drove the network")
    assert "Why shoe, and why not cat" in why
    assert "Deconvnet" not in why
    assert "Guided" not in why
    assert patterns.count("does not say why this class") == 2
    assert "for cat" not in patterns


def test_a_map_that_hardly_moves_stands_out() -> None:
    told = pictured()
    still = replace(told, maps=[replace(one, moves=False) for one in told.maps])
    assert "badge still" in page(INFO, [still], Network())
    assert "badge still" not in page(INFO, [told], Network())


@pytest.mark.parametrize(("count", "side"), [(3, 224), (8, 224), (8, 64)])
def test_stays_under_3_mb_even_of_noise(count: int, side: int) -> None:
    assert len(page(INFO, [pictured(side)] * count, Network())) < 3e6


def test_what_was_not_gathered_has_no_section() -> None:
    body = page(INFO, [], Network())
    assert "<section" not in body
    numbers = Looked("a.png", noise(8, channels=1), (("3.2", None),))
    assert "Why" not in page(INFO, [numbers], Network())


def test_numbers_have_no_class_to_compare_with() -> None:
    told = replace(pictured(), top=(("3.2", None),), target="", versus="")
    told = replace(told, maps=[replace(one, other=None) for one in told.maps])
    body = page(INFO, [told], Network())
    assert "What raises the number" in body
    assert "why not" not in body


def test_the_report_of_a_training_gets_kernels_and_mistakes() -> None:
    body = section(network("c1"))
    assert "Kernels of c1" in body
    assert "the first 8 of 64" in body
    assert "cat, called c1" in body
    assert section(Network()) == ""


def test_the_files_are_pictures_with_names_that_every_system_takes(tmp_path: Path) -> None:
    written = drawn(tmp_path, [pictured()], network())
    assert len(set(written)) == len(written)
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+\.png", path.name) for path in written)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_no_file_takes_the_place_of_another_of_a_like_name(tmp_path: Path) -> None:
    names = ["猫", "犬", "Cat", "cat", "c" * 300]
    told = Network(made=[Made(name, noise(16, seed)) for seed, name in enumerate(names)])
    written = drawn(tmp_path, [], told)
    assert len({path.name.lower() for path in written}) == len(names)
    assert len({path.read_bytes() for path in written}) == len(names)


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_fits_a_phone_and_a_desk_and_asks_nobody(
    chromium: str,
    tmp_path: Path,
    trap: tuple[int, list[str]],
    dark: bool,
) -> None:
    port, asked = trap
    body = page(INFO, [pictured()], network())
    for found in opened(chromium, tmp_path, body, dark=dark, port=port):
        assert found["scrolls"] <= found["width"], found["wide"]
        assert found["wide"] == []
        assert found["requested"] == []
        paper, ink, label = (
            sum(map(int, re.findall(r"\d+", found[key])[:3])) / 3 for key in ("paper", "ink", "drawn")
        )
        assert (paper < 60 and ink > 200) if dark else (paper > 200 and ink < 60)
        assert (label > 120) if dark else (label < 120)
    assert asked == []
