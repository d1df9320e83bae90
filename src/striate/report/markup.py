"""Text, numbers and tables as HTML; every name a user gave passes through :func:`text`."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Control characters, marks that reverse the reading direction, and halves of surrogate pairs (file names that
# are no UTF-8): none of them belongs on a page, and the last cannot even be written.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def text(value: object, limit: int = 120) -> str:
    """Escape a value for HTML; a long one loses its middle, as both ends of a file name matter.

    >>> text("<b> & co")
    '&lt;b&gt; &amp; co'
    >>> text("photographs/0001.jpg", limit=12)
    'photog…1.jpg'
    """
    plain = _UNPRINTABLE.sub("\ufffd", str(value))
    if len(plain) > limit:
        tail = (limit - 1) // 2
        plain = f"{plain[: limit - 1 - tail]}…{plain[-tail:]}"
    return html.escape(plain)


def percent(share: float, digits: int = 1) -> str:
    r"""Write a share of 1 as a percentage that never rounds up to 100 or down to 0.

    >>> percent(0.8423), percent(0.99972), percent(1.0)
    ('84.2\xa0%', '99.97\xa0%', '100\xa0%')
    """
    if share in {0.0, 1.0}:
        return f"{share:.0%}"[:-1] + "\xa0%"
    while digits < 4 and float(f"{100 * share:.{digits}f}") in {0.0, 100.0}:
        digits += 1
    return f"{100 * share:.{digits}f}\xa0%"


def number(value: float) -> str:
    """Write a number with four figures, and a count with its thousands apart.

    >>> number(12345), number(0.123456), number(1234.5678)
    ('12,345', '0.1235', '1,235')
    """
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Write a time as a person says it.

    >>> duration(8.25), duration(588), duration(7500)
    ('8.2 s', '9 min 48 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plural(n: int, one: str, many: str = "") -> str:
    """Count things.

    >>> plural(1, "picture"), plural(1200, "picture")
    ('1 picture', '1,200 pictures')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def noun_of(info: Mapping[str, Any]) -> str:
    """Say what one of a run's data is called; info: what run.json holds.

    >>> noun_of({"data": {"noun": "recordings"}}), noun_of({})
    ('recording', 'picture')
    """
    data = info.get("data")
    return str(data.get("noun", "pictures") if isinstance(data, dict) else "pictures").removesuffix("s")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, css: str = "names") -> str:
    """Lay out cells that are HTML already; the first of a row is its header. A wide table scrolls."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    titled = f"<caption>{caption}</caption>" if caption else ""
    return scroll(
        f'<table class="{css}">{titled}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>',
        caption or head[0],
    )


def scroll(inner: str, label: str) -> str:
    """Give wide content a box of its own to scroll in, which the keyboard reaches too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{inner}</div>'


def facts(values: Mapping[str, Any]) -> str:
    """List names and values; nested mappings become one line, and empty values are left out."""
    items = "".join(
        f"<div><dt>{text(_title(str(name)))}</dt><dd>{text(_plain(value), 240)}</dd></div>"
        for name, value in values.items()
        if value not in (None, "", [], (), {})
    )
    return f'<dl class="facts">{items}</dl>' if items else ""


def _title(name: str) -> str:
    return (name[:1].upper() + name[1:]).replace("_", " ")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({_plain(inner)})" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(inner) for inner in value[:12]) + (" …" if len(value) > 12 else "")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number(value) if is_number else str(value)
