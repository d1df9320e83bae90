"""What the page says, and what kind of file it is."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest

from striate.report.network import page, write
from striate.report.network.page import _template
from striate.summary.result import Measured, Memory

from .nets import Reader, call, chain, conv, dense, long_net, net, residual

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert(1)</script>\"'&${x}\u202e\ud800"


def test_operators_that_cannot_be_counted_and_weights_that_are_not_used_are_named() -> None:
    body = Reader(
        page(
            net(
                (4,),
                call("odd", "Odd", (5,), uncounted=("aten.weird", "aten.other")),
                unused=(("spare", 1200),),
            )
        )
    ).words
    assert "odd: multiply-adds not counted: aten.weird, aten.other" in body
    assert "spare: 1,200 parameters that the forward pass never uses" in body


def test_a_warning_is_listed_once() -> None:
    losing = net(
        (3, 31, 32), conv("conv", (3, 31, 32), 8, 2, stride=2), warnings=("conv: the last are never seen",)
    )
    assert Reader(page(losing)).words.count("the last are never seen") == 3
    many = net((1, 9, 9), *(call(f"odd{i}", "Odd", (i + 1,), uncounted=("x",)) for i in range(12)))
    assert "9 more" in Reader(page(many)).words


def test_the_headline_has_the_numbers() -> None:
    inspected = chain(model="small")
    words = Reader(page(inspected)).words
    assert words.lstrip().startswith("Striate network\nsmall\n20,712 parameters, 241,664 multiply-adds")
    needs = 4 * 20_712 + 4 * (3 * 8192 + 2048 + 2048 + 10)
    assert f"for one 3 × 32 × 32 picture; training at batch 32 needs {needs / 1e3:.0f} kB." in words
    assert (
        "From 3 × 32 × 32 to 10 in 2 layers with weights: the picture shrinks from 32 × 32 to 16 × 16"
        in words
    )
    assert "its channels grow from 3 to 8" in words


def test_every_volume_tells_its_numbers_to_a_pointer_and_to_a_screen_reader() -> None:
    inspected = chain()
    read = Reader(page(inspected))
    volumes = read.having("class", "v")
    assert len(volumes) == 5
    assert all(v["tabindex"] == "0" and v["role"] == "img" for v in volumes)
    assert (volumes[1]["aria-label"] or "").replace("\u202f", " ") == (
        "conv1, Conv2d: 3 × 32 × 32 to 8 × 32 × 32, 216 parameters, 221,184 multiply-adds"
    )
    tip = read.words[read.words.index("conv1 Conv2d 3 × 3, padding 1") :]
    for told in ("Parameters216", "Multiply-adds221,184", "One unit sees3 × 3", "Kept for training33 kB"):
        assert told in tip
    assert (
        tip.index("then bn1 BatchNorm2d: 16 parameters")
        < tip.index("then relu relu")
        < tip.index("MaxPool2d")
    )


def test_the_table_has_every_row_and_says_what_it_reads() -> None:
    inspected = residual(projection=True)
    body = page(inspected)
    rows = re.findall(r"<tr><td>(\d+)</td><th scope=\"row\">(.*?)</th>(.*?)</tr>", body)
    assert [(int(n), name) for n, name, _ in rows] == list(
        enumerate((layer.name for layer in inspected.layers), 1)
    )
    assert "reads 4, 5" in rows[5][2]
    assert "reads" not in rows[1][2]


def test_frozen_shared_and_misfitting_rows_are_noted() -> None:
    shape = (8, 4, 4)
    words = Reader(
        page(
            net(
                shape,
                conv("a", shape, 8, 1) | {"trainable": 0},
                conv("b", shape, 8, 1) | {"parameters": 0, "shared_with": "a"},
                conv("c", shape, 8, 1) | {"misfit": "5 fit", "warning": ""},
            )
        )
    ).words
    assert "64, 64 frozen" in words
    assert words.count("the same weights as a") == 2
    assert words.count("5 fit") == 2


def test_numbers_are_summed_by_stage_where_there_are_many() -> None:
    few = page(residual())
    assert ">block.conv1</th>" in few.split('class="sits"')[1].split("</table>")[0]
    many = page(long_net(3, 4)).split('class="sits"')[1].split("</table>")[0]
    assert re.findall(r'<th scope="row">(.*?)</th>', many) == ["conv1", "layer1", "layer2", "layer3", "fc"]
    numbers = [int(n.replace(",", "")) for n in re.findall(r"<b>(.*?)</b>", many)]
    widths = [float(w) for w in re.findall(r"width:(\S+?)%", many)]
    totals = long_net(3, 4).totals
    for column, whole in enumerate((totals.parameters, totals.multiply_adds)):
        own, bars = numbers[column::2], widths[column::2]
        assert sum(own) == whole
        assert bars == pytest.approx([100 * n / max(own) for n in own], abs=0.01)


def test_the_parts_of_the_memory_fill_its_bar() -> None:
    body = page(chain())
    bar = body.split('class="stack"')[1].split("</div>")[0]
    widths = [float(width) for width in re.findall(r"width:(\S+?)%", bar)]
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert "Of the memory of a step: activations 58.1\xa0%, parameters 41.9\xa0%." in bar


def test_a_network_that_cannot_be_trained_says_so() -> None:
    words = Reader(page(chain(memory=Memory(inference=1000, training=None)))).words
    assert "it cannot be trained at batch 32" in words
    assert "a forward pass alone takes 1.0 kB" in words


def test_what_was_measured_is_told() -> None:
    measured = Measured(0.05, 640.0, 78.1, 50_000, 400_000_000, 380_000_000, "cpu")
    words = Reader(page(chain(measured=measured))).words
    assert "a step added 400 MB to the process where 380 MB were predicted" in words
    assert "It trains 640 pictures a second: 1 min 18 s for an epoch of 50,000." in words


def test_a_vector_and_a_signal_have_words_of_their_own() -> None:
    vector = Reader(page(net((10,), dense("0", 10, 64), call("1", "ReLU", (64,)), dense("2", 64, 3)))).words
    assert "for one example of 10 values" in vector
    assert "From 10 to 3 in 2 layers with weights." in vector
    assert "A vector is a bar" in vector
    assert "Edges grow" not in vector
    signal = Reader(page(net((1, 64), conv("conv", (1, 64), 4, 2, stride=2)))).words
    assert "the signal shortens from 64 to 32" in signal


def test_a_network_without_layers_is_its_input() -> None:
    words = Reader(page(net((3, 8, 8)))).words
    assert "0 parameters" in words
    assert "From 3 × 8 × 8 to 3 × 8 × 8 in 0 layers with weights." in words


def test_what_looks_the_same_is_folded_in_a_long_network_only() -> None:
    assert "<details" not in page(long_net(2, 3))
    body = page(long_net(3, 5))
    assert re.findall(r"<summary><b>\+ (\d+)</b> like it<small>(.*?)</small>", body) == [
        ("4", f"layer{i}.1 to layer{i}.4") for i in (1, 2, 3)
    ]
    assert body.count('class="stage"') == 3
    different = long_net(3, 5)
    layers = list(different.layers)
    layers[13] = dataclasses.replace(layers[13], kind="Dropout")  # inside layer1.1
    changed = page(dataclasses.replace(different, layers=tuple(layers)))
    assert "layer1.3 to layer1.4" in changed


def test_a_network_as_long_as_resnet_152_stays_under_a_megabyte() -> None:
    inspected = long_net(5, 10)
    assert len(inspected.layers) > 500
    assert len(page(inspected).encode()) < 1_000_000


def test_hostile_names_stay_text() -> None:
    inspected = residual()
    layers = tuple(
        dataclasses.replace(layer, name=EVIL, kind=EVIL, module=f"a.{EVIL}", warning=EVIL)
        for layer in inspected.layers
    )
    evil = dataclasses.replace(
        inspected, model=EVIL, layers=layers, optimizer=EVIL, warnings=(EVIL * 9,), unused=((EVIL, 1),)
    )
    for body in (page(evil), page(dataclasses.replace(evil, warnings=()))):
        read = Reader(body)
        assert "<script>alert(1)</script>" in read.words
        assert "\u202e" not in body
        body.encode()
        assert {tag for tag, _ in read.tags}.isdisjoint({"script", "img", "link", "iframe", "object"})
        allowed = (
            "class style role id href lang charset http-equiv content name scope tabindex d x y width height "
            "transform text-anchor"
        )
        for tag, attributes in read.tags:
            for name, value in attributes.items():
                assert name in allowed.split() or name.startswith("aria-"), (tag, name)
                assert name != "href" or (value or "").startswith("#")


def test_the_page_forbids_itself_everything_else() -> None:
    policy = Reader(page(chain())).having("http-equiv", "Content-Security-Policy")
    assert [a["content"] for a in policy] == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_it_can_be_read_without_seeing_it() -> None:
    read = Reader(page(residual()))
    pictures = read.having("role", "img")
    assert all(len(a["aria-label"] or "") > 10 for a in pictures)
    drawing = next(a for a in read.having("class", "drawing"))
    assert (drawing["aria-label"] or "").startswith("The network as its volumes. From")
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in read.tags:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids
        if tag == "th":
            assert attributes.get("scope") in {"row", "col"}
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"


def test_written_whole_and_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "net.html"
    write(path, chain())
    assert path.read_text(encoding="utf-8") == page(chain())
    assert [p.name for p in tmp_path.iterdir()] == ["net.html"]


def luminance(colour: str) -> float:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_enough_to_read_and_to_tell_volumes_from_the_ground(scheme: int) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: 4.5 to 1 for text; 3 to 1 for what must be seen, or its outline."""
    colours: dict[str, str] = {}
    for name in ("page.css", "network.css"):
        part = _template(name).split("prefers-color-scheme: dark", 1)[scheme].split("}")[0]
        colours |= dict(re.findall(r"--(\w+): (#\w{6})", part))
    for ground in ("paper", "card", "wash"):
        assert contrast(colours["bad"], colours[ground]) >= 4.5
    for kind in ("conv", "pool", "dense", "cat"):
        assert contrast(colours[kind], colours["card"]) >= 3, kind
