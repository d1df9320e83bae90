"""What is said of one row: under its volume, beside the pointer, to a screen reader, in the table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate.report.markup import plural, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from striate.report.network.flow import Volume
    from striate.summary.result import Inspected, Layer, ReceptiveField, Shape

GLANCE = 56  # pixels of the little picture of what a unit sees
OPERATIONS = {
    "linear": "dense",
    "cat": "concat",
    "concatenate": "concat",
    "adaptiveavgpool": "average pool",
    "adaptivemaxpool": "max pool",
    "batchnorm": "batch norm",
    "layernorm": "layer norm",
    "groupnorm": "group norm",
    "localresponsenorm": "local response",
    "multiheadattention": "attention",
}


def extents(shape: Shape) -> tuple[int, int, int]:
    """Give channels, rows, columns; a vector has 0 rows and columns, a signal 1 column.

    >>> extents((64, 56, 56)), extents((40, 16000)), extents((10,))
    ((64, 56, 56), (40, 16000, 1), (10, 0, 0))
    """
    if len(shape) < 2:
        return math.prod(shape), 0, 0
    if len(shape) == 2:
        return shape[0], shape[1], 1
    return math.prod(shape[:-2]), shape[-2], shape[-1]


def times(sizes: Iterable[float]) -> str:
    r"""Write a shape on one line that is never broken.

    >>> times((64, 56, 56))
    '64\u202f×\u202f56\u202f×\u202f56'
    """
    return "\u202f×\u202f".join(f"{n:.6g}" for n in sizes) or "1"


def _same(sizes: Sequence[float]) -> str:
    """Write what is mostly the same along every axis once."""
    return times(sizes[:1] if len(set(sizes)) == 1 else sizes)


def size(n: float) -> str:
    r"""Write bytes as a person says them, in powers of ten.

    >>> size(2_934_000_000), size(61_706), size(0)
    ('2.9\xa0GB', '62\xa0kB', '0\xa0bytes')
    """
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if n >= 0.9995 * 10**power:
            value = n / 10**power
            return f"{value:.1f}\xa0{name}" if value < 9.95 else f"{value:,.0f}\xa0{name}"
    return f"{n:,.0f}\xa0bytes"


def below(name: str, heading: str) -> str:
    """Shorten the path of a module by what stands above it, but for a number, which says nothing alone.

    >>> below("encoder.block1.conv", "encoder.block1"), below("encoder.layers.3", "encoder.layers")
    ('conv', 'layers.3')
    """
    rest = name.removeprefix(f"{heading}.") if heading else name
    return f"{heading.rpartition('.')[2]}.{rest}" if heading and rest.isdigit() else rest


def thing(shape: Shape) -> str:
    """Name one example by its axes."""
    return {3: "picture", 2: "signal"}.get(len(shape), "example")


def one(shape: Shape) -> str:
    r"""Name one example with its size.

    >>> one((3, 32, 32)), one((10,))
    ('3\u202f×\u202f32\u202f×\u202f32 picture', 'example of 10 values')
    """
    if len(shape) > 1:
        return f"{times(shape)} {thing(shape)}"
    return f"example of {plural(math.prod(shape), 'value')}"


def operation(layer: Layer) -> str:
    """Name what a row does in the few letters that fit under its volume."""
    name = layer.kind.lower()
    window = layer.window
    if window is None:
        if "pool" in name and set(layer.output[1:]) == {1}:
            return "global average" if "avg" in name else "global max"
        return OPERATIONS.get(name.rstrip("0123456789d"), OPERATIONS.get(name, name))[:16]
    what = "conv" if window.learned else "max" if "max" in name else "average" if "av" in name else "pool"
    if window.learned and window.groups > 1:
        what = "depthwise" if window.groups == window.in_channels else "grouped"
    what = "transposed" if window.transposed else what
    stride = [axis.stride for axis in window.axes]
    slides = (
        ""
        if set(stride) == {1}
        else f" /{stride[0] if len(set(stride)) == 1 else '×'.join(map(str, stride))}"
    )
    return f"{what} {'×'.join(str(axis.kernel) for axis in window.axes)}{slides}"


def described(layer: Layer) -> str:
    """Name a row's class, and how its window slides."""
    window = layer.window
    if window is None:
        return layer.kind
    axes = window.axes
    said = f"{layer.kind} {times(axis.kernel for axis in axes)}"
    for word, sizes in (("stride", [a.stride for a in axes]), ("dilation", [a.dilation for a in axes])):
        said += f", {word} {_same(sizes)}" if set(sizes) != {1} else ""
    pads = [side for axis in axes for side in axis.padding]
    if any(pads):
        uneven = "; ".join(f"{before} and {after}" for before, after in (axis.padding for axis in axes))
        said += f", padding {pads[0] if len(set(pads)) == 1 else uneven}"
    return said + (f", {window.groups:,} groups" if window.groups > 1 else "")


def sees(field: ReceptiveField) -> str:
    """Write a receptive field: how much one unit sees, and how far the next one's is from it."""
    steps = [stride for stride in field.stride if stride is not None]
    if len(steps) < len(field.stride):
        return f"{times(field.size)}, unevenly spaced"
    return times(field.size) + (f", every {_same(steps)}" if set(steps) != {1} else "")


def amiss(layer: Layer) -> bool:
    """Tell whether a row deserves a warning."""
    return bool(layer.warning or layer.uncounted)


def loses(layer: Layer) -> bool:
    """Tell whether windows that leave no gaps stop short of the end; where they do, the end is no worse."""
    if layer.window is None:
        return any(layer.border_loss or ())
    return any(axis.never_seen and axis.extent >= axis.stride for axis in layer.window.axes)


def note(layer: Layer) -> str:
    """Say what is unusual about a row, as plain text; empty where nothing is."""
    loss = layer.border_loss or ()
    told = [layer.warning, layer.misfit if layer.misfit not in layer.warning else ""]
    if any(loss) and not layer.warning:
        words = {1: ["value"], 2: ["row", "column"]}.get(len(loss), ["plane"] * len(loss))
        lost = " and ".join(plural(n, word) for n, word in zip(loss, words, strict=True) if n)
        told.append(f"the last {lost} of its input never seen")
    if layer.uncounted:
        told.append(f"multiply-adds not counted: {', '.join(layer.uncounted)}")
    if layer.shared_with:
        told.append(f"the same weights as {layer.shared_with}")
    return "; ".join(filter(None, told))


def label(inspected: Inspected, volume: Volume) -> str:
    """Say in one sentence what a volume is, as HTML."""
    if volume.row < 0:
        return f"Input, {times(volume.shape)}"
    layer = inspected.layers[volume.row]
    said = f"{layer.name}, {layer.kind}: {times(layer.input)} to {times(layer.output)}"
    said += f", {layer.parameters:,} parameters" if layer.parameters else ""
    said += f", {layer.multiply_adds:,} multiply-adds" if layer.multiply_adds else ""
    return text(f"{said}. {note(layer)}".removesuffix(". "), 400)


def tip(inspected: Inspected, volume: Volume) -> str:
    """Lay out what the pointer shows of a volume."""
    if volume.row < 0:
        told = {"Shape": times(volume.shape), f"A batch of {inspected.batch:,}": size(inspected.memory.input)}
        said, seen = f"<b>Input</b> one {thing(volume.shape)}{_numbers(told)}", ""
    else:
        layer = inspected.layers[volume.row]
        said = f"<b>{text(layer.name)}</b> {text(described(layer), 160)}{_numbers(_told(layer))}"
        if noted := note(layer):
            said += f"<p{' class=bad' if amiss(layer) else ''}>{text(noted, 400)}</p>"
        seen = _glance(inspected.input, layer)
    worn = "".join(_worn(inspected.layers[row]) for row in volume.worn)
    return f'<div class="tip">{seen}<div>{said}{f"<ul>{worn}</ul>" if worn else ""}</div></div>'


def _numbers(told: dict[str, str]) -> str:
    return (
        f'<div class="told">{"".join(f"<p><i>{word}</i>{value}</p>" for word, value in told.items())}</div>'
    )


def _worn(layer: Layer) -> str:
    told = [f"{layer.parameters:,} parameters"] if layer.parameters else []
    told += [f"keeps {size(layer.memory.training)}"] if layer.memory.training else []
    said = f": {', '.join(told)}" if told else ""
    return f"<li>then <b>{text(layer.name)}</b> {text(layer.kind, 40)}{said}</li>"


def _told(layer: Layer) -> dict[str, str]:
    told = {"In → out": f"{times(layer.input)} → {times(layer.output)}"}
    if layer.parameters:
        frozen = layer.parameters - layer.trainable
        told["Parameters"] = f"{layer.parameters:,}" + (f", {frozen:,} frozen" if frozen else "")
    if layer.multiply_adds:
        told["Multiply-adds"] = f"{layer.multiply_adds:,}"
    if layer.receptive_field:
        told["One unit sees"] = sees(layer.receptive_field)
    if layer.memory.training:
        told["Kept for training"] = size(layer.memory.training)
    if layer.dense_parameters:
        told["As a dense layer"] = f"{layer.dense_parameters:,} parameters"
    return told


def _glance(shape: Shape, layer: Layer) -> str:
    """Draw what the unit in the middle sees of the input."""
    _, h, w = extents(shape)
    sides = (h,) if len(shape) == 2 else (h, w)
    field = layer.receptive_field
    if field is None or not h or len(field.size) != len(sides) or len(layer.output) <= len(sides):
        return ""
    parts = []
    units = layer.output[-len(sides) :]
    for n, count, seen, stride, offset in zip(
        sides, units, field.size, field.stride, field.offset, strict=True
    ):
        start = (n - seen) / 2 if stride is None else offset + (count - 1) // 2 * stride
        first, last = max(0.0, start), min(float(n), start + seen)
        parts.append((first / n, max(0.02, (last - first) / n)))
    tall, wide = (GLANCE * side / max(h, w) for side in (h, w))
    if len(sides) == 1:  # a signal lies along the line that it is read on
        tall, wide, parts = 12, GLANCE, [(0.0, 1.0), *parts]
    (y, dy), (x, dx) = parts
    return (
        f'<svg width="{GLANCE + 2}" height="{tall + 2:.3g}" aria-hidden="true">'
        f'<rect x="1" y="1" width="{wide:.3g}" height="{tall:.3g}"/>'
        f'<rect class="seen" x="{1 + x * wide:.3g}" y="{1 + y * tall:.3g}" width="{dx * wide:.3g}" '
        f'height="{dy * tall:.3g}"/></svg>'
    )


def table(inspected: Inspected) -> str:
    """List every row in a box that scrolls."""
    loses = any(any(layer.border_loss or ()) for layer in inspected.layers)
    words = [
        "#",
        "Name",
        "Kind",
        "In",
        "Out",
        "Parameters",
        "Multiply-adds",
        "One unit sees",
        "Never seen",
        "Kept",
    ]
    head = [word for word in [*words, "Note"] if loses or word != "Never seen"]
    body = "".join(_row(i, layer, loses=loses) for i, layer in enumerate(inspected.layers))
    sums = inspected.totals
    total = {
        "Name": "Total",
        "Parameters": f"{sums.parameters:,}",
        "Multiply-adds": f"{sums.multiply_adds:,}",
    }
    return (
        '<div class="scroll rows" role="region" tabindex="0" aria-label="All rows"><table><thead><tr>'
        + "".join(f'<th scope="col">{word}</th>' for word in head)
        + f"</tr></thead><tbody>{body}</tbody><tfoot><tr>"
        + "".join(f"<td>{total.get(word, '')}</td>" for word in head)
        + "</tr></tfoot></table></div>"
    )


def _row(i: int, layer: Layer, *, loses: bool) -> str:
    notes = [note(layer)]
    if layer.inputs != (i - 1,):
        told = ", ".join("the input" if source < 0 else f"{source + 1}" for source in layer.inputs)
        notes.insert(0, f"reads {told or 'nothing'}")
    cells = [
        text(layer.kind, 40),
        times(layer.input),
        times(layer.output),
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        sees(layer.receptive_field) if layer.receptive_field else "",
        *([times(layer.border_loss or ()) if any(layer.border_loss or ()) else ""] if loses else []),
        size(layer.memory.training) if layer.memory.training else "",
        text("; ".join(filter(None, notes)), 400),
    ]
    return (
        f'<tr><td>{i + 1}</td><th scope="row">{text(layer.name)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )
