"""The page of ``striate reconstruct``: how far each way is from the originals, and samples to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate import files
from striate.report.layout import laid_out
from striate.report.markup import facts, number, plural, text
from striate.report.rebuilt import Rebuilding, strips
from striate.report.sprite import Sprite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from striate.report.rebuilt import Strip


def write(
    path: Path,
    told: Mapping[str, Any],
    noun: str,
    shown: list[Strip],
    names: Sequence[str],
    info: Mapping[str, Any],
) -> None:
    """Write the page, whole or not at all.

    told: the object of ``reconstruct --json``.   noun: what samples are called.   shown, names: some of them.
    info: the run's run.json.
    """
    parts = (
        ("samples", "Samples", "What came back", strips(Rebuilding(shown, names))),
        ("how", "How", "How it was measured", _how(told)),
    )
    page = laid_out(
        title=f"{told['data']} – Striate reconstruct",
        kicker="Striate reconstruct",
        name=str(told["data"]),
        lead=text(f"as {info['model']} gives it back, trained on {info['data']['name']}", 240),
        result=_result(told, noun),
        parts=parts,
        sprite=Sprite([]),
        versions=info.get("versions") or {},
    )
    files.write_text(path, page)


def _result(told: Mapping[str, Any], noun: str) -> str:
    scores = told["scores"]
    own, most = next(iter(scores.values())), max(one["squared_error"] for one in scores.values()) or 1.0
    low, high = own["interval"]
    errors = {way: one["squared_error"] for way, one in scores.items()}
    bars = "".join(
        f"<li{' class=own' if i == 0 else ''}>"
        f'<span class="name"><span>{text(way)}</span><b>{number(error)}</b></span>'
        f'<span class="track"><span class="fill" style="width:{100 * error / most:.1f}%"></span></span></li>'
        for i, (way, error) in enumerate(errors.items())
    )
    return (
        '<section class="result" aria-label="Result"><div class="hero"><div>'
        f'<p class="figure">{number(own["squared_error"])}</p>'
        f'<p class="what">squared error on {plural(own["n"], noun.removesuffix("s"))}</p>'
        f'<p class="interval">95\xa0% interval: {number(low)} to {number(high)}</p></div>'
        f'<ul class="bars" aria-label="Squared error, compared">{bars}</ul></div></section>'
    )


def _how(told: Mapping[str, Any]) -> str:
    damaged = (
        f" What was shown had been damaged ({text(told['corrupt'])}); all is held against the clean ones."
        if told["corrupt"] != "off"
        else ""
    )
    return (
        "<p>The error is the squared difference, summed over a sample’s values (of pictures in 0 to 1) and "
        f"averaged over samples. Principal components were fitted on the run’s training data.{damaged}</p>"
        + facts({"Numbers in a code": told["code"], "Damage": told["corrupt"]})
    )
