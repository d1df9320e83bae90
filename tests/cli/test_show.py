"""One stream of events shown three ways, and tables of text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.cli import show
from striate.events import Choice, Epoch, Event, Finished, Note, Step, Tried, Tuned, Warned, Working

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

EVENTS: list[Event] = [
    Note("Reading photos."),
    Working("reading", 50, 100),
    Choice("model", "resnet18", "photographs of 213 pixels, which need more depth than small ones"),
    Warned("12 files could not be read."),
    Step(1, 200, 1, 20, 2.1, 0.12, 831.4, 133.0),
    Epoch(1, 10, 0.1, {"loss": 2.0, "accuracy": 0.25}, {"loss": 1.5, "accuracy": 0.5}, 12.34),
    Finished("runs/x", {"test": {"accuracy": 0.831}}, 590.0),
]


def show_all(*, json: bool = False) -> None:
    with show.stream(json=json) as emit:
        for event in EVENTS:
            emit(event)


def test_json_is_one_event_a_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show_all(json=True)
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__.lower() for event in EVENTS]
    assert lines[-1]["metrics"]["test"]["accuracy"] == 0.831
    assert captured.err == ""


def test_a_pipe_gets_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show_all()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Reading photos.",
        "model         resnet18   photographs of 213 pixels, which need more depth than small ones",
        "Warning: 12 files could not be read.",
        "epoch  1/20  accuracy 25.0%  loss 2.000  val accuracy 50.0%  loss 1.500  12.3 s",
    ]


def test_a_pipe_gets_progress_at_most_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = show.Lines(clock=lambda: now)
    for second in range(61):
        now = float(second)
        lines(Working("reading", second, 60))
    told = capsys.readouterr().err.splitlines()
    assert told == [f"reading  {second}/60 files" for second in (10, 20, 30, 40, 50, 60)]


def test_a_finished_epoch_puts_off_the_next_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    now = 9.0
    lines = show.Lines(clock=lambda: now)
    lines(EVENTS[5])
    now = 18.0
    lines(EVENTS[4])
    assert len(capsys.readouterr().err.splitlines()) == 1


TUNED = Tuned(
    (
        Tried("start", "bfloat16-master", None, None, 4e-3, ""),
        Tried("threads", "1", 0.3102, 1.214, 4.2e-3, "taken"),
        Tried("precision", "bfloat16", None, None, 0.3, "wrong"),
        Tried("compile", "on", 12.3456, 1.31, 1e-6, "costs more than it saves"),
    ),
    1.214,
    3.44,
)


def test_what_was_tried_is_a_table_of_80_columns_and_one_line_of_json(
    capsys: pytest.CaptureFixture[str], terminal: Callable[[str], io.StringIO]
) -> None:
    with show.stream() as emit:
        emit(TUNED)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["start", "bfloat16-master"], ["threads", "1"], ["precision", "bfloat16"], ["compile", "on"]
    ]  # fmt: skip
    assert lines[2].split()[2:] == ["310.2", "1.21", "4e-03", "taken"]
    assert lines[-1] == "1.21 times as fast, found in 3.4 s."
    assert max(map(len, lines)) <= 80
    show.json_line(TUNED)
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["tries"][1]["verdict"]) == ("tuned", "taken")
    screen = terminal("stderr")
    with show.stream() as emit:
        emit(TUNED)
    assert all(line in screen.getvalue() for line in lines)


@pytest.mark.parametrize("colour", [False, True])
def test_a_terminal_gets_lines_that_fit_and_a_bar(
    colour: bool, terminal: Callable[[str], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = terminal("stderr")
    if colour:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    show_all()
    seen = screen.getvalue()
    assert "epoch 1/20" in seen
    assert "831 images/s  2:13 left" in seen
    assert "val accuracy 50.0%" in seen
    assert ("\x1b[33m" in seen) is colour  # the warning in yellow
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r", "\n").splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any(line.startswith(" " * 25) and "small ones" in line for line in lines)


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Callable[[str], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = terminal("stderr")
    monkeypatch.setenv("TERM", "dumb")
    show_all()
    assert "\x1b" not in screen.getvalue()


def test_the_progress_of_a_long_run_fits_80_columns() -> None:
    step = Step(99999, 100000, 1000, 1000, 12.3456, 0.99999, 123456.7, 35999.0)
    assert len(show.title(step)) + len(show.detail(step)) + 3 <= 80


def test_a_download_is_told_in_megabytes() -> None:
    assert show.detail(Working("Downloading x", 1_500_000, 9_000_000, "bytes")) == "1.5/9.0 MB"
    assert show.detail(Working("Downloading x", 1_500_000, None, "bytes")) == "1.5 MB"


def test_regression_shows_its_own_metrics() -> None:
    epoch = Epoch(
        3, 30, 0.1, {"loss": 0.5, "mae": 1.25}, {"loss": 0.5, "mae": 1.5, "rmse": 2.0, "r2": 0.9}, 1.0
    )
    assert show.text(epoch) == "epoch 3  loss 0.500  MAE 1.250  val loss 0.500  MAE 1.500  1.0 s"


def test_results_are_as_wide_as_the_terminal_and_unbounded_in_a_pipe(
    terminal: Callable[[str], io.StringIO],
) -> None:
    assert show.width() is None
    terminal("stdout")
    assert show.width() == 80


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=120)


@given(st.lists(st.tuples(names, st.integers(0, 10**6)), min_size=1, max_size=5))
def test_a_table_fits_and_keeps_its_numbers(rows: list[tuple[str, int]]) -> None:
    lines = show.table([("class", "n"), *rows], within=40)
    assert all(len(line) <= 40 for line in lines)
    assert [int(line.split()[-1]) for line in lines[1:]] == [n for _, n in rows]


@given(names, st.integers(1, 130))
def test_a_shortened_name_keeps_its_end(name: str, length: int) -> None:
    short = show.shorten(name, length)
    assert len(short) <= length
    assert name.endswith(short.removeprefix("…"))
