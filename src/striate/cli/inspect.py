"""``striate inspect``: what a network computes, stores and sees, before it is trained."""

from __future__ import annotations

import json as jsonlib
import re
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.cli import show
from striate.cli.flags import Json, Trust
from striate.cli.paths import check_page
from striate.errors import RecipeError


def inspect(
    model: str,
    /,
    *,
    input: str | None = None,  # noqa: A002 - the flag's name
    classes: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    stem: Literal["standard", "small"] | None = None,
    batch: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    optimizer: Literal[
        "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "muon"
    ]
    | None = None,
    explain: str | None = None,
    strict: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    measure: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    html: Path | None = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Say what a network computes, stores and sees, before it is trained.

    Parameters
    ----------
    model
        A network's name, a run folder, or yours as package.module:name, a class, function or instance.
    input
        Shape of one input, such as 3x224x224; a network of ours and a run know their own.
    classes
        Outputs of the network; by default its paper's, or the run's.
    stem
        First layers: as published, or small, which keep pictures of 32 pixels large.
    batch
        Inputs in a step, for the memory; by default 32, or the run's.
    optimizer
        Rule that updates the weights, for the memory; by default momentum, or the run's.
    explain
        Print the arithmetic of one layer, by its name or its number in the table.
    strict
        Refuse a layer whose windows do not fill their input.
    measure
        Train a few steps on this machine, and say how far the predictions were off.
    html
        Draw the network as its volumes, into this file.
    json
        Print one JSON document.
    """
    from striate import api

    _check(json=json, explain=explain, html=html)
    found = api.inspect(
        model,
        None if input is None else _shape(input),
        classes=classes,
        stem=stem,
        batch=batch,
        optimizer=optimizer,
        strict=strict,
        measure=measure,
        trust=trust,
    )
    if html is not None:
        from striate.report import network

        network.write(html, found)
        print(f"wrote {html}")
    elif explain is not None:
        print(found.explain(explain))
    elif json:
        print(jsonlib.dumps(found.json(), allow_nan=False))
    else:
        from striate.summary.table import text

        print(text(found, show.width()))


def _check(*, json: bool, explain: str | None, html: Path | None) -> None:
    """Tell what is wrong before time is spent."""
    asked = {"--json": json, "--explain": explain is not None, "--html": html is not None}
    several = [flag for flag, given in asked.items() if given]
    if len(several) > 1:
        raise RecipeError(f"{' and '.join(several)} each show something else.", "Give one of them.")
    if html is not None:
        check_page(html, "network.html")


def _shape(word: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9][0-9]{0,8}([xX×,*][1-9][0-9]{0,8}){0,3}", word):
        raise RecipeError(
            f"--input {word!r} is no shape.", "Give channels, height and width, such as --input 3x224x224."
        )
    return tuple(int(n) for n in re.split(r"\D", word))
