"""The curves of a network under distortions, and the section of a training report that shows two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.report import figures
from striate.report.figures import ACCENT, QUIET, SECOND
from striate.report.markup import percent, plural, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from striate.report.contents import Story
    from striate.report.sprite import Sprite
    from striate.stress.measure import Curve, Curves
    from striate.stress.result import Robustness

UNITS = {"severity": "severity, 1 to 5"}


def section(story: Story, _sprite: Sprite) -> str:
    """Show the curves of a training report: shift and occlusion, on few pictures."""
    if story.stress is None:
        return ""
    measured = story.stress.measured
    drawn = "".join(panel(curve, measured, None, "") for curve in measured.curves.values())
    hidden, more = ("covered", ", under 27 distortions") if story.noun == "picture" else ("hidden", "")
    run = text(name_of(str(story.run.get("run") or "RUN")))
    return (
        f"<p>The held-out {story.noun}s moved, or partly {hidden}: {plural(measured.clean.n, story.noun)} "
        f"here; <code>striate stress {run} --html stress.html</code> measures more{more}.</p>"
        f'{legend(None)}<div class="panels">{drawn}</div>'
    )


def legend(other: Robustness | None) -> str:
    """Say which line is which."""
    beside = f'<span class="key second">{text(name_of(other.name))}</span>' if other else ""
    return (
        f'<p class="note"><span class="key">accuracy</span>{beside}'
        '<span class="key quiet">confidence</span></p>'
    )


def panel(curve: Curve, own: Curves, other: Curves | None, below: str) -> str:
    """Draw a curve under its name, beside that of another network; ``below`` is HTML."""
    breaks = curve.breaks(own.clean)
    said = f"under half from {breaks:g}" if breaks is not None else "never under half"
    last = curve.points[-1]
    alt = f"Accuracy under {title(curve.name)}: {percent(last.accuracy)} at {last.level:g}, {said}."
    drawn = _drawn(curve, other.curves.get(curve.name) if other else None, alt)
    return (
        f"<figure><figcaption>{title(curve.name)} <small>{said}</small></figcaption>{drawn}{below}</figure>"
    )


def _drawn(curve: Curve, other: Curve | None, alt: str) -> str:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    def line(axes: Axes, one: Curve, colour: str) -> None:
        x = [point.level for point in one.points]
        low, high = zip(*(point.interval for point in one.points), strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, [point.accuracy for point in one.points], color=colour, linewidth=1.8, marker="o", ms=3)

    def draw(axes: Axes) -> None:
        axes.plot(
            [point.level for point in curve.points],
            [point.confidence for point in curve.points],
            color=QUIET,
            linewidth=1.1,
            dashes=(3, 3),
        )
        if other is not None:
            line(axes, other, SECOND)
        line(axes, curve, ACCENT)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(UNITS.get(curve.unit, curve.unit))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=curve.points[-1].level > 4))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        if curve.points[0].level > curve.points[-1].level:  # JPEG quality falls as the damage grows
            axes.invert_xaxis()

    return figures.drawn(draw, alt)


def title(name: str) -> str:
    """Write a distortion's name.

    >>> title("jpeg_compression"), title("colour_cast")
    ('JPEG compression', 'Colour cast')
    """
    return text(name.replace("_", " ").replace("jpeg", "JPEG").capitalize().replace("Jpeg", "JPEG"))


def name_of(path: str) -> str:
    """Give the last part of a run's path."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
