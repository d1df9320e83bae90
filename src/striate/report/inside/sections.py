"""A network without a picture: its kernels, mistakes, units and health, and how it sees its data.

A section takes what was gathered and gives HTML, or nothing where there is nothing to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from striate.report.heat import about_grey, over, picture_of, scale_of
from striate.report.inside import along
from striate.report.inside.health import health as well
from striate.report.inside.looked import framed, row
from striate.report.inside.looked import maps as feature_maps
from striate.report.inside.methods import METHODS
from striate.report.inside.points import key, points
from striate.report.markup import plural, text
from striate.report.series import Along

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.report.inside.contents import Filters, Mistake, Network


def section(told: Network) -> str:
    """Give what the report of a training shows: the first kernels, and mistakes with their maps."""
    explained = mistakes(told)
    return filters(told) + (f"<h3>Mistakes, explained</h3>{explained}" if explained else "")


def filters(told: Network) -> str:
    """Show kernels, those of a layer on one scale."""
    return "".join(_filters(one) for one in told.filters)


def _filters(told: Filters) -> str:
    if told.kernels.ndim == 3:
        return _in_time(told)
    shown, channels, height, width = told.kernels.shape
    limit = float(np.abs(told.kernels).max()) or 1.0
    items = "".join(
        framed(about_grey(kernel, limit), f"kernel {i} of {told.layer}", f"{i}")
        for i, kernel in enumerate(told.kernels)
    )
    how = {1: "in grey", 3: "in the colours of its input"}.get(channels, f"mean over {channels} channels")
    first = f"the first {shown} of {told.total:,}" if shown < told.total else f"all {told.total}"
    whole = "" if told.kind.startswith(("Conv", "conv")) else " Each spans the whole picture."
    return (
        f"<h3>Kernels of {text(told.layer, 60)}</h3>"
        f'<p class="note">{text(told.kind)}: {first}, {height} × {width} weights each, {how}. Middle grey is '
        f"0, white {limit:.3g}, black {-limit:.3g}.{whole}</p>"
        f'<div class="tiles">{items}</div>'
    )


def _in_time(told: Filters) -> str:
    """Show kernels (n, C, k) of a sequence: of one channel as curves, of more as pictures C high."""
    shown, channels, taps = told.kernels.shape
    limit = float(np.abs(told.kernels).max()) or 1.0
    if channels == 1:
        items = "".join(
            f"<span>{along.kernel(one, limit)}<small>{i}</small></span>" for i, one in enumerate(told.kernels)
        )
        how = f"as a curve between {-limit:.3g} and {limit:.3g}"
    else:
        css = "sharp tall" if channels > 2 * taps else "sharp"
        items = "".join(
            f"<span>{picture_of(about_grey(one[None], limit), f'kernel {i} of {told.layer}', css)}"
            f"<small>{i}</small></span>"
            for i, one in enumerate(told.kernels)
        )
        how = f"a channel a row, the first above; middle grey is 0, white {limit:.3g}, black {-limit:.3g}"
    first = f"the first {shown} of {told.total:,}" if shown < told.total else f"all {told.total}"
    return (
        f"<h3>Kernels of {text(told.layer, 60)}</h3>"
        f'<p class="note">{text(told.kind)}: {first}, {channels} × {taps} weights each along time, {how}.</p>'
        f'<div class="tiles">{items}</div>'
    )


def mistakes(told: Network) -> str:
    """Show wrongly answered pictures: what spoke for the answer, and what for the truth."""
    if not told.mistakes:
        return ""
    about = METHODS[told.method]
    two = "Left what spoke for the answer, right what spoke for the truth, on one scale. "
    says = about.says
    if isinstance(told.mistakes[0].picture, Along):
        two, says = two.replace("Left", "First").replace("right", "then"), about.along
    two = two if told.mistakes[0].map_true is not None else ""
    badge = f'<p class="badge">{text(told.badge, 240)}</p>' if told.badge else ""
    figures = "".join(_mistake(one) for one in told.mistakes)
    lead = f"{about.title} ({text(about.paper)}). {says} {two}Orange is for it, purple against it."
    return f'<p class="note">{lead}</p>{badge}<div class="panels">{figures}</div>'


def _mistake(one: Mistake) -> str:
    if isinstance(one.picture, Along):
        return f"<figure>{_heading(one)}{along.mistake(one, one.picture)}</figure>"
    second = [] if one.map_true is None else [one.map_true]
    scale = scale_of(one.map_said, *second)
    shown = [
        (one.picture, one.name, "the picture"),
        (over(one.picture, one.map_said, scale), f"map for {one.said} of {one.name}", f"for {one.said}"),
    ]
    if one.map_true is not None:
        true = over(one.picture, one.map_true, scale)
        shown.append((true, f"map for {one.true} of {one.name}", f"for {one.true}"))
    frames = "".join(framed(*each) for each in shown)
    return f'<figure>{_heading(one)}<div class="row">{frames}</div>{scale.html()}</figure>'


def _heading(one: Mistake) -> str:
    called = f"{text(one.true, 40)}, called {text(one.said, 40)}"
    return f"<figcaption>{called} <small>{text(one.name, 44)}</small></figcaption>"


def units(told: Network) -> str:
    """Show the patches that excite units, and the pictures made for units and classes."""
    beyond, drawn = "the mean colour), ", ", and a picture made for it by climbing its gradient from noise"
    if told.noun != "picture":
        beyond, drawn = "nothing), ", ""
    lead = (
        f'<p class="note">Those of {plural(told.searched, f"held-out {told.noun}")} that excite a unit most, '
        f"cut out to exactly what it sees (its receptive field; beyond the edge lies {beyond}"
        f"with its value{drawn}.</p>"
    )
    each = "".join(
        f"<h3>{text(one.name, 80)}</h3>{_with(one.made, one.name, row(one.patches))}" for one in told.units
    )
    classes = "".join(framed(one.picture, f"made for {one.name}", one.name) for one in told.made)
    made = (
        "<h3>Made for each class</h3>"
        '<p class="note">What raises a class’s score most, found by climbing its gradient from noise. It is '
        "no picture of the class: it exaggerates what tells it apart.</p>"
        f'<div class="tiles wide">{classes}</div>'
    )
    return (lead + each if told.units else "") + (made if told.made else "")


def _with(made: NDArray[np.uint8] | None, name: str, patches: str) -> str:
    if made is None:
        return patches
    first = framed(made, f"the picture made for {name}", "made for it")
    return f'<div class="unit"><div class="tiles wide">{first}</div>{patches}</div>'


def health(told: Network) -> str:
    """Say how the layers do."""
    return "" if told.health is None else well(told.health, told.noun)


def embedding(told: Network) -> str:
    """Show how near the pictures lie to each other in the features of the last layer."""
    if not told.points:
        return ""
    lead = f"What the last layer is given, laid out in the plane; a dot is a held-out {told.noun}."
    figures = "".join(f"<figure>{points(one, told.noun)}</figure>" for one in told.points)
    return f'<p class="note">{lead}</p><div class="two">{figures}</div>{key(told.points[0])}'


def layers(told: Network) -> str:
    """Show the feature maps of one picture."""
    return "".join(feature_maps(one) for one in told.layers)
