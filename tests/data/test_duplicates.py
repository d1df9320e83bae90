"""Copies are found, saved again or not; different pictures of the same thing are left alone."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.data import duplicates
from striate.data.duplicates import duplicate_groups, join
from striate.data.store import thumb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def thumbnails(images: list[Image.Image]) -> NDArray[np.uint8]:
    """Make the thumbnails that the store would make."""
    return np.stack([thumb(np.asarray(image.convert("RGB"))) for image in images])


def unlike(count: int) -> list[str]:
    """Give digests of which no two are equal."""
    return [str(i) for i in range(count)]


def saved(image: Image.Image, quality: int) -> Image.Image:
    """Save as JPEG and open again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def copied(image: Image.Image, kind: str) -> Image.Image:
    """Make a copy as people make them."""
    if kind == "saved again":
        return saved(image, 60)
    if kind == "half the size":
        return saved(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC), 75)
    return saved(Image.fromarray((np.asarray(image) * 1.1 + 8).clip(0, 255).astype(np.uint8)), 80)


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[Image.Image]:
    """Every twentieth photograph of clothes."""
    with zipfile.ZipFile(shared_data / "clothing-photos.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::20]
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


@pytest.mark.parametrize("kind", ["saved again", "half the size", "brighter"])
def test_copies_of_photographs_are_found(photographs: list[Image.Image], kind: str) -> None:
    copies = [copied(image, kind) for image in photographs]
    count = len(photographs)
    exact, near = duplicate_groups(unlike(2 * count), thumbnails(photographs + copies))
    assert exact == []
    assert all(group in [[i, count + i] for i in range(count)] for group in near)  # nothing else
    assert len(near) >= 0.98 * count


def test_different_photographs_are_not_joined(photographs: list[Image.Image]) -> None:
    assert duplicate_groups(unlike(len(photographs)), thumbnails(photographs)) == ([], [])


def test_different_digits_are_not_joined(shared_data: Path) -> None:
    packed = (shared_data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes()
    digits = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    small = np.stack([thumb(digit) for digit in digits])
    assert len(duplicate_groups(unlike(len(digits)), small)[1]) <= 2


def test_exact_copies_are_those_of_equal_digests() -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 32, 32), np.uint8)
    exact, near = duplicate_groups(["a", "b", "a", "c", "b", "a"], small[[0, 1, 0, 2, 1, 0]])
    assert exact == [[0, 2, 5], [1, 4]]
    assert near == []  # an exact copy is not reported twice


def test_blank_pictures_are_not_all_the_same() -> None:
    small = np.arange(20, dtype=np.uint8)[:, None, None].repeat(32, 1).repeat(32, 2)
    assert duplicate_groups(unlike(20), small) == ([], [])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures(count: int) -> None:
    small = np.random.default_rng(0).integers(0, 256, (1, 32, 32), np.uint8).repeat(count, 0)
    assert duplicate_groups(unlike(count), small) == ([], [[0, 1]] if count == 2 else [])


def test_a_film_is_not_one_group() -> None:
    rng = np.random.default_rng(3)
    ends = rng.integers(60, 200, (2, 32, 32))
    film = np.stack([ends[0] + (ends[1] - ends[0]) * t / 100 for t in range(101)]).astype(np.uint8)
    _, near = duplicate_groups(unlike(101), film)
    assert len(near) > 2
    assert all(group[-1] - group[0] < 40 for group in near)


@pytest.mark.parametrize("few", [50, 2000])  # with and without sketches
def test_no_pair_is_missed(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with every pair looked at, over pictures that crowd around the threshold."""
    monkeypatch.setattr(duplicates, "FEW", few)
    rng = np.random.default_rng(4)
    seeds = rng.integers(40, 215, (40, 32, 32))
    noisy = np.concatenate([seeds + rng.normal(0, scale, seeds.shape) for scale in (0, 4, 9, 14)])
    small = noisy.clip(0, 255).astype(np.uint8)
    _, near = duplicate_groups(unlike(160), small)
    flat = small.reshape(160, -1).astype(float)
    edges = np.stack(
        [np.diff(small.astype(float), axis=1)[:, :, 1:], np.diff(small.astype(float), axis=2)[:, 1:]], 1
    )
    edges = edges.reshape(160, -1)
    like = np.corrcoef(flat) > 0.985
    like &= edges @ edges.T / np.outer(*[np.linalg.norm(edges, axis=1)] * 2) > 0.95
    grouped = {i for group in near for i in group}
    for i, j in np.argwhere(np.triu(like, 1)):
        assert i in grouped or j in grouped, (i, j)
    for group in near:
        assert any(like[i, group].all() for i in group), group


def test_memory_and_time_stay_bounded_when_everything_is_alike() -> None:
    small = np.random.default_rng(5).integers(0, 256, (1, 32, 32)).repeat(3000, 0).astype(np.uint8)
    assert [len(group) for group in duplicate_groups(unlike(3000), small)[1]] == [3000]


def test_where_nothing_is_flat_no_second_copy_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", 64)  # what a block takes is not in question
    small = np.random.default_rng(6).integers(0, 256, (12000, 32, 32), np.uint8)
    tracemalloc.start()
    try:
        assert duplicates._near(small) == []
        assert tracemalloc.get_traced_memory()[1] < 1.7 * 4 * small.size
    finally:
        tracemalloc.stop()


@settings(deadline=None)
@given(st.data(), st.integers(1, 30))
def test_join_is_the_closure_of_being_together(data: st.DataObject, size: int) -> None:
    groups = st.lists(st.lists(st.integers(0, size - 1), min_size=1, max_size=4), max_size=6)
    exact, near = data.draw(groups), data.draw(groups)
    names = data.draw(st.lists(st.sampled_from([None, None, "p", "q"]), min_size=size, max_size=size))
    together = np.eye(size, dtype=bool)
    for group in exact + near + [[i for i in range(size) if names[i] == name] for name in "pq"]:
        together[np.ix_(group, group)] = True
    for _ in range(size):
        together = (together.astype(int) @ together) > 0
    number = join(size, exact, near, names)
    assert ((number[:, None] == number[None]) == together).all()
