"""Exit codes, the two lines of an error, and help that imports nothing heavy."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import striate
from striate.cli import data, evaluate, main, predict, train
from striate.errors import Interrupted, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "pydantic", "PIL"}


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in main.COMMANDS)])
def test_help_fits_80_columns_and_says_nothing_of_none(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.main(words) == 0
    out = capsys.readouterr().out
    assert "None" not in out
    assert max(len(line) for line in out.splitlines()) <= 80


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in main.COMMANDS)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; from striate.cli.main import main; main({words}); heavy = {sorted(HEAVY)};"
        "print(*set(heavy) & set(sys.modules), file=sys.stderr)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stderr.split() == []


def test_the_list_of_commands_says_what_each_command_says() -> None:
    for name, module in {"train": train, "data": data, "predict": predict, "evaluate": evaluate}.items():
        command = getattr(module, name)
        assert (inspect.getdoc(command) or "").splitlines()[0] == main.COMMANDS[name]


def test_python_m_striate_tells_the_version() -> None:
    words = [sys.executable, "-m", "striate", "--version"]
    out = subprocess.run(words, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == striate.__version__


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        (["train", "--epohcs", "3"], "Unknown option --epohcs.", "Did you mean --epochs?"),
        (["train", "--epohcs=3"], "Unknown option --epohcs.", "Did you mean --epochs?"),
        (["train", "--wibble"], "Unknown option --wibble.", "See: striate train --help"),
        (["trian"], 'Unknown command "trian". Did you mean "train"?', ""),
        (["train", "a", "b"], "Too many arguments. Received: b.", "See: striate train --help"),
        (["train", "--epochs", "2.5"], "Invalid value for --epochs: 2.5 is not a whole number.", ""),
        (["train", "--fit", "stretch"], 'Invalid value "stretch" for --fit.', '"crop", "pad", "squash"'),
        (["predict"], "RUN", "See: striate predict --help"),
        (["evaluate", "runs/x"], "DATA", "See: striate evaluate --help"),
        (["data"], "DATA", "See: striate data --help"),
    ],
)
def test_a_mistake_in_the_words_is_two_plain_lines_and_exit_code_2(
    words: list[str], first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert first in captured.err
    assert second in captured.err
    assert len(captured.err.splitlines()) <= 2
    assert "─" not in captured.err


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (RecipeError("What.\nWhere.", "Do this."), 2, ["What. Where.", "Do this."]),
        (RecipeError("What."), 2, ["What."]),
        (Interrupted("Stopped.", "Go on so."), 130, ["Stopped.", "Go on so."]),
        (KeyboardInterrupt(), 130, ["Stopped."]),
        (
            MemoryError(),
            2,
            ["There is not enough memory.", "Try a smaller --size, --length or --batch, or less data."],
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            ["There is not enough memory.", "Try a smaller --size, --length or --batch, or less data."],
        ),
        (
            KeyError("secret"),
            1,
            ["striate: internal error: KeyError: 'secret'. Run again with --debug for the traceback."],
        ),
    ],
)
def test_every_error_ends_in_at_most_two_lines(
    error: BaseException, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise error

    main.app.command(broken, name="broken")
    try:
        assert main.main(["broken"]) == code
        assert capsys.readouterr().err.splitlines() == lines
        assert main.main(["broken", "--debug"]) == code
        assert "Traceback" in capsys.readouterr().err
    finally:
        del main.app["broken"]


def test_warnings_of_libraries_do_not_reach_the_user() -> None:
    code = (
        "import sys, warnings, logging; from striate.cli import main\n"
        "def noisy():\n    warnings.warn('loud'); logging.getLogger('x').warning('loud')\n"
        "main.app.command(noisy); sys.exit(main.main(['noisy']))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = (
        "import sys; from striate.cli import main\n"
        "def long():\n    for i in range(100000): print(i)\n"
        "main.app.command(long); sys.exit(main.main(['long']))"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_the_terminal_cannot_show_is_still_said(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    words = [sys.executable, "-m", "striate", "data", str(tmp_path / "größe\udcff")]
    out = subprocess.run(words, capture_output=True, env=environment, check=False)
    assert out.returncode == 2
    assert b"Traceback" not in out.stderr
    assert 1 <= len(out.stderr.splitlines()) <= 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_output_that_a_full_disk_does_not_take_is_no_mistake_of_ours() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "striate", "data", "digits", "--json"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert "The disk is full" in ended.stderr
    assert "internal" not in ended.stderr


def test_the_home_of_nobody_is_no_such_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["data", "~nobody-of-this-name/photos"]) == 2
    assert "No such file, folder or data set" in capsys.readouterr().err
