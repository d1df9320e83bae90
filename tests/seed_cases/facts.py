"""The decks' worked examples as the facts give them, and the register of what shows them.

The facts are ``shared/facts/seed_cases.json``: what a deck prints (``expected``) and what is right
(``recomputed``), with the numbers that go in. A check takes those from its case; it types none of them again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import striate
from striate.models.registry import MODELS
from striate.ops import convolve, cross_correlate
from striate.summary.result import Inspected, Layer

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("STRIATE_DATA", ROOT.parent / "shared" / "data")).parent
FACTS = SHARED / "facts" / "seed_cases.json"


@dataclasses.dataclass(frozen=True)
class Case:
    """One example: what goes in, what the deck prints, what is right."""

    id: str
    verified: bool | None  # whether what the deck prints is right; None where nothing can be computed
    basis: str  # recomputed, or read and where
    inputs: Any
    parameters: Any
    expected: Any
    recomputed: Any
    note: str


def _read() -> dict[str, Case]:
    if not FACTS.is_file():
        return {}
    keys = [field.name for field in dataclasses.fields(Case)]
    cases = json.loads(FACTS.read_text(encoding="utf-8"))["cases"]
    assert len({case["id"] for case in cases}) == len(cases)
    return {case["id"]: Case(**{key: case.get(key, "") for key in keys}) for case in cases}


CASES = _read()
# Statements and history, which nothing computes: docs/decks.md has them with their correction.
LISTED = {case.id for case in CASES.values() if not case.verified and case.basis.startswith("read")}

Check = Callable[[Case], None]
CHECKS: dict[str, Check] = {}
LATER: dict[str, pytest.MarkDecorator] = {}


def shows(*names: str) -> Callable[[Check], Check]:
    """Register the function that computes these cases."""

    def register(check: Check) -> Check:
        assert not CHECKS.keys() & set(names)
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


class NotThereYet(Exception):
    """A part of Striate that a case asks for by its name."""


def later(*names: str, needs: str) -> Callable[[Check], Check]:
    """Register the function that will compute these cases, and what Striate lacks for it today.

    The function asks for the missing part by its name. Only the error of not finding it is expected: what can
    be shown today is asserted first, and once the part is there the case fails until it is a ``shows``.
    """
    mark = pytest.mark.xfail(strict=True, reason=f"needs {needs}", raises=NotThereYet)
    LATER.update(dict.fromkeys(names, mark))
    return shows(*names)


def deck_is_wrong(case: Case, printed: object, right: object) -> None:
    """Hold what the deck prints against what was computed."""
    assert case.verified is False
    assert printed != right, f"said to be wrong: {case.note}"


def numbers(text: str) -> list[float]:
    """Give the numbers of a sentence, without signs.

    >>> numbers("0.02 (n - 19.5) for n = 39..119")
    [0.02, 19.5, 39.0, 119.0]
    """
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def worked_out(formula: str, **values: Any) -> Any:
    """Evaluate a formula as the decks print it (2P is 2*P, 11 x 11 a product), whole numbers exactly.

    >>> worked_out("1 + (W-F+2P)/S", W=7, F=3, P=0, S=3)
    Fraction(7, 3)
    """
    python = re.sub(r"(\d)([A-Z])", r"\1*\2", formula.replace(" x ", " * "))
    exact = {name: Fraction(v) if isinstance(v, int) else v for name, v in values.items()}
    return eval(python, {"__builtins__": {}}, exact)


def picture(rows: list[list[float]]) -> Tensor:
    """Make (1, 1, H, W) of a printed array, in float64."""
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def random(*shape: int) -> Tensor:
    """Draw float64 numbers from the normal distribution."""
    return torch.randn(*shape, dtype=torch.float64)


def steps(case: Case) -> dict[str, Any]:
    """Give the stride and padding of a case as the operator takes them."""
    return {key: case.parameters[key] for key in ("stride", "padding") if key in case.parameters}


def slid(image: Any, kernel: Any, **how: Any) -> Any:
    """Cross-correlate two printed arrays."""
    return cross_correlate(picture(image), picture(kernel), **how)[0, 0].tolist()


def turned(image: Any, kernel: Any, **how: Any) -> Any:
    """Convolve two printed arrays by the definition."""
    return convolve(picture(image), picture(kernel), **how)[0, 0].tolist()


def inspected(model: nn.Module, *shape: int) -> Inspected:
    """Inspect a network for an input of this shape, (C, H, W)."""
    return striate.inspect(model, shape)


def named(name: str) -> Inspected:
    """Inspect a network of ours at the input of its paper."""
    return striate.inspect(name)


def variants(prefix: str) -> list[Inspected]:
    """Inspect all variants of a named network. Raises NotThereYet."""
    found = [name for name in MODELS if name.startswith(prefix)]
    if not found:
        raise NotThereYet(prefix)
    return [named(name) for name in found]


def builder(name: str) -> Callable[..., nn.Module]:
    """Find a network's function. Raises NotThereYet."""
    if name not in MODELS:
        raise NotThereYet(name)
    return MODELS[name].builder


def rows_of(found: Inspected, kind: str) -> list[Layer]:
    """Give the rows of one kind, in order."""
    return [row for row in found.layers if row.kind == kind]


def convolution(
    image: list[int],
    kernel: list[int],
    *,
    filters: int = 1,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
) -> Layer:
    """Inspect one convolution of an image given as [H, W, C] or [H, W], with a kernel [h, w, C] or [h, w]."""
    height, width, channels = (*image, 1)[:3]
    assert kernel[2:] in ([], [channels])
    layer = nn.Conv2d(channels, filters, (kernel[0], kernel[1]), stride, padding, bias=bias)
    return inspected(layer, channels, height, width).layers[0]


def volume(row: Layer) -> list[int]:
    """Give a row's output in the decks' order, [H, W, C]."""
    channels, height, width = row.output
    return [height, width, channels]
