"""``striate``: finds the command, and turns every error into at most two lines and an exit code.

Exit codes: 0 done; 2 a mistake of the input; 130 stopped with Ctrl-C; 1 a mistake of the program.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnknownOptionError, UnusedCliTokensError

from striate import __version__
from striate.errors import Interrupted, StriateError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

app = App(
    name="striate",
    help="From a folder of pictures to a convolutional network that its owner understands.",
    help_epilogue="With --debug, any command shows the traceback of its error.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
COMMANDS = {
    "inspect": "Say what a network computes, stores and sees.",
    "models": "List the networks that are built in, with their parameters and multiply-adds.",
    "train": "Train a network on your pictures, sounds or other sequences.",
    "data": "Check a data set: counts, sizes, unreadable files, duplicates.",
    "predict": "Predict pictures or sequences with a run.",
    "evaluate": "Measure a run on labelled data; one that learnt without labels, without.",
    "explain": "Look inside a run: why it answers as it does, and what it has learned.",
    "stress": "Say where a run breaks: accuracy when its pictures or sequences are moved, hidden or damaged.",
    "scan": "Find a run's classes in a larger picture, or in a long recording.",
    "encode": "Write the codes of a data set, and draw them as a map.",
    "reconstruct": "Measure what an autoencoder gives back, beside PCA.",
    "bench": "Measure this machine, and a training step against bare PyTorch.",
}
# Given as text, so that a command's file is imported only when its help or the command itself is asked for.
for _order, (_name, _help) in enumerate(COMMANDS.items()):
    app.command(f"striate.cli.{_name}:{_name}", name=_name, help=_help, sort_key=_order)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    argv: the words after ``striate``; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger().addHandler(logging.NullHandler())  # libraries' log lines are not for users
    try:
        with warnings.catch_warnings():
            if not debug and not sys.warnoptions:
                warnings.simplefilter("ignore")
            app(_spelt_out(words), exit_on_error=False, print_error=False)
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where errors end
        if debug:
            traceback.print_exc()
        return _explain(error, words)
    return 0


def _spelt_out(words: list[str]) -> list[str]:
    """Leave out --debug, and say what ``--freeze`` alone means: cyclopts has no flag with a default value."""
    known = [word for word in words if word != "--debug"]
    following = [*known[1:], "--"]
    return [
        part
        for word, after in zip(known, following, strict=True)
        for part in ([word, "body"] if word == "--freeze" and after.startswith("--") else [word])
    ]


def _explain(error: BaseException, words: list[str]) -> int:
    match error:
        case Interrupted():
            return _say(error.message, error.hint, code=130)
        case KeyboardInterrupt():
            return _say("Stopped.", code=130)
        case StriateError():
            return _say(error.message, error.hint)
        case CycloptsError():
            return _say(*_usage(error, words))
        case _ if isinstance(error, MemoryError) or "allocate memory" in str(error):  # torch's has no name
            return _say(
                "There is not enough memory.", "Try a smaller --size, --length or --batch, or less data."
            )
        case OSError() if error.errno == errno.ENOSPC:
            return _say(
                "The disk is full: not everything could be written.", "Free some space, and try again."
            )
    what = f"{type(error).__name__}: {error}".strip(": .")
    return _say(f"striate: internal error: {what}. Run again with --debug for the traceback.", code=1)


def _usage(error: CycloptsError, words: list[str]) -> tuple[str, str]:
    command = next((word for word in words if word in app), "")
    hint = f"See: striate {command} --help" if command else "See: striate --help"
    if isinstance(error, UnknownOptionError):
        word = (error.token.keyword or error.token.value).split("=")[0]
        known = [name[2:] for argument in error.argument_collection for name in argument.names]
        near = did_you_mean(word.lstrip("-"), known)
        return f"Unknown option {word}.", near.replace("mean ", "mean --") if near.startswith("Did") else hint
    if isinstance(error, UnusedCliTokensError):
        return f"Too many arguments. Received: {' '.join(error.unused_tokens or [])}.", hint
    error.verbose = False
    return str(error), hint


def _say(*lines: str, code: int = 2) -> int:
    for line in lines:
        if line:
            print(" ".join(line.split()), file=sys.stderr)
    return code
