"""Mean corruption error against a table worked out by hand."""

from __future__ import annotations

import pytest

from striate.stress.measure import Curve, Curves, Point
from striate.stress.relative import mce


def made(clean: int, **hits: tuple[int, ...]) -> Curves:
    """Right answers of 100 pictures: clean, and at the severities of each corruption."""
    curves = {
        name: Curve(name, "severity", True, tuple(Point(i + 1, 100, hit, 0.5) for i, hit in enumerate(each)))
        for name, each in hits.items()
    }
    return Curves(Point(0, 100, clean, 0.9), curves)


def test_a_table_by_hand() -> None:
    found = made(90, fog=(80, 70, 60, 50, 40), snow=(90, 80, 80, 80, 70))  # errors sum to 2.0 and 1.0
    reference = made(80, fog=(70, 60, 60, 50, 60), snow=(50, 50, 50, 50, 50))  # 2.0 and 2.5
    relative = mce(found, reference)
    assert relative.each == {"fog": pytest.approx(1.0), "snow": pytest.approx(0.4)}
    assert relative.mean == pytest.approx(0.7)
    # What corruption adds: 1.5 and 0.5 to our clean error, 1.0 and 1.5 to the reference's.
    assert relative.relative == pytest.approx((1.5 / 1.0 + 0.5 / 1.5) / 2)


def test_a_network_beside_itself_is_one() -> None:
    found = made(90, fog=(80, 70, 60, 50, 40), snow=(90, 80, 80, 80, 70))
    relative = mce(found, found)
    assert relative.mean == pytest.approx(1)
    assert relative.relative == pytest.approx(1)


def test_a_reference_without_errors_divides_nothing() -> None:
    found = made(90, fog=(80,) * 5, snow=(90,) * 5)
    relative = mce(found, made(100, fog=(100,) * 5, snow=(80,) * 5))
    assert relative.each == {"fog": None, "snow": pytest.approx(0.5)}
    assert relative.mean == pytest.approx(0.5)
    assert mce(found, made(100, fog=(100,) * 5)).mean is None


def test_only_published_corruptions_count() -> None:
    found = made(90, fog=(80,) * 5)
    found.curves["shift"] = Curve("shift", "pixels", False, (Point(0, 100, 90, 0.9),))
    assert list(mce(found, found).each) == ["fog"]
