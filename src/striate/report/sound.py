"""The page of a scanned recording: wave, spectrogram and scores over one axis of time, detections marked."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from striate import files
from striate.report.layout import laid_out
from striate.report.markup import duration, facts, number, percent, table, text
from striate.report.sprite import Sprite
from striate.scan.heard import level

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.runs.folder import Run
    from striate.scan.heard import Heard, Word
    from striate.scan.listener import Detection, Strip

COLUMNS = 512  # of the spectrogram in a row
STYLES = ("", "second", "quiet")  # colours of the classes whose scores are drawn
LINES = len(STYLES)
LISTED = 100  # detections that are marked and listed, the surest
TALL, LOW = 100, 60  # of the lanes' coordinates; their heights on the page are the style sheet's
QUIET = 20.0  # per cent of the spectrogram, the softest, that are left white
ODDS = 7.0  # log-odds that the lane of scores spans at least: 0.1 % to 99.9 %

Found = list[tuple[int, "Word", "Detection"]]


def write(path: Path, found: Heard, run: Run) -> None:
    """Write the page, whole or not at all."""
    files.write_text(path, page(found, run))


def page(found: Heard, run: Run) -> str:
    """Lay out the whole page as HTML."""
    every = [(one, place) for one in found.classes for place in one.detections]
    surest = sorted(every, key=lambda pair: -pair[1].odds)[:LISTED]
    listed = [
        (i, one, place) for i, (one, place) in enumerate(sorted(surest, key=lambda pair: pair[1].time), 1)
    ]
    parts = (
        ("recording", "Recording", "When it was heard", _recording(found, listed)),
        ("how", "How", "How the recording was listened to", _how(found)),
    )
    info = run.info
    return laid_out(
        title=f"{found.file} – Striate scan",
        kicker="Striate scan",
        name=found.file.replace("\\", "/").rpartition("/")[2],
        lead=f"{text(info['model'])} trained on {text(info['data']['name'])}",
        result=f'<div class="result"><p class="what">{text(found.verdict, 400)}</p></div>',
        parts=parts,
        sprite=Sprite([]),
        versions=info.get("versions") or {},
    )


def clock(seconds: float) -> str:
    """Write a time within a recording, to a tenth of a second.

    >>> clock(7.25), clock(3671.04)
    ('0:07.2', '1:01:11.0')
    """
    minutes, rest = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    ahead = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{ahead}:{rest // 10:02}.{rest % 10}"


def _recording(found: Heard, listed: Found) -> str:
    """Draw the recording in rows of equal length, detections numbered as in the table below them."""
    shown = [found.names.index(one.name) for one in found.classes[:LINES]]
    keys = "".join(
        f'<span class="key {style}">{text(one.name)}</span>'
        for one, style in zip(found.classes, STYLES, strict=False)
    )
    count = max(1, math.ceil(found.spectrum.values.shape[1] / COLUMNS))
    length = found.seconds / count
    rows = "".join(_row(found, shown, listed, i * length, (i + 1) * length) for i in range(count))
    told = (
        "<p>From top to bottom: the wave, its spectrogram (low tones below, loud stands out) and the scores, "
        f"as log-odds: the thin line is 50 %, the dashed one the threshold. {keys}</p>"
    )
    if not listed:
        return told + rows
    cells = [
        (
            f"{i}&ensp;{text(one.name)}",
            percent(place.score),
            clock(place.time),
            f"{clock(place.start)}&nbsp;to&nbsp;{clock(place.end)}",
        )
        for i, one, place in listed
    ]
    return told + rows + table(("class", "sure", "at", "window"), cells, caption="", css="narrow")


def _row(found: Heard, shown: list[int], listed: Found, start: float, end: float) -> str:
    marks = "".join(
        f'<span class="mark {_style(found, one)}" style="left:{_share(place.start, start, end):.3f}%;'
        f'right:{100 - _share(place.end, start, end):.3f}%" title="{text(one.name)} {percent(place.score)}">'
        f"{f'<b>{i}</b>' if start <= place.time < end or (i == listed[-1][0] and place.time >= end) else ''}"
        "</span>"
        for i, one, place in listed
        if place.end > start and place.start < end
    )
    return (
        f'<figure class="heard"><figcaption>{clock(start)} <small>to {clock(end)}</small></figcaption>'
        f'<div class="lanes">{_wave(found.wave, start, end)}{_spectrum(found.spectrum, start, end)}'
        f"{_scores(found, shown, start, end)}{marks}</div></figure>"
    )


def _style(found: Heard, one: Word) -> str:
    """Give the colour of a class's line to its marks, too."""
    place = found.classes.index(one)
    return STYLES[place] if place < LINES else "quiet"


def _wave(strip: Strip, start: float, end: float) -> str:
    """Fill the space between the largest and the smallest sample, on one scale for all rows."""
    x, values = _part(strip, start, end)
    most = max(float(strip.values.abs().max()), 1e-6)
    high, low = (TALL / 2 * (1 - line / most) for line in values)
    outline = _points(x, high) + " L" + _points(x[::-1], low[::-1])[1:]
    return _lane("wave", TALL, f'<path d="{outline} Z" fill="var(--quiet)"/>', "The wave.")


def _spectrum(strip: Strip, start: float, end: float) -> str:
    """Show the power of each band as greys, loud dark, on one scale for all rows."""
    _, values = _part(strip, start, end)
    low, top = np.percentile(strip.values.numpy(), (QUIET, 99.9))
    grey = 255 * ((top - values[::-1]) / max(top - low, 1e-6)).clip(0, 1)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint8)).save(buffer, "png", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="spectrum" alt="Its spectrogram." src="data:image/png;base64,{encoded}">'


def _scores(found: Heard, shown: list[int], start: float, end: float) -> str:
    """Draw the classes' log-odds, the threshold of each, and 50 %."""
    x, values = _part(found.scores, start, end)
    limits = {word.name: word.odds for word in found.classes}
    least = [limits[found.names[unit]] for unit in shown]
    finite = [abs(odds) for odds in least if math.isfinite(odds)]
    reach = max([ODDS, float(found.scores.values.max()), *(odds + 1 for odds in finite)])

    def high(odds: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(LOW * (reach - np.clip(odds, -ODDS, reach)) / (reach + ODDS))

    half = float(high(0.0))
    lines = [f'<path class="half" d="M0,{half:.1f} H{COLUMNS}"/>']
    for unit, odds, style in reversed(list(zip(shown, least, STYLES, strict=False))):
        lines.append(f'<path class="line {style}" d="{_points(x, high(values[unit]))}"/>')
        if math.isfinite(odds):
            lines.append(f'<path class="least {style}" d="M0,{float(high(odds)):.1f} H{COLUMNS}"/>')
    return _lane("score", LOW, "".join(lines), "The scores.")


def _part(strip: Strip, start: float, end: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the columns between two times: their places, 0 to COLUMNS, and values (rows, m)."""
    first = max(0, math.floor((start - strip.start) / strip.column))
    last = max(first + 1, math.ceil((end - strip.start) / strip.column))
    values = np.asarray(strip.values[:, first:last].numpy(), np.float64)
    middle = strip.start + (first + np.arange(values.shape[1]) + 0.5) * strip.column
    return np.asarray((middle - start) / (end - start) * COLUMNS, np.float64), values


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return "M" + " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _lane(name: str, height: int, inner: str, alt: str) -> str:
    return (
        f'<svg class="{name}" viewBox="0 0 {COLUMNS} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{alt}">{inner}</svg>'
    )


def _share(time: float, start: float, end: float) -> float:
    return 100 * min(1.0, max(0.0, (time - start) / (end - start)))


def _how(found: Heard) -> str:
    chosen = "".join(f"<p>{text(line, 400)}.</p>" for line in found.thresholds)
    return f"<p>{text(found.how, 400)}.</p>{chosen}" + facts(
        {
            "recording": duration(found.seconds),
            "heard at": f"{number(found.rate)} samples a second",
            "window": f"{found.window:.2f} s, every {1000 * found.hop:.3g} ms",
            "threshold": [f"{one.name} {level(one.odds)}" for one in found.classes],
        }
    )
