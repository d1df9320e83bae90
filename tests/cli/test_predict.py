"""What ``striate predict`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.cli.predict import lines
from striate.runs.predict import Prediction

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

CAT = Prediction("photos/a.jpg", "cat", 0.9312, (("cat", 0.9312), ("dog", 0.0688)))
PRICE = Prediction("photos/b.jpg", 12.3456)


def test_a_pipe_gets_tab_separated_values() -> None:
    assert lines([CAT]) == ["photos/a.jpg\tcat\t0.9312"]
    assert lines([PRICE]) == ["photos/b.jpg\t12.3456"]


def test_a_terminal_gets_columns_that_fit(terminal: Callable[[str], io.StringIO]) -> None:
    terminal("stdout")
    deep = Prediction("a/" * 60 + "c.jpg", "dog", 0.5, (("dog", 0.5), ("cat", 0.5)))
    told = lines([CAT, deep])
    assert told[0].split() == ["file", "label", "probability", "next", "best"]
    assert told[1].split() == ["photos/a.jpg", "cat", "93.1%", "dog", "6.9%"]
    assert max(len(line) for line in told) <= 80
    assert told[2].startswith("…")


def test_a_number_has_neither_probability_nor_second_best(terminal: Callable[[str], io.StringIO]) -> None:
    terminal("stdout")
    assert [line.split() for line in lines([PRICE])] == [["file", "number"], ["photos/b.jpg", "12.35"]]
