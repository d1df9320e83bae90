"""One self-contained page about a network: no script, nothing loaded from elsewhere.

What a pointer or the keyboard's focus shows is CSS, so the page works where scripts are not trusted. A
network of 152 layers takes half a megabyte.
"""

from __future__ import annotations

import itertools
import math
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from striate import files
from striate.report.markup import duration, facts, number, percent, plural, text
from striate.report.network import flow, rows
from striate.report.network.blocks import unit
from striate.report.network.rows import extents, one, size, thing, times
from striate.report.network.volumes import Picture, key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from striate.report.network.flow import Group, Stage, Volume
    from striate.summary.result import Inspected

SHORT = 16  # more layers with weights than this are summed by stage
WARNINGS = 4  # more are folded
SLICES = {"norm", "act", "drop"}  # kinds that are worn, as a rule
PARTS = {
    "activations": "kept for the backward pass; grows with the batch",
    "temporary": "alive for a moment, at the peak",
    "parameters": "the weights themselves",
    "gradients": "one for each trainable weight",
    "optimizer": "what it remembers of each weight",
    "buffers": "stored but not trained, such as running means",
    "input": "the batch itself",
}


def write(path: Path, inspected: Inspected) -> None:
    """Write the page of a network, whole or not at all.

    Raises StriateError when the disk is full or the folder cannot be written.
    """
    files.write_text(path, page(inspected))


def page(inspected: Inspected) -> str:
    """Lay out the whole page as HTML."""
    drawn = flow.volumes(inspected)
    stages = flow.stages(drawn, inspected.layers)
    sections = (
        ("sits", "Where the numbers sit", sits(inspected, stages, drawn)),
        ("memory", "Memory", memory(inspected)),
        ("rows", "Every row", _every_row(inspected)),
    )
    told = [section for section in sections if section[-1]]
    return Template(_template("network.html")).substitute(
        title=text(f"{inspected.model} – Striate network"),
        style=_template("page.css") + _template("network.css"),
        name=text(inspected.model),
        lead=_lead(inspected),
        contents="".join(f'<a href="#{name}">{title}</a>' for name, title, _ in told),
        drawing=drawing(inspected, drawn, stages),
        warnings=_warnings(inspected),
        sections="\n".join(
            f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{title}</h2>{body}</section>'
            for name, title, body in told
        ),
    )


def _template(name: str) -> str:
    return (resources.files("striate.report") / "templates" / name).read_text(encoding="utf-8")


def _lead(inspected: Inspected) -> str:
    totals = inspected.totals
    return (
        f"<b>{totals.parameters:,}</b> parameters, <b>{totals.multiply_adds:,}</b> multiply-adds for one "
        f"{one(inspected.input)}; {_training(inspected)}."
    )


def _training(inspected: Inspected) -> str:
    needs = inspected.memory.training
    if needs is None:
        return f"it cannot be trained at batch {inspected.batch:,}"
    return f"training at batch {inspected.batch:,} needs <b>{size(needs)}</b>"


def finding(inspected: Inspected) -> str:
    """Say in plain words what the picture shows; it stands in for the picture."""
    layers, start = inspected.layers, inspected.input
    weighted = sum(1 for layer in layers if layer.parameters and layer.multiply_adds)
    last = layers[-1].output if layers else start
    said = f"From {times(start)} to {times(last)} in {plural(weighted, 'layer')} with weights"
    shapes = [start, *(layer.output for layer in layers if len(layer.output) == len(start))]
    # What global pooling leaves is no longer a picture.
    shapes = [shape for shape in shapes if math.prod(extents(shape)[1:]) > 1] or [start]
    least = min(shapes, key=lambda shape: math.prod(extents(shape)[1:]))
    if least[1:] != start[1:]:
        shrinks = {3: "the picture shrinks", 2: "the signal shortens"}.get(len(start), "it shrinks")
        said += f": {shrinks} from {times(start[1:])} to {times(least[1:])}"
        said += f" and grows back to {times(last[1:])}" if last in shapes and last[1:] != least[1:] else ""
        most = max(shape[0] for shape in shapes)
        said += f", its channels grow from {start[0]:,} to {most:,}" if most > start[0] else ""
    lossy = sum(1 for layer in layers if rows.loses(layer))
    if not lossy:
        return f"{said}."
    end = "the end of what it reads" if lossy == 1 else "the ends of what they read"
    return f"{said}. {plural(lossy, 'layer never sees', 'layers never see')} {end}."


def drawing(inspected: Inspected, drawn: Sequence[Volume], stages: Sequence[Stage]) -> str:
    """Draw the network as its volumes, with the colours above and how to read it below."""
    picture = Picture.of(
        inspected.layers,
        drawn,
        [part for stage in stages for part in stage.units],
        lambda at: rows.label(inspected, drawn[at]),
        lambda at: rows.tip(inspected, drawn[at]),
    )
    body = "".join(_stage(picture, stage, inspected) for stage in stages)
    said = finding(inspected)
    return (
        f'<figure><figcaption>{said}</figcaption>{_colours(picture)}<div class="drawing" role="group" '
        f'aria-label="The network as its volumes. {said}">{body}</div>{_how_to_read(picture)}</figure>'
    )


def _colours(picture: Picture) -> str:
    kinds = _kinds(picture)
    items = "".join(
        f'<li class="{kind}{" slice" if kind in SLICES else ""}">{word}</li>'
        for kind, word in flow.KINDS.items()
        if kind in kinds
    )
    if any(rows.loses(layer) for layer in picture.layers):
        items += '<li class="never">never seen by the next layer</li>'
    return f'<ul class="kinds">{items}</ul>' if items else ""


def _kinds(picture: Picture) -> set[str]:
    return {flow.kind_of(layer) for at in range(len(picture.drawn)) for layer in picture.rows(at)}


def _how_to_read(picture: Picture) -> str:
    ranks = {len(volume.shape) for volume in picture.drawn}
    told = ["Point at a volume, or reach it with the tab key, for its numbers."]
    if max(ranks) > 1:
        told.append("Edges grow with the square root: four times the pixels, twice the edge.")
    if min(ranks) < 2:
        told.append("A vector is a bar; its height grows with the square root of its units.")
    if _kinds(picture) & SLICES:
        told.append("Slices are what a volume goes through before it is read.")
    if any(layer.window and any(axis.stride > 1 for axis in layer.window.axes) for layer in picture.layers):
        told.append("<code>/2</code> is a stride of 2.")
    if picture.ports:
        told.append("Where no line leads, a letter does: → A is read again at A →.")
    return f'<div class="legend">{key(len(picture.drawn[0].shape))}<p class="note">{" ".join(told)}</p></div>'


def _stage(picture: Picture, stage: Stage, inspected: Inspected) -> str:
    inside = ""
    for like, run in itertools.groupby(stage.groups, key=lambda group: group.like):
        groups = list(run)
        drawn = "".join(_group(picture, group, stage) for group in groups)
        inside += _folded(groups, drawn) if like else drawn
    if not stage.title:
        return f'<div class="flow scroll">{inside}</div>'
    return (
        f'<div class="stage" role="group" aria-label="{text(stage.title)}"><p class="title">'
        f'{text(stage.title, 40)}</p><p class="share">{_share(picture, stage, inspected)}</p>'
        f'<div class="flow scroll">{inside}</div></div>'
    )


def _share(picture: Picture, stage: Stage, inspected: Inspected) -> str:
    layers = [layer for part in stage.units for at in part.volumes for layer in picture.rows(at)]
    totals = inspected.totals
    sums = (
        ("parameters", sum(layer.parameters for layer in layers), totals.parameters),
        ("multiply-adds", sum(layer.multiply_adds for layer in layers), totals.multiply_adds),
    )
    return ", ".join(f"{percent(part / whole, 0)} of {what}" for what, part, whole in sums if part and whole)


def _group(picture: Picture, group: Group, stage: Stage) -> str:
    inside = "".join(unit(picture, part, group.path or stage.title) for part in group.units)
    if not group.path or group.path == stage.title:
        return inside
    path = text(rows.below(group.path, stage.title), 40)
    return f'<div class="group"><p class="path">{path}</p><div class="flow scroll">{inside}</div></div>'


def _folded(groups: Sequence[Group], inside: str) -> str:
    names = " to ".join(dict.fromkeys(text(group.path, 40) for group in (groups[0], groups[-1])))
    return (
        f'<details class="more"><summary><b>+ {len(groups):,}</b> like it<small>{names}</small></summary>'
        f'<div class="flow scroll">{inside}</div></details>'
    )


def _warnings(inspected: Inspected) -> str:
    """List what was warned of, and what a row warns of that no warning names."""
    own = [(layer.name, rows.note(layer)) for layer in inspected.layers if rows.amiss(layer)]
    own += [
        (name, f"{plural(n, 'parameter')} that the forward pass never uses") for name, n in inspected.unused
    ]
    told = [
        *inspected.warnings,
        *(f"{name}: {what}" for name, what in own if not any(name in line for line in inspected.warnings)),
    ]
    items = [f"<li>{text(line, 400)}</li>" for line in told]
    if len(items) > WARNINGS:
        shown, hidden = items[: WARNINGS - 1], items[WARNINGS - 1 :]
        more = f"<summary>{len(hidden):,} more</summary><ul>{''.join(hidden)}</ul>"
        items = [*shown, f"<li><details>{more}</details></li>"]
    return f'<ul class="warn">{"".join(items)}</ul>' if items else ""


def sits(inspected: Inspected, stages: Sequence[Stage], drawn: Sequence[Volume]) -> str:
    """Show which layers, or which stages of a long network, hold the parameters and do the work."""
    layers = inspected.layers
    held = [
        (stage.title, [layers[row] for row in (drawn[at].row, *drawn[at].worn) if row >= 0])
        for stage in stages
        for part in stage.units
        for at in part.volumes
    ]
    costly = [(title, own) for title, own in held if any(row.parameters or row.multiply_adds for row in own)]
    sums: dict[str, list[int]] = {}
    for title, own in costly:
        name = title if title and len(costly) > SHORT else own[0].name
        sums.setdefault(name, [0, 0])
        sums[name][0] += sum(row.parameters for row in own)
        sums[name][1] += sum(row.multiply_adds for row in own)
    wholes = inspected.totals.parameters, inspected.totals.multiply_adds
    said = []
    for i, (what, whole) in enumerate(zip(("parameters", "multiply-adds"), wholes, strict=True)):
        if sums and whole:
            most = max(sums, key=lambda name: sums[name][i])
            said.append(f"most {what} in <code>{text(most, 60)}</code> ({percent(sums[most][i] / whole)})")
    if not said:
        return ""
    longest = [max(parts[i] for parts in sums.values()) for i in (0, 1)]
    body = "".join(
        f'<tr><th scope="row">{text(name, 40)}</th>{"".join(map(_bar, parts, wholes, longest))}</tr>'
        for name, parts in sums.items()
    )
    sentence = ", ".join(said)
    return (
        f'<p>{sentence[:1].upper()}{sentence[1:]}.</p><table class="sits"><thead><tr>'
        '<th scope="col">Where</th><th scope="col">Parameters</th><th scope="col">Multiply-adds</th>'
        f"</tr></thead><tbody>{body}</tbody></table>"
    )


def _bar(part: int, whole: int, longest: int) -> str:
    if not part:
        return "<td></td>"
    return (
        f"<td><div><b>{part:,}</b><small>{percent(part / max(part, whole))}</small>"
        f'<span class="track"><span style="width:{100 * part / longest:.2f}%"></span></span></div></td>'
    )


def memory(inspected: Inspected) -> str:
    """Show what fills the memory while a step trains."""
    needs = inspected.memory
    parts = {name: getattr(needs, name) for name in PARTS if getattr(needs, name)}
    whole = sum(parts.values())
    said = _training(inspected)
    said = f"<p>{said[:1].upper()}{said[1:]}; a forward pass alone takes {size(needs.inference)}.</p>"
    said += _measured(inspected)
    if not whole or needs.training is None:
        return said
    bars = "".join(
        f'<span class="{name}" style="width:{100 * n / whole:.2f}%"></span>' for name, n in parts.items()
    )
    items = "".join(
        f'<li class="{name}"><b>{name.capitalize()}</b> {size(n)} '
        f"<small>{percent(n / whole)}, {PARTS[name]}</small></li>"
        for name, n in parts.items()
    )
    alt = ", ".join(f"{name} {percent(n / whole)}" for name, n in parts.items())
    return (
        f'{said}<div class="stack" role="img" aria-label="Of the memory of a step: {alt}.">{bars}</div>'
        f'<ul class="parts">{items}</ul>'
    )


def _measured(inspected: Inspected) -> str:
    found = inspected.measured
    if found is None:
        return ""
    return (
        f"<p>Measured on {text(found.device)}: a step added {size(found.peak_growth)} to the process where "
        f"{size(found.predicted_growth)} were predicted. It trains {number(found.pictures_per_second)} "
        f"{thing(inspected.input)}s a second: {duration(found.seconds_per_epoch)} for an epoch of "
        f"{found.epoch:,}.</p>"
    )


def _every_row(inspected: Inspected) -> str:
    totals = inspected.totals
    about = {
        "Parameters": totals.parameters,
        "Trainable": totals.trainable,
        "Multiply-adds": totals.multiply_adds,
        "Other operations": totals.other_operations,
        "Stored, not trained": totals.buffers or None,
        "Parameters, were all dense": _about(totals.dense_parameters),
    }
    return (
        "<p>In the order in which they run, for one example. Multiply-adds are those of convolutions and "
        "matrix products; what biases, normalisation, activation and pooling add is counted apart, as other "
        f"operations. Kept is what the backward pass needs at batch {inspected.batch:,}.</p>"
        f"{facts(about)}{rows.table(inspected)}"
    )


def _about(n: int) -> str:
    """Round a number that is too long to be read, in words."""
    for power, word in ((12, "trillion"), (9, "billion"), (6, "million")):
        if n >= 10**power:
            return f"{n / 10**power:.3g} {word}"
    return f"{n:,}" if n else ""
