"""An inspection as text for a terminal or a pipe, and as HTML for a notebook."""

from __future__ import annotations

import html as markup
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from striate.summary.result import Inspected, Layer

LEAST = 16  # characters of a name that make room for another column


@dataclass(frozen=True)
class Column:
    """A column of the table.

    short: its heading on a terminal, for numbers that are rounded; exact: its heading in a pipe.
    worth: 0 is always there; the others come in this order while they fit, those from WHOLE_NAMES on only
    where no name is cut for them.
    """

    short: str
    exact: str
    worth: int
    rounded: Callable[[Layer], str]
    whole: Callable[[Layer], str]
    left: bool = False


def _numbers(field: str) -> Callable[[Layer], str]:
    """Make the function that writes a part of the receptive field."""

    def write(layer: Layer) -> str:
        found = layer.receptive_field
        numbers = () if found is None else getattr(found, field)
        if set(numbers) == {None}:  # units that are not evenly spaced, such as those of a dense layer
            return ""
        return same(["?" if number is None else f"{number:g}" for number in numbers])

    return write


def _parameters(layer: Layer, count: Callable[[int], str]) -> str:
    return count(layer.parameters) + "*" * (layer.trainable < layer.parameters)


def _lost(layer: Layer) -> str:
    return same(layer.border_loss or ()) if any(layer.border_loss or ()) else ""


COLUMNS = (
    Column(
        "kind", "kind", 1, lambda row: row.kind if len(row.kind) <= 11 else f"{row.kind[:10]}…",
        lambda row: row.kind, left=True,
    ),
    Column("input", "input", 6, lambda row: by(row.input), lambda row: by(row.input)),
    Column("output", "output", 0, lambda row: by(row.output), lambda row: by(row.output)),
    Column(
        "param.", "parameters", 0, lambda row: "shared" if row.shared_with else _parameters(row, si),
        lambda row: f"with {row.shared_with}" if row.shared_with else _parameters(row, str),
    ),
    Column(
        "m-adds", "multiply-adds", 0, lambda row: "?" if row.uncounted else si(row.multiply_adds),
        lambda row: "?" if row.uncounted else str(row.multiply_adds),
    ),
    Column(
        "other", "other operations", 10, lambda row: si(row.other_operations),
        lambda row: str(row.other_operations),
    ),
    Column(
        "train", "bytes kept in training", 3, lambda row: size(row.memory.training),
        lambda row: str(row.memory.training),
    ),
    Column(
        "made", "bytes made", 9, lambda row: size(row.memory.inference), lambda row: str(row.memory.inference)
    ),
    Column("sees", "sees", 2, _numbers("size"), _numbers("size")),
    Column("stride", "stride", 7, _numbers("stride"), _numbers("stride")),
    Column("offset", "offset", 8, _numbers("offset"), _numbers("offset")),
    Column("lost", "border loss", 5, _lost, _lost),
)  # fmt: skip
WHOLE_NAMES = 5  # from this worth on

LEGEND = {
    "m-adds": "multiply-adds for one input",
    "other": "other operations (bias, normalisation, activation, pooling)",
    "train": "bytes kept for the backward pass",
    "made": "bytes newly made",
    "sees": "receptive field, side of the square of input pixels that one unit sees",
    "stride": "pixels of the input from what one unit sees to what the next one does",
    "offset": "where the field of the first unit starts; below 0 is padding",
    "lost": "rows and columns of its input that no window reads",
}
IN_TIME = {
    "sees": "receptive field, steps of the input sequence that one unit sees",
    "stride": "steps of the input from what one unit sees to what the next one does",
    "lost": "steps of its input that no window reads",
}


def text(inspected: Inspected, width: int | None = None) -> str:
    """Lay out the table, the totals and the warnings.

    width: columns of the terminal; None, for a pipe, gives every column and exact numbers.
    """
    columns = COLUMNS if width is None else _fitting(inspected, width)
    lines = _align(_rows(inspected, columns, exact=width is None), columns, width)
    lines.insert(1, "-" * max(map(len, lines)))
    legend = [] if width is None else ["", *textwrap.wrap(_legend(inspected, columns), width)]
    return "\n".join([title(inspected), "", *lines, *legend, "", *totals(inspected, width)])


def title(inspected: Inspected) -> str:
    """Say what was inspected."""
    return f"{inspected.model}, input {by(inspected.input)}; bytes at batch {inspected.batch}"


def _fitting(inspected: Inspected, width: int) -> tuple[Column, ...]:
    """Choose the columns: the worthiest that fit."""
    chosen: tuple[Column, ...] = ()
    for candidate in sorted(COLUMNS, key=lambda column: column.worth):
        if candidate.short == "lost" and not any(map(_lost, inspected.layers)):
            continue
        more = tuple(column for column in COLUMNS if column in {*chosen, candidate})
        widths = _widths(_rows(inspected, more, exact=False))
        if candidate.worth < WHOLE_NAMES:
            widths[1] = min(widths[1], LEAST)
        if candidate.worth == 0 or sum(widths) + 2 * (len(widths) - 1) <= width:
            chosen = more
    return chosen


def _rows(inspected: Inspected, columns: Sequence[Column], *, exact: bool) -> list[list[str]]:
    rows = [["", "layer", *(column.exact if exact else column.short for column in columns)]]
    for i, layer in enumerate(inspected.layers):
        cells = ((column.whole if exact else column.rounded)(layer) for column in columns)
        rows.append([f"{'!' * bool(layer.misfit)}{i + 1}", f"{layer.name}{_from(i, layer)}", *cells])
    return rows


def _from(i: int, layer: Layer) -> str:
    """Name the rows it reads, unless that is just the row before."""
    if layer.inputs in {(i - 1,), ()}:
        return ""
    return " ←" + ",".join("input" if source < 0 else str(source + 1) for source in layer.inputs)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*rows, strict=True)]


def _align(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int | None) -> list[str]:
    widths = _widths(rows)
    if width is not None:  # the name gives way
        room = width - sum(widths) + widths[1] - 2 * (len(widths) - 1)
        widths[1] = min(widths[1], max(room, 8))
    left = [False, True, *(column.left for column in columns)]
    return [
        "  ".join(
            _cut(cell, size).ljust(size) if is_left else cell.rjust(size)
            for cell, size, is_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else f"…{cell[len(cell) - size + 1 :]}"


def _legend(inspected: Inspected, columns: Sequence[Column]) -> str:
    """Explain the headings and marks that occur."""
    layers = inspected.layers
    headings = LEGEND | IN_TIME if len(inspected.input) == 2 else LEGEND
    told = [f"{name}: {words}." for name, words in headings.items() if name in {c.short for c in columns}]
    if any(_from(i, layer) for i, layer in enumerate(layers)):
        told.append("←: the rows it reads, where that is not the row before.")
    if any(layer.shared_with for layer in layers):
        told.append("shared: counted in an earlier row.")
    if any(layer.trainable < layer.parameters for layer in layers):
        told.append("*: frozen, at least in part.")
    if any(layer.misfit for layer in layers):
        told.append("!: its windows do not fill its input, see the warnings.")
    return " ".join(told)


def totals(inspected: Inspected, width: int | None) -> list[str]:
    """Sum up, a line a topic."""
    told = [*_counts(inspected), *_memory(inspected), *_measured(inspected)]
    told += [("never used", f"{name or 'the network'}: {n:,} parameters") for name, n in inspected.unused]
    told += [("warning", warning) for warning in inspected.warnings]
    return [line for name, words in told for line in _wrap(name, words, width)]


def _counts(inspected: Inspected) -> Iterator[tuple[str, str]]:
    total = inspected.totals
    frozen = f", {total.parameters - total.trainable:,} of them frozen"
    buffers = f"; beside them {total.buffers:,} values in buffers"
    yield (
        "parameters",
        f"{total.parameters:,}{frozen * (total.trainable < total.parameters)}{buffers * bool(total.buffers)}",
    )
    others = f"{total.other_operations:,} operations (bias, normalisation, activation, pooling)"
    yield "multiply-adds", f"{total.multiply_adds:,} for one input; beside them {others}"
    if total.dense_parameters > total.parameters > 0:
        times = f"{total.dense_parameters / total.parameters:,.0f} times as many"
        dense = "were each convolution the dense layer between its input and output"
        yield "if dense", f"{total.dense_parameters:,} parameters, {dense}: {times}"


def _memory(inspected: Inspected) -> Iterator[tuple[str, str]]:
    memory, at = inspected.memory, f"at batch {inspected.batch}"
    if memory.training is not None:
        parts = {
            "parameters and buffers": memory.parameters + memory.buffers,
            "gradients": memory.gradients,
            f"optimiser ({inspected.optimizer})": memory.optimizer,
            "input": memory.input,
            "kept for the backward pass": memory.activations,
            "for a moment": memory.temporary,
        }
        listed = ", ".join(f"{name} {size(value)}" for name, value in parts.items() if value)
        apart = " (not all at once)" if sum(parts.values()) > memory.training else ""
        yield "training", f"{size(memory.training) or '0 B'} {at}{': ' * bool(listed)}{listed}{apart}"
    yield "inference", f"{size(memory.inference) or '0 B'} {at}"


def _measured(inspected: Inspected) -> Iterator[tuple[str, str]]:
    found = inspected.measured
    if found is None:
        return
    epoch = f"an epoch of {found.epoch:,}" if found.of_run else f"{found.epoch:,} of them"
    step = f"{three(found.seconds_per_step)} s a step on {found.device}"
    speed = f"{three(found.pictures_per_second)} inputs a second"
    yield "measured", f"{step}: {speed}, {three(found.seconds_per_epoch)} s for {epoch}"
    grown, predicted = found.peak_growth, found.predicted_growth
    if not grown:
        yield "", f"the memory of a step cannot be read here; {size(predicted) or '0 B'} were predicted"
        return
    off = predicted / grown - 1
    much = f"{abs(off):.0%} too {'much' if off > 0 else 'little'}"
    yield (
        "",
        f"a step made the process grow by {size(grown)}; {size(predicted) or '0 B'} were predicted, {much}",
    )


def _wrap(name: str, words: str, width: int | None) -> list[str]:
    lead = f"{name:<15}"
    if width is None:
        return [f"{lead}{words}"]
    return textwrap.wrap(
        words, max(width, 30), initial_indent=lead, subsequent_indent=" " * 15, break_on_hyphens=False
    )


def html(inspected: Inspected) -> str:
    """Lay out table and totals for a notebook."""
    head, *body = _rows(inspected, COLUMNS, exact=True)
    left = [False, True, *(column.left for column in COLUMNS)]

    def row(cells: Sequence[str], tag: str) -> str:
        written = (
            f'<{tag} style="text-align: {"left" if is_left else "right"}">{markup.escape(cell)}</{tag}>'
            for cell, is_left in zip(cells, left, strict=True)
        )
        return f"<tr>{''.join(written)}</tr>"

    rows = "".join(row(cells, "td") for cells in body)
    below = "<br>".join(markup.escape(" ".join(line.split())) for line in totals(inspected, None))
    return (
        f'<div style="overflow-x: auto"><b>{markup.escape(title(inspected))}</b>'
        f"<table><thead>{row(head, 'th')}</thead><tbody>{rows}</tbody></table><p>{below}</p></div>"
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


def three(value: float) -> str:
    """Write a number with three digits that count.

    >>> three(0.00388), three(8260.4), three(24_123)
    ('0.00388', '8,260', '24,100')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def si(n: int) -> str:
    """Write a count in at most six characters; nothing for 0.

    >>> si(0), si(9408), si(118013952), si(25557032), si(512)
    ('', '9.41 k', '118 M', '25.6 M', '512')
    """
    return "" if n == 0 else _scaled(n, ("", " k", " M", " G", " T", " P", " E"))


def size(n: int) -> str:
    """Write bytes in at most six characters; nothing for 0.

    >>> size(0), size(512), size(102760448), size(2_900_000_000)
    ('', '512 B', '103 MB', '2.9 GB')
    """
    return "" if n == 0 else _scaled(n, (" B", " kB", " MB", " GB", " TB", " PB", " EB"), digits=2)


def _scaled(n: float, units: Sequence[str], digits: int = 3) -> str:
    value, power = float(n), 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    value = float(f"{value:.{digits if value < 99.5 else 3}g}")  # 9.996 is 10.0, not 10.00
    places = max(0, digits - len(str(int(value)))) if power else 0
    return f"{value:.{places}f}{units[power]}"
