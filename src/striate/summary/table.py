"""An inspection as text for a terminal or a pipe, and as HTML for a notebook."""

from __future__ import annotations

import html as markup
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from striate.summary.result import Inspected, Layer

SHORT = ("", "layer", "kind", "output", "param.", "m-adds", "train", "sees")
FULL = (
    "",
    "layer",
    "kind",
    "input",
    "output",
    "parameters",
    "multiply-adds",
    "other operations",
    "bytes kept in training",
    "bytes made",
    "sees",
    "step",
    "from",
    "border loss",
)
LEGEND = (
    "m-adds: multiply-adds for one input. train: bytes kept for the backward pass, at the batch size. "
    "sees: side of the square of input pixels that one unit sees. "
    "←: the rows it reads, where that is not the row before."
)
NAME = 1  # the column that gives way


def text(inspected: Inspected, width: int | None = None) -> str:
    """Lay out the table, the totals and the warnings.

    width: columns of the terminal; None, for a pipe, gives every column and exact numbers.
    """
    rows = [SHORT, *(_short(i, layer, inspected) for i, layer in enumerate(inspected.layers))]
    full = [FULL, *(_full(i, layer, inspected) for i, layer in enumerate(inspected.layers))]
    if width is None or max(map(len, _align(full, None))) <= width:
        rows = full
    lines = _align(rows, width)
    lines.insert(1, "-" * max(map(len, lines)))
    legend = [] if width is None else textwrap.wrap(LEGEND, width)
    return "\n".join([title(inspected), "", *lines, "", *legend, "", *totals(inspected, width)])


def title(inspected: Inspected) -> str:
    """Say what was inspected."""
    return f"{inspected.model}, input {by(inspected.input)}; bytes at batch {inspected.batch}"


def _short(i: int, layer: Layer, inspected: Inspected) -> tuple[str, ...]:
    field = layer.receptive_field
    return (
        str(i + 1),
        f"{layer.name}{_from(i, layer)}",
        layer.kind if len(layer.kind) <= 11 else f"{layer.kind[:10]}…",
        by(layer.output),
        "shared" if layer.shared_with else si(layer.parameters) + "*" * (layer.trainable < layer.parameters),
        "?" if layer.uncounted else si(layer.multiply_adds),
        size(layer.memory.training),
        "" if field is None else _sees(field.size, inspected.input),
    )


def _full(i: int, layer: Layer, inspected: Inspected) -> tuple[str, ...]:
    field = layer.receptive_field
    steps = () if field is None else tuple("?" if step is None else f"{step:g}" for step in field.stride)
    return (
        str(i + 1),
        f"{layer.name}{_from(i, layer)}",
        layer.kind,
        by(layer.input),
        by(layer.output),
        f"with {layer.shared_with}"
        if layer.shared_with
        else f"{layer.parameters}{'*' * (layer.trainable < layer.parameters)}",
        "?" if layer.uncounted else str(layer.multiply_adds),
        str(layer.other_operations),
        str(layer.memory.training),
        str(layer.memory.inference),
        "" if field is None else _sees(field.size, inspected.input),
        same(steps),
        "" if field is None else same(field.offset),
        same(layer.border_loss or ()) if any(layer.border_loss or ()) else "",
    )


def _from(i: int, layer: Layer) -> str:
    """Name the lines it reads, unless that is just the line before."""
    if layer.inputs in {(i - 1,), ()}:
        return ""
    return " ←" + ",".join("input" if source < 0 else str(source + 1) for source in layer.inputs)


def _sees(field: Sequence[int], pixels: Sequence[int]) -> str:
    whole = len(field) < len(pixels) and all(
        seen >= n for seen, n in zip(field, pixels[-len(field) :], strict=True)
    )
    return "all" if whole and len(set(field)) > 1 else same(field)


def totals(inspected: Inspected, width: int | None) -> list[str]:
    """Sum up, a line a topic."""
    total, memory = inspected.totals, inspected.memory
    frozen = total.parameters - total.trainable
    told = [
        (
            "parameters",
            f"{total.parameters:,}"
            + (f", {frozen:,} of them frozen (*)" if frozen else "")
            + (f"; {total.buffers:,} buffers" if total.buffers else ""),
        ),
        (
            "multiply-adds",
            (
                f"{total.multiply_adds:,} for one input; beside them {total.other_operations:,} operations "
                "(bias, normalisation, activation, pooling)"
            ),
        ),
    ]
    if total.dense_parameters > total.parameters:
        told.append(
            (
                "if dense",
                (
                    f"{total.dense_parameters:,} parameters, were each convolution the dense layer between "
                    f"its input and output: {total.dense_parameters / total.parameters:,.0f} times as many"
                ),
            )
        )
    if memory.training is not None:
        parts = {
            "parameters": memory.parameters + memory.buffers,
            "gradients": memory.gradients,
            f"optimiser ({inspected.optimizer})": memory.optimizer,
            "input": memory.input,
            "kept for the backward pass": memory.activations,
            "passing": memory.temporary,
        }
        listed = ", ".join(f"{name} {size(value)}" for name, value in parts.items() if value)
        told.append(("training", f"{size(memory.training)} at batch {inspected.batch}: {listed}"))
    told.append(("inference", f"{size(memory.inference)} at batch {inspected.batch}"))
    told += [("never used", f"{name or 'the network'}: {n:,} parameters") for name, n in inspected.unused]
    told += [("warning", warning) for warning in inspected.warnings]
    if inspected.measured is not None:
        told += _measured(inspected)
    return [line for name, words in told for line in _wrap(name, words, width)]


def _measured(inspected: Inspected) -> list[tuple[str, str]]:
    measured = inspected.measured
    assert measured is not None
    told = [
        (
            "measured",
            (
                f"{measured.seconds_per_step:.3g} s a step on {measured.device}, "
                f"{measured.pictures_per_second:.3g} inputs a second, "
                f"{measured.seconds_per_epoch:.3g} s for an epoch of {measured.epoch:,}"
            ),
        )
    ]
    if measured.peak_growth:
        off = measured.predicted_growth / measured.peak_growth - 1
        told.append(
            (
                "",
                (
                    f"a step grew the process by {size(measured.peak_growth)}; predicted "
                    f"{size(measured.predicted_growth)}, {abs(off):.0%} {'more' if off > 0 else 'less'}"
                ),
            )
        )
    return told


def _wrap(name: str, words: str, width: int | None) -> Iterable[str]:
    lead = f"{name:<15}"
    if width is None:
        return [f"{lead}{words}"]
    return textwrap.wrap(
        words, width, initial_indent=lead, subsequent_indent=" " * 15, break_on_hyphens=False
    )


def _align(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if width is not None:
        widths[NAME] = max(8, min(widths[NAME], width - sum(widths) + widths[NAME] - 2 * (len(widths) - 1)))
    left = {NAME, rows[0].index("kind")}
    return [
        "  ".join(
            _cut(cell, size).ljust(size) if i in left else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else f"…{cell[len(cell) - size + 1 :]}"


def html(inspected: Inspected) -> str:
    """Lay out table and totals for a notebook."""
    head = "".join(f"<th>{markup.escape(name)}</th>" for name in FULL)
    body = "".join(
        "<tr>" + "".join(f"<td>{markup.escape(cell)}</td>" for cell in _full(i, layer, inspected)) + "</tr>"
        for i, layer in enumerate(inspected.layers)
    )
    below = "<br>".join(markup.escape(" ".join(line.split())) for line in totals(inspected, None))
    return (
        f"<b>{markup.escape(title(inspected))}</b>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{below}</p>"
    )


def by(shape: Sequence[int]) -> str:
    """Write a shape.

    >>> by((3, 224, 224)), by(())
    ('3x224x224', '1')
    """
    return "x".join(str(n) for n in shape) or "1"


def same(numbers: Sequence[object]) -> str:
    """Write a number per axis; once if they are equal.

    >>> same((3, 3)), same((3, 5))
    ('3', '3x5')
    """
    return str(numbers[0]) if len(set(numbers)) == 1 else "x".join(str(n) for n in numbers)


def si(n: int) -> str:
    """Write a count in at most six characters; nothing for 0.

    >>> si(0), si(9408), si(118013952), si(25557032), si(512)
    ('', '9.41 k', '118 M', '25.6 M', '512')
    """
    return "" if n == 0 else _scaled(n, ("", " k", " M", " G", " T", " P"))


def size(n: int) -> str:
    """Write bytes in at most six characters; nothing for 0.

    >>> size(0), size(512), size(102760448), size(2_900_000_000)
    ('', '512 B', '103 MB', '2.9 GB')
    """
    return "" if n == 0 else _scaled(n, (" B", " kB", " MB", " GB", " TB", " PB"), digits=2)


def _scaled(n: float, units: Sequence[str], digits: int = 3) -> str:
    power = 0
    value = float(n)
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    places = max(0, digits - len(str(int(value)))) if power else 0
    return f"{value:.{places}f}{units[power]}"
