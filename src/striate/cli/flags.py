"""The recipe's fields as flags: names, types, defaults and help come from the one class."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_type_hints

from cyclopts import Group, Parameter

from striate.runs.recipe import Recipe, helps

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cyclopts import Token

# Each section of the help starts at this field of the recipe and goes on to the next one named.
SECTIONS = {
    "task": "Data",
    "model": "Network",
    "epochs": "Length",
    "optimizer": "Optimisation",
    "augment": "Augmentation",
    "val": "Split",
    "precision": "Machine",
}

Json = Annotated[bool, Parameter(negative="", show_default=False)]
Offline = Annotated[bool, Parameter(negative="", show_default=False, help="Download nothing.")]
Trust = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Open a run whose model is not part of striate, which runs that model's code.",
    ),
]


def settings(only: Collection[str] = ()) -> Any:
    """Make the typed dictionary of the recipe's fields that cyclopts reads as flags.

    only: these fields, in one section; without it all of them, in sections. A flag that was not given is
    absent, so that a default never counts as an answer. ``data`` is the positional argument and no flag.
    """
    hints = get_type_hints(Recipe, include_extras=True)
    plain = get_type_hints(Recipe)
    texts = helps()
    flags: dict[str, Any] = {}
    group = Group.create_default_parameters() if only else None  # without a group cyclopts hides a flag
    for order, field in enumerate(dataclasses.fields(Recipe)):
        if field.name in SECTIONS and not only:
            group = Group(SECTIONS[field.name], sort_key=order)
        if field.name == "data" or (only and field.name not in only):
            continue
        flags[field.name] = Annotated[
            hints[field.name],
            Parameter(
                group=group,
                help=texts[field.name],
                show_default=False if field.default is None else f"{field.default}",
                converter=whole if plain[field.name] in {int, int | None} else None,
            ),
        ]
    return TypedDict("Settings", flags, total=False)  # type: ignore[operator]


def whole(_type: Any, tokens: Sequence[Token]) -> int:
    """Read a whole number; left alone, cyclopts reads 2.5 as 2."""
    word = tokens[0].value
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"{word} is not a whole number.") from None
