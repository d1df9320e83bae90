"""``striate reconstruct``: what comes back of samples from their codes, and how far off it is."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.cli import show
from striate.cli.flags import Json, Offline, Trust
from striate.cli.paths import check_page

if TYPE_CHECKING:
    from striate.api.rebuilding import Reconstructed


def reconstruct(
    run: Path,
    data: str,
    /,
    *,
    split: Literal["train", "val", "test"] | None = None,
    corrupt: str = "off",
    html: Path | None = None,
    seed: int = 0,
    offline: Offline = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure what an autoencoder gives back, beside PCA.

    Principal components of the same number are fitted on the run's own training data.

    Parameters
    ----------
    run
        The folder of a run with --task reconstruction.
    data
        Whatever ``striate train`` takes; a flat folder will do, and labels are ignored.
    split
        Only this part; of the run's own data as they were cut then.
    corrupt
        Damage what the network is shown, such as noise=0.5 or mask=0.25; it is held against the clean one.
    html
        Write a page with samples beside what came back to this file.
    seed
        Of the damage.
    json
        Print one JSON document.
    """
    from striate import api

    if html is not None:
        check_page(html, "reconstruct.html")
    with show.stream() as emit:
        opened = api.load(run, trust=trust)
        found = api.reconstruct(
            opened, data, split=split, corrupt=corrupt, html=html, seed=seed, offline=offline, emit=emit
        )
    print(jsonlib.dumps(found.json(), allow_nan=False) if json else "\n".join(lines(found)))


def lines(found: Reconstructed) -> list[str]:
    """Lay out the error of each way with its 95 % interval."""
    count = next(iter(found.scores.values())).n
    rows: list[tuple[object, ...]] = [("squared error of", "mean", "95 % interval", "a value (RMS)")]
    rows += [
        (
            way,
            f"{one.error:.4g}",
            f"{one.interval[0]:.4g} to {one.interval[1]:.4g}",
            f"{one.rmse:.4g}",
        )
        for way, one in found.scores.items()
    ]
    damaged = "" if found.corrupt == "off" else f", damaged by {found.corrupt}"
    return [
        *show.wrap(f"{found.data}: {count:,} {found.noun}{damaged}", show.width() or 80, 2),
        *show.table(rows, within=show.width()),
        *([] if found.page is None else [f"wrote {found.page}"]),
    ]
