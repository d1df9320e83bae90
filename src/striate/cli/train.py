"""``striate train``: from pictures to a run folder with a network and its report."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from cyclopts import Parameter

from striate.cli import profiled, show
from striate.cli.flags import Json, Offline, Trust, settings, whole
from striate.errors import RecipeError

if TYPE_CHECKING:
    from striate.api.several import Several
    from striate.runs.folder import Run


def train(
    data: Annotated[str | None, Parameter(show_default=lambda _: "digits")] = None,
    /,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    repeat: Annotated[int | None, Parameter(converter=whole)] = None,
    recipe: Path | None = None,
    offline: Offline = False,
    trust: Trust = False,
    profile: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
    **asked: Any,
) -> None:
    """Train a network on your pictures, sounds or other sequences.

    What you do not set follows from the data and this machine; each choice is explained in a line.

    Parameters
    ----------
    data
        A folder with a folder for each class, a zip or tar of one, an IDX, npz or CSV file, a CIFAR archive,
        or digits, mnist, fashion-mnist, cifar10, cifar100.
    out
        Folder for the run; by default a new one under runs/.
    resume
        Continue the run, or the runs, in this folder from where it stopped.
    repeat
        Train so many times, with seeds seed, seed + 1 and so on: mean and spread.
    recipe
        Take the settings from this recipe, by name (docs/recipes.md) or by file; flags override it.
    profile
        End with where the time of a step goes, layer by layer, and what would help most.
    json
        Print each event as a line of JSON.
    """
    from striate import api

    several = repeat is not None or (asked.get("folds") is not None and asked.get("fold") is None)
    if several and profile:
        raise RecipeError("--profile looks at one training, and this is several.", "Leave one of them away.")
    if several or (resume is not None and (resume / "several.json").exists()):
        _several(
            data,
            json=json,
            repeat=repeat,
            recipe=recipe,
            out=out,
            resume=resume,
            offline=offline,
            trust=trust,
            **asked,
        )
        return
    with show.stream(json=json) as emit:
        run = api.train(
            data,
            recipe=recipe,
            out=out,
            resume=resume,
            offline=offline,
            trust=trust,
            profile=profile,
            emit=emit,
            **asked,
        )
    if profile and not json and (measured := run.path / "profile.json").exists():
        # A pipe gets the folder alone.
        told = profiled.lines(jsonlib.loads(measured.read_text(encoding="utf-8")), show.width())
        print("\n".join([*told, ""]), file=sys.stdout if sys.stdout.isatty() else sys.stderr)
    if not json:
        print("\n".join(summary(run)) if sys.stdout.isatty() else run.path)


def _several(data: str | None, *, json: bool, **asked: Any) -> None:
    from striate import api

    with show.stream(json=json) as emit:
        several = api.train_several(data, emit=emit, **asked)
    if not json:  # into a pipe the folder alone, as for a single run
        print("\n".join(spread(several)), file=sys.stdout if sys.stdout.isatty() else sys.stderr)
        if not sys.stdout.isatty():
            print(several.path)


train.__annotations__["asked"] = Unpack[settings()]  # made from the recipe, so not known to a type checker


def summary(run: Run) -> list[str]:
    """Say what came out and what to do next."""
    from striate.report.markup import noun_of

    split = next((name for name in ("test", "val", "train") if name in run.metrics), None)
    lines = []
    if split:
        measured_on = show.SPLITS[split].format(noun_of(run.info))
        lines = [f"{run.info['model']}, {measured_on}: {show.metrics(run.metrics[split])}"]
    predicts = run.info["task"] in {"classification", "regression"}
    use, on = ("predict", "FILE") if predicts else ("encode", "DATA")
    return [
        *lines,
        f"report     {run.path / 'report.html'}",
        f"{use:10} striate {use} {run.path} {on}",
        f"evaluate   striate evaluate {run.path} DATA",
    ]


def spread(several: Several) -> list[str]:
    """Lay out what came of each run, mean and standard deviation, and where to look."""
    info = several.info
    names = [name for name in show.METRICS if name in info["spread"]]
    found = [[each["metrics"][name] for name in names] for each in info["runs"]]
    means, deviations = ([info["spread"][name][key] for name in names] for key in ("mean", "std"))
    rows: list[list[str]] = [["run", *(show.METRICS[name] for name in names)]]
    for title, values in [
        *((each["path"], values) for each, values in zip(info["runs"], found, strict=True)),
        ("mean", means),
    ]:
        rows.append([title, *(_figure(name, value) for name, value in zip(names, values, strict=True))])
    rows.append(["± sd", *(_figure(name, value, 2) for name, value in zip(names, deviations, strict=True))])
    lines = show.table(rows, within=show.width())
    if "out_of_fold" in info:
        whole, count = info["out_of_fold"], info["suspects"]
        key = whole["headline"].replace(" ", "_")
        key = key if key in whole else "mae"
        low, high = (_figure(key, bound) for bound in whole["interval"])
        lines += [
            f"out of fold  {_figure(key, whole[key])} {whole['headline']} ({low} to {high})",
            f"suspects     {count:,} labels to look at: {several.path / 'suspects.html'}",
        ]
    return lines


def _figure(name: str, value: float, digits: int = 1) -> str:
    return f"{value:.{digits}%}" if name in show.SHARES else f"{value:.3f}"
