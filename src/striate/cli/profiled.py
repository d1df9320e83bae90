"""The table that ``striate train --profile`` ends with: where a step's time goes, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.cli import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOP, KINDS = 8, 4  # layers and kinds of layers with a row of their own
HEAD = ("part", "kind", "forward", "backward", "ms", "share", "of limit")


def lines(found: Mapping[str, Any], within: int | None) -> list[str]:
    """Lay out what profile.json holds.

    within: columns of the terminal; None for a pipe, where no name is cut.
    """
    whole, layers = found["seconds"], sorted(found["layers"], key=lambda row: -_both(row))
    rest = layers[TOP:]
    rows: list[Sequence[str]] = [HEAD]
    rows += [
        _layer(row["name"] or "the network itself", _kind(row["kind"]), [row], whole) for row in layers[:TOP]
    ]
    if rest:
        rows.append(_layer(f"{len(rest)} more", "", rest, whole))
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in layers:
        kinds.setdefault(row["kind"] or "other code", []).append(row)
    most = sorted(kinds, key=lambda kind: -sum(map(_both, kinds[kind])))[:KINDS]
    rows += [_layer(f"all {len(kinds[kind])} of", _kind(kind), kinds[kind], whole) for kind in most]
    rows.append(_layer("all layers", "", layers, whole))
    for name, seconds, least in (
        ("waiting for data", found["data"], None),
        ("augmentation", found["augmentation"], None),
        ("loss", found["loss"], None),
        ("update", found["update"], found["update_least"]),
        ("rest", found["rest"], None),
        ("a step", whole, None),
    ):
        rows.append((name, "", "", "", _ms(seconds), f"{seconds / whole:.1%}", _share(least, seconds)))
    limits = found["limits"]
    step = (
        f"A step of {found['batch']} pictures takes {_ms(whole)} ms, {found['batch'] / whole:,.0f} pictures a"
        f" second; {found['steps']} steps watched ({_ms(found['unwatched'])} ms when nobody watches)."
    )
    rates = (
        f"The limits: {limits['float32'] / 1e9:,.0f} GFLOP/s in float32, {limits['bfloat16'] / 1e9:,.0f} in"
        f" bfloat16, {limits['bandwidth'] / 1e9:,.1f} GB/s of memory, on {limits['name']}."
    )
    told = [step, "", *show.table(rows, within=within), "", rates, found["advice"]]
    return told if within is None else [part for line in told for part in show.wrap(line, within, 2) or [""]]


def _layer(name: str, kind: str, rows: Sequence[Mapping[str, Any]], whole: float) -> Sequence[str]:
    forward, backward = (sum(row[way] for row in rows) for way in ("forward", "backward"))
    known = [row["least"] for row in rows if row["least"] is not None]
    share = _share(sum(known) if known else None, forward + backward)
    both = forward + backward
    return name, kind, _ms(forward), _ms(backward), _ms(both), f"{both / whole:.1%}", share


def _both(row: Mapping[str, Any]) -> float:
    return float(row["forward"] + row["backward"])


def _kind(kind: str) -> str:
    """Shorten the list of what a layer is or does to a column's width."""
    return kind if len(kind) <= 11 else f"{kind[:10]}…"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.2f}" if seconds < 0.1 else f"{1000 * seconds:,.0f}"


def _share(least: float | None, seconds: float) -> str:
    return "" if least is None or not seconds else f"{least / seconds:.0%}"
