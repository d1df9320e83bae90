"""How large a volume is drawn, and what is marked on it."""

from __future__ import annotations

import math
import re

import pytest

from striate.report.network import page
from striate.report.network.volumes import Scale
from striate.summary.result import Shape

from .nets import Reader, conv, inception, net, residual, u_net


def test_edges_grow_with_the_square_root() -> None:
    scale = Scale.fit([(64, 100, 50), (256, 25, 25)])
    large, small = scale.box((64, 100, 50)), scale.box((256, 25, 25))
    assert large.tall == pytest.approx(2 * small.tall)
    assert small.thick == pytest.approx(2 * large.thick)
    assert large.right / small.right == pytest.approx(math.sqrt(2))
    assert Scale.fit([(7,), (28,)]).box((28,)).tall == pytest.approx(
        2 * Scale.fit([(7,), (28,)]).box((7,)).tall
    )


@pytest.mark.parametrize(
    "shape", [(2048, 1, 1), (1, 4096, 4096), (1, 1_000_000), (3, 8, 64, 64), (), (25088,), (0, 4)]
)
def test_any_shape_has_a_box_that_fits_the_page(shape: Shape) -> None:
    box = Scale.fit([shape]).box(shape)
    assert 4 <= box.thick <= 100
    assert 4 <= box.tall <= 200
    assert 0 < box.right < 80


def test_a_concatenation_is_made_of_slices_as_thick_as_its_parts() -> None:
    inspected = inception()
    body = page(inspected)
    found = re.search(r'<g class="cat">.*?</g><g class="cat">.*?</g>(?!<g class="cat">)', body)
    assert found
    first, second = (float(thick) for thick in re.findall(r'class="f" d="M\S+ \S+?v\S+?h(\S+?)v', found[0]))
    assert second / first == pytest.approx(12 / 4, rel=0.01)


def test_rows_that_are_never_seen_are_marked_where_they_are() -> None:
    whole = net((3, 32, 32), conv("conv", (3, 32, 32), 8, 2, stride=2))
    assert 'class="lost"' not in page(whole)
    assert "never seen by the next layer" not in page(whole)
    losing = net((3, 31, 32), conv("conv", (3, 31, 32), 8, 2, stride=2))
    body = page(losing)
    picture = Reader(body)
    assert body.count('class="lost"') == 1  # rows, no columns
    assert body.index('class="lost"') < body.index(">input<")  # on the input, which the layer reads
    assert body.count('class="mark"') == 1
    assert body.index('class="mark"') > body.index(">input<")  # on the layer
    assert "1 layer never sees the end of what it reads" in picture.words
    assert "conv: the last are never seen" in picture.words
    assert picture.words.count("the last are never seen") == 3  # list, tip, table


def test_a_signal_is_marked_on_its_front() -> None:
    body = page(net((2, 31), conv("conv", (2, 31), 8, 2, stride=2)))
    assert body.count('class="lost"') == 2
    assert "signal" in body
    assert ">length<" in body
    assert "columns" not in Reader(body).words


def test_a_skip_too_long_to_be_drawn_gets_a_letter() -> None:
    words = Reader(page(u_net())).words
    assert words.count("→ A") == 2  # over the tensor, and in the legend
    assert words.count("A →") == 2  # over its reader, and in the legend
    assert "Where no line leads" not in Reader(page(residual())).words
