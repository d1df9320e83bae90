"""The page of a scan: the picture with its boxes, and a map of each class, all on one scale of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from striate import files
from striate.report.heat import Scale, image, over
from striate.report.layout import laid_out
from striate.report.markup import facts, number, percent, table, text
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from striate.runs.folder import Run
    from striate.scan.boxes import Box
    from striate.scan.found import Scanned

SIDE, SMALL = 1200, 480  # pixels that the longer side of the picture, and of a map, keeps
MAPS = 6  # classes, the most probable
BOXES = 30  # drawn and listed
PROBABILITY = Scale(1.0, signed=False)  # the same colours for every class, and for every scan


def write(path: Path, found: Scanned, run: Run) -> None:
    """Write the page, whole or not at all."""
    files.write_text(path, page(found, run))


def page(found: Scanned, run: Run) -> str:
    """Lay out the whole page as HTML."""
    boxes = sorted(((one.name, box) for one in found.classes for box in one.boxes), key=lambda b: -b[1].score)
    parts = (
        ("picture", "Picture", "Where it was found", _picture(found, boxes[:BOXES])),
        ("maps", "Maps", "Class by class", _maps(found)),
        ("how", "How", "How the picture was looked at", _how(found)),
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


def _picture(found: Scanned, boxes: list[tuple[str, Box]]) -> str:
    """Draw the picture with its boxes, numbered as in the table below it."""
    shown = _shown(found, SIDE)
    frames = "".join(_frame(i, name, box, found.picture.shape) for i, (name, box) in enumerate(boxes, 1))
    alt = f"The picture that was looked over, with {len(boxes)} boxes; the table below lists them."
    drawn = f'<div class="boxed">{image(shown, alt, SIDE)}{frames}</div>'
    if not boxes:
        return f"{drawn}<p>{text(found.verdict, 400)}</p>"
    rows = [
        (
            f"{i}&ensp;{text(name)}",
            percent(box.score),
            f"{box.left:.0f},&nbsp;{box.top:.0f}",
            f"{box.right - box.left:.0f}&nbsp;×&nbsp;{box.bottom - box.top:.0f}",
        )
        for i, (name, box) in enumerate(boxes, 1)
    ]
    head = ("class", "sure", "left, top", "pixels")
    return drawn + table(head, rows, caption="", css="narrow")


def _frame(i: int, name: str, box: Box, shape: tuple[int, ...]) -> str:
    height, width = shape[:2]
    places = {
        "left": box.left / width,
        "top": box.top / height,
        "width": (box.right - box.left) / width,
        "height": (box.bottom - box.top) / height,
    }
    style = ";".join(f"{side}:{100 * share:.3f}%" for side, share in places.items())
    return f'<span class="frame" style="{style}" title="{text(name)} {percent(box.score)}"><b>{i}</b></span>'


def _maps(found: Scanned) -> str:
    """Draw, for the most probable classes, the best window's probability at each place."""
    shown = _shown(found, SMALL)
    height, width = shown.shape[:2]
    figures = "".join(
        f"<figure><figcaption>{text(one.name)} <small>at most {percent(one.best)}</small></figcaption>"
        f"{image(over(shown, found.heat(one.name, height, width).numpy(), PROBABILITY), one.name, SMALL)}"
        "</figure>"
        for one in found.classes[:MAPS]
    )
    return (
        "<p>Probability of the best window around each place, over all sizes. A classifier has no class for "
        "“nothing here”: what it has never seen may get a high probability, too.</p>"
        f'<p>{PROBABILITY.html()}</p><div class="panels mapped">{figures}</div>'
    )


def _how(found: Scanned) -> str:
    height, width = found.picture.shape[:2]
    sizes = (f"{round(scale * width)} × {round(scale * height)}" for scale in found.scales)
    return f"<p>{text(found.how, 400)}.</p>" + facts(
        {
            "picture": f"{width} × {height} pixels",
            "looked at as": list(sizes),
            "window": f"{found.window} pixels, every {found.stride}",
            "threshold": number(found.threshold),
        }
    )


def _shown(found: Scanned, side: int) -> NDArray[np.uint8]:
    """Give the picture as 8 bits (H, W, 1 or 3), its longer side at most ``side``."""
    raw: NDArray[Any] = found.picture if found.picture.shape[2] in {1, 3} else found.picture[..., :1]
    if raw.dtype != np.uint8:
        low, high = np.percentile(raw, (0.1, 99.9))
        raw = ((raw - low) / max(float(high - low), 1e-12) * 255).clip(0, 255).astype(np.uint8)
    scale = side / max(raw.shape[:2])
    if scale >= 1:
        return raw
    opened = Image.fromarray(raw[..., 0] if raw.shape[2] == 1 else raw)
    smaller = opened.resize((round(raw.shape[1] * scale), round(raw.shape[0] * scale)))
    return np.asarray(smaller).reshape(smaller.height, smaller.width, -1)
