"""Mean corruption error: a network's errors under the published corruptions beside those of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.stress.measure import Curves


@dataclass(frozen=True)
class Relative:
    """each: corruption error by name; None where the reference made no error.

    mean: mCE.   relative: relative mCE, of what each corruption adds to the clean error. 1 is the
    reference's; None where nothing could be divided by.
    """

    each: dict[str, float | None]
    mean: float | None
    relative: float | None


def mce(found: Curves, reference: Curves) -> Relative:
    """Divide a network's errors by the reference's, corruption by corruption, and average.

    CE_c = sum over severities of E_sc / the same sum of the reference; mCE is the mean over the corruptions
    that both were measured at. Relative mCE subtracts each network's clean error first.
    Source: Hendrycks and Dietterich 2019, section 4.2; their reference is AlexNet on ImageNet-C itself.
    """
    names = [name for name, curve in found.curves.items() if curve.published and name in reference.curves]
    each = {name: _ratio(_errors(found, name), _errors(reference, name)) for name in names}
    added = {name: _ratio(_added(found, name), _added(reference, name)) for name in names}
    return Relative(each, _mean(each), _mean(added))


def _errors(found: Curves, name: str) -> float:
    return sum(1 - point.accuracy for point in found.curves[name].points)


def _added(found: Curves, name: str) -> float:
    return sum(found.clean.accuracy - point.accuracy for point in found.curves[name].points)


def _ratio(own: float, reference: float) -> float | None:
    return own / reference if reference > 1e-12 else None


def _mean(ratios: dict[str, float | None]) -> float | None:
    known = [ratio for ratio in ratios.values() if ratio is not None]
    return sum(known) / len(known) if known else None
