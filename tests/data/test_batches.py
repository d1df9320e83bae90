"""Batches follow from (seed, epoch, step): whatever the batch size, the order and the threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.augment import Augment, parse
from striate.data.batches import Batch, Batches, ahead, fits, plain
from striate.data.preprocess import Preprocess

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

M, SIDE = 60, 16
LIMITS = {"uint8": 256, "uint16": 65536, "float32": 1}
EVERYTHING = Augment(
    flip=True,
    shift=0.1,
    crop=0.4,
    scale=0.1,
    rotate=10,
    colour=0.2,
    cutout=0.3,
    noise=0.05,
    mixup=0.4,
    cutmix=1,
)
SOME = [
    Augment(),
    parse("flip,shift=0.125", flips=True, photos=False),
    parse("flip,crop=0.35", flips=True, photos=True),
]


def pixels(dtype: str = "uint8", channels: int = 3) -> NDArray[Any]:
    values = np.random.default_rng(2).random((M, SIDE, SIDE, channels)) * LIMITS[dtype]
    return values.astype(dtype)


def batches(augment: Augment, *, batch: int = 8, x: NDArray[Any] | None = None, **options: Any) -> Batches:
    """Batches over rows 5 to 54; the target of row i is 10 i."""
    x = pixels() if x is None else x
    channels = x.shape[3]
    high = {"uint8": 255.0, "uint16": 60000.0, "float32": 0.9}[x.dtype.name]
    preprocess = Preprocess(
        channels=channels,
        size=SIDE,
        dtype=x.dtype.name,  # type: ignore[arg-type]
        low=(0.0,) * channels,
        high=(high,) * channels,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    usual: dict[str, Any] = {"seed": 3, "rows": np.arange(5, 55), "targets": np.arange(M) * 10}
    return Batches(x, preprocess=preprocess, batch=batch, augment=augment, **usual | options)


def by_row(batch: Batch) -> dict[int, tuple[Any, ...]]:
    """What happened to each row, in comparable form."""
    partners = [None] * len(batch.index) if batch.partners is None else batch.partners.tolist()
    shares = [None] * len(batch.index) if batch.share is None else batch.share.tolist()
    pictures = [picture.contiguous().numpy().tobytes() for picture in batch.inputs]
    return dict(zip(batch.index.tolist(), zip(pictures, partners, shares, strict=True), strict=True))


@pytest.mark.parametrize("augment", [*SOME, EVERYTHING], ids=str)
def test_a_sample_is_the_same_in_batches_of_any_size(augment: Augment) -> None:
    seen: list[dict[int, tuple[Any, ...]]] = []
    for batch in (50, 10, 1):
        made = batches(augment, batch=batch)
        seen.append({})
        for step in reversed(range(made.steps)):
            seen[-1] |= by_row(made.at(4, step))
    assert set(seen[0]) == set(range(5, 55))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("augment", [*SOME, EVERYTHING], ids=str)
def test_a_sample_is_the_same_with_any_number_of_workers(augment: Augment) -> None:
    made = batches(augment)

    def run(workers: int) -> list[dict[int, tuple[Any, ...]]]:
        steps = made.steps
        return [by_row(b) for b in ahead(lambda i: made.at(i // steps, i % steps), range(2 * steps), workers)]

    assert run(0) == run(1) == run(2)


def test_alternate_shows_each_side_in_turn() -> None:
    x = pixels()
    made = batches(Augment(alternate=True), batch=50, x=x, seed=4)
    upright = batches(Augment(), batch=50, x=x)
    straight = by_row(upright.at(0, 0))

    def mirrored(epoch: int) -> set[int]:
        return {row for row, seen in by_row(made.at(epoch, 0)).items() if seen != straight[row]}

    first = mirrored(0)
    assert 10 < len(first) < 40
    assert mirrored(1) == set(range(5, 55)) - first
    assert mirrored(2) == first


@pytest.mark.parametrize("augment", [*SOME, EVERYTHING], ids=str)
@pytest.mark.parametrize("dtype", LIMITS)
def test_pixels_on_the_device_make_the_same_batches(augment: Augment, dtype: str) -> None:
    x = pixels(dtype)
    resident = batches(augment, x=x.copy(), resident=True)
    assert by_row(resident.at(2, 1)) == by_row(batches(augment, x=x).at(2, 1))


def test_resized_keeps_all_but_the_side() -> None:
    batch = batches(Augment(mixup=0.4)).at(0, 0)
    smaller = batch.resized(SIDE // 2)
    assert smaller.inputs.shape == (8, 3, SIDE // 2, SIDE // 2)
    assert smaller.inputs.mean() == pytest.approx(batch.inputs.mean().item(), abs=0.01)
    assert smaller.inputs.std() < batch.inputs.std()  # antialiased: noise is averaged
    assert smaller.targets is batch.targets
    assert smaller.share is batch.share


def test_pixels_go_to_the_device_only_where_it_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pixels()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (x.nbytes * 4, x.nbytes * 9))
    assert fits(x, torch.device("cuda"))
    assert not fits(np.concatenate([x, x[:1]]), torch.device("cuda"))
    assert not fits(x, torch.device("cpu"))  # they are there already


def test_every_row_once_an_epoch_in_a_new_order() -> None:
    made = batches(Augment(), batch=7)
    assert made.steps == 7  # 50 rows: the last one is left out
    epochs = [np.concatenate([made.at(e, s).index for s in range(made.steps)]) for e in (0, 1, 0)]
    assert len(set(epochs[0])) == 49
    assert set(epochs[0]) <= set(range(5, 55))
    assert np.array_equal(epochs[0], epochs[2])
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(
        epochs[0], np.concatenate([batches(Augment(), batch=7, seed=4).at(0, s).index for s in range(7)])
    )


def test_fewer_rows_than_a_batch_make_one_batch() -> None:
    made = batches(Augment(), batch=64)
    assert made.steps == 1
    assert sorted(made.at(0, 0).index) == list(range(5, 55))


def test_targets_belong_to_their_pictures() -> None:
    x = pixels()
    for augment in SOME[:2]:
        batch = batches(augment, x=x).at(1, 2)
        assert batch.targets.tolist() == (batch.index * 10).tolist()
        assert batch.targets.dtype == torch.int64
        assert batch.partners is None
        assert batch.share is None
    unchanged = batches(Augment(), x=x).at(1, 2)
    raw = x[unchanged.index].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(unchanged.inputs, (raw / 255 - 0.5) / 0.25, atol=1e-5)
    numbers = batches(Augment(), targets=np.arange(M) / 7).at(0, 0)
    assert numbers.targets.dtype == torch.float32
    torch.testing.assert_close(numbers.targets, torch.tensor(numbers.index / 7, dtype=torch.float32))


def test_crop_shows_the_sample_it_names() -> None:
    constant = np.zeros((M, SIDE, SIDE, 3), np.uint8) + np.arange(M, dtype=np.uint8)[:, None, None, None]
    batch = batches(SOME[2], x=constant).at(0, 0)
    shown = (batch.inputs * 0.25 + 0.5) * 255
    expected = torch.tensor(batch.index)[:, None, None, None].expand_as(shown).float()
    torch.testing.assert_close(shown, expected, atol=1e-3, rtol=0)


def test_mixing_names_the_partner_and_its_share() -> None:
    constant = np.zeros((M, SIDE, SIDE, 3), np.uint8) + np.arange(M, dtype=np.uint8)[:, None, None, None]
    batch = batches(Augment(flip=True, crop=0.5, mixup=1, cutmix=1), x=constant, batch=50).at(0, 0)
    assert batch.partners is not None
    assert batch.share is not None
    shown = ((batch.inputs * 0.25 + 0.5) * 255).mean((1, 2, 3))
    expected = (batch.share * batch.targets + (1 - batch.share) * batch.partners) / 10
    torch.testing.assert_close(shown, expected, atol=1e-3, rtol=0)
    assert len(set(batch.partners.tolist())) > 20
    assert set(batch.partners.tolist()) <= set(range(50, 550, 10))


def test_a_partner_has_augmentation_of_its_own() -> None:
    one = np.array([7])
    batch = batches(Augment(crop=0.2, mixup=1), rows=one).at(0, 0)  # it can only be mixed with itself
    alone = batches(Augment(crop=0.2), rows=one).at(0, 0)
    assert batch.share is not None
    other = (batch.inputs - batch.share * alone.inputs) / (1 - batch.share)
    assert abs(other - alone.inputs).max() > 0.1
    assert abs(float(other.mean() - alone.inputs.mean())) < 0.5


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint16", 3), ("uint16", 1), ("float32", 5)])
@pytest.mark.parametrize("augment", [*SOME, EVERYTHING], ids=str)
def test_all_depths_and_channels(dtype: str, channels: int, augment: Augment) -> None:
    batch = batches(augment, x=pixels(dtype, channels)).at(0, 0)
    assert batch.inputs.shape == (8, channels, SIDE, SIDE)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
    assert batch.inputs.isfinite().all()
    assert abs(float(batch.inputs.mean())) < 1
    if augment == Augment():
        scale = {"uint8": 255.0, "uint16": 60000.0, "float32": 0.9}[dtype]
        expected = (pixels(dtype, channels)[batch.index].mean((1, 2)) / scale - 0.5) / 0.25
        np.testing.assert_allclose(batch.inputs.mean((2, 3)), expected, atol=1e-4)


def test_memory_mapped_pixels_give_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", pixels())
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert by_row(batches(EVERYTHING, x=mapped).at(0, 1)) == by_row(batches(EVERYTHING).at(0, 1))


def test_weights_draw_rare_rows_more_often() -> None:
    weights = np.where(np.arange(50) < 5, 9.0, 1.0)  # five rows of fifty, as often as the other 45
    made = batches(Augment(colour=0.3), batch=50, weights=weights)
    index = np.concatenate([made.at(epoch, 0).index for epoch in range(40)])
    assert abs(np.mean(index < 10) - 0.5) < 0.05
    assert set(index) == set(range(5, 55))
    batch = made.at(0, 0)
    assert len(set(batch.index.tolist())) < 50
    assert len({picture.contiguous().numpy().tobytes() for picture in batch.inputs}) == 50  # each time anew
    assert np.array_equal(batch.index, made.at(0, 0).index)


def numbered(i: int) -> Any:
    """Stand in for a batch."""
    time.sleep(0.002 * (i % 3))
    return i


@settings(max_examples=20, deadline=None)
@given(n=st.integers(0, 12), workers=st.integers(0, 3))
def test_ahead_keeps_the_order(n: int, workers: int) -> None:
    got: list[Any] = list(ahead(numbered, range(n), workers))
    assert got == list(range(n))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_ahead_is_bounded_raises_in_place_and_stops(workers: int) -> None:
    started: list[int] = []

    def make(i: int) -> Any:
        started.append(i)
        if i == 3:
            raise OSError("the disk went away")
        return i

    before, threads = threading.active_count(), torch.get_num_threads()
    iterator: Any = ahead(make, iter(range(10**9)), workers)  # a long source must not be read to its end
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    assert max(started) <= 3 + workers
    with pytest.raises(OSError, match="the disk went away"):
        next(iterator)
    assert threading.active_count() == before

    iterator = ahead(numbered, range(100), workers)
    next(iterator)
    iterator.close()
    assert threading.active_count() == before
    assert torch.get_num_threads() == threads


def test_plain_goes_in_order_and_changes_nothing() -> None:
    made, x = batches(Augment()), pixels()
    rows = np.array([9, 3, 3, 50, 0])
    parts = list(plain(x, rows, made.preprocess, 2, "cpu"))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert all(part.is_contiguous(memory_format=torch.channels_last) for part in parts)
    np.testing.assert_allclose(
        torch.cat(parts), (x[rows].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25, atol=1e-5
    )
    assert list(plain(x, rows[:0], made.preprocess, 2, "cpu")) == []
