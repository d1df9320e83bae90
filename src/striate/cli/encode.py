"""``striate encode``: what a run makes of samples in its middle, as numbers in a file and as a map."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust
from striate.cli.paths import check_page

if TYPE_CHECKING:
    from striate.api.encoding import Encoded


def encode(
    run: Path,
    data: str,
    /,
    *,
    out: Path = Path("codes.npz"),
    html: Path | None = None,
    split: Literal["train", "val", "test"] | None = None,
    seed: int = 0,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Write the codes of a data set, and draw them as a map.

    Of an autoencoder its code, of any other run the features before its last layer.

    Parameters
    ----------
    run
        The run folder.
    data
        Whatever ``striate train`` takes; a flat folder will do, and labels are kept.
    out
        An npz file of codes (samples, numbers), names and labels.
    html
        Write a page with a map of the codes to this file.
    split
        Only this part; of the run's own data as they were cut then.
    seed
        Of the map.
    json
        Print one JSON document.
    """
    from striate import api

    check_page(out, "codes.npz", flag="--out")
    if html is not None:
        check_page(html, "codes.html")
    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        found = api.encode(
            opened, data, split=split, out=out, html=html, seed=seed, offline=offline, emit=emit
        )
    print(jsonlib.dumps(found.json()) if json else "\n".join(lines(found)))


def lines(found: Encoded) -> list[str]:
    """Say what was encoded and where it is."""
    count, numbers = found.codes.shape
    labels = len({label for label in found.labels if label})
    kept = f", with {labels} labels" if labels else ""
    told = f"{found.data}: {count:,} {found.noun} as {numbers} numbers each{kept}"
    return [
        *(show.wrap(told, show.width() or 80, 2)),
        f"the numbers are {found.way}",
        *(f"wrote {path}" for path in found.files),
    ]
