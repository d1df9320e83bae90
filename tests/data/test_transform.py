"""Each change against a slow, independent version of it, one picture at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from striate.data.augment import Augment
from striate.data.draws import permutation, uniform
from striate.data.preprocess import Preprocess
from striate.data.transform import COLUMNS, Draws, augmented, mixed, named, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

N, SIDE = 6, 20
LIMITS: dict[str, Any] = {"uint8": 256, "uint16": 65536, "float32": 1}


def some(dtype: str = "uint8", channels: int = 3, side: int = SIDE) -> NDArray[Any]:
    values = np.random.default_rng(1).random((N, side, side, channels))
    made: NDArray[Any] = (values * LIMITS[dtype]).astype(dtype)
    return made


def draw(**chosen: float | list[float]) -> Draws:
    """Draws of N samples; those named take the given value."""
    draws = named(uniform(0, 0, np.arange(N), len(COLUMNS)))
    return draws | {name: np.broadcast_to(np.array(value, float), N).copy() for name, value in chosen.items()}


def preprocess(dtype: str = "uint8", channels: int = 3, side: int = SIDE) -> Preprocess:
    high = (float(LIMITS[dtype] - 1 or 1),) * channels
    values = {"low": (0.0,) * channels, "high": high, "mean": (0.4,) * channels, "std": (0.2,) * channels}
    return Preprocess(channels=channels, size=side, dtype=dtype, **values)  # type: ignore[arg-type]


def changed(x: NDArray[Any], draws: Draws, augment: Augment) -> NDArray[Any]:
    """Run the batched version; give (N, H, H, C)."""
    arguments = preprocess(x.dtype.name, x.shape[3], x.shape[1])
    y = augmented(torch.from_numpy(x), draws, augment, arguments)
    return y.permute(0, 2, 3, 1).numpy()


def resized(picture: NDArray[Any], box: tuple[float, float, float, float], size: int) -> NDArray[Any]:
    """Pillow's antialiased bilinear resize of a box (left, top, right, bottom), in float32."""
    planes = [Image.fromarray(picture[:, :, c].astype(np.float32)) for c in range(picture.shape[2])]
    small = [plane.resize((size, size), Image.Resampling.BILINEAR, box=box) for plane in planes]
    return np.stack([np.asarray(plane) for plane in small], 2)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint8", 1), ("uint16", 3), ("float32", 5)])
def test_flip_and_shift_move_whole_pixels(dtype: str, channels: int) -> None:
    x, draws = some(dtype, channels), draw(flip=[0, 0.9, 0, 0.9, 0, 0.9])
    got = changed(x, draws, Augment(flip=True, shift=0.2))
    reach = 4
    for n in range(N):
        dy, dx = (int(draws[name][n] * (2 * reach + 1)) - reach for name in ("shift_y", "shift_x"))
        padded = np.pad(x[n], ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
        expected = padded[reach + dy : reach + dy + SIDE, reach + dx : reach + dx + SIDE]
        assert np.array_equal(got[n], expected[:, ::-1] if draws["flip"][n] < 0.5 else expected)
    assert got.dtype == x.dtype


def test_every_shift_is_as_likely() -> None:
    draws = named(uniform(0, 0, np.arange(9000), len(COLUMNS)))
    begin, _ = windows(draws, Augment(shift=0.125), 32)
    moves, counts = np.unique(begin, return_counts=True)
    assert moves.tolist() == list(range(-4, 5))
    assert np.all(abs(counts - 2000) < 250)


def test_flipping_twice_changes_nothing() -> None:
    x = some()
    once = changed(x, draw(flip=0), Augment(flip=True))
    assert not np.array_equal(once, x)
    assert np.array_equal(changed(once, draw(flip=0), Augment(flip=True)), x)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_crop_and_resize_are_pillows(dtype: str) -> None:
    x, draws, augment = some(dtype), draw(flip=[0, 0.9, 0, 0.9, 0, 0.9]), Augment(flip=True, crop=0.3)
    got = changed(x, draws, augment)
    begin, reach = windows(draws, Augment(crop=0.3), SIDE)
    for n in range(N):
        (top, left), (bottom, right) = begin[n].astype(int), (begin + reach)[n].astype(int)
        if dtype == "uint8":  # cut, then resized: pixels outside the window do not show
            part = x[n, top:bottom, left:right]
            expected = resized(part, (0, 0, right - left, bottom - top), SIDE)
        else:
            expected = resized(x[n], (left, top, right, bottom), SIDE)
        expected = expected[:, ::-1] if draws["flip"][n] < 0.5 else expected
        # Integer code rounds twice, once an axis.
        np.testing.assert_allclose(got[n], expected, atol=1.1 if dtype == "uint8" else 2e-6 * LIMITS[dtype])


def test_both_ways_of_resizing_show_the_same() -> None:
    x, augment = some(side=48), Augment(flip=True, crop=0.3)
    rounded = changed(x, draw(), augment)
    exact = changed(x.astype(np.float32), draw(), augment)
    assert rounded.dtype == np.uint8
    assert exact.dtype == np.float32
    inner = slice(4, -4)  # only one of them sees beyond the window
    np.testing.assert_allclose(rounded[:, inner, inner], exact[:, inner, inner], atol=1.1)
    assert abs(np.mean(rounded - exact)) < 0.5


def test_crops_have_the_area_and_aspect_asked_for() -> None:
    draws = named(uniform(0, 0, np.arange(5000), len(COLUMNS)))
    begin, reach = windows(draws, Augment(crop=0.3), 100)
    area, aspect = reach.prod(1) / 1e4, reach[:, 1] / reach[:, 0]
    assert np.array_equal(reach, np.rint(reach))
    assert 0.29 < area.min() < 0.31
    assert 0.95 < area.max() <= 1
    assert 0.73 < aspect.min() < 0.77
    assert 1.3 < aspect.max() < 1.37
    assert begin.min() >= 0
    assert (begin + reach).max() <= 100
    part = reach < 100
    place = begin[part] / (100 - reach[part])
    assert abs(np.mean(place) - 0.5) < 0.02
    assert place.min() == 0
    assert place.max() == 1


def test_reduction_does_not_alias() -> None:
    stripes = np.zeros((N, SIDE, SIDE, 1), np.uint8)
    stripes[:, :, ::2] = 200  # the finest pattern there is: at half the size only its mean can be shown
    got = changed(stripes, draw(scale=0), Augment(scale=0.5))
    np.testing.assert_allclose(got[:, :, 6:-6], 100, atol=1e-3)


def test_scale_is_about_the_centre() -> None:
    x, draws = some(), draw(scale=[0, 0.25, 0.5, 0.75, 0.9, 0.999])
    got = changed(x, draws, Augment(scale=0.4))
    for n in range(N):
        width = SIDE / (1 + 0.4 * (2 * draws["scale"][n] - 1))
        padded = np.pad(x[n], ((SIDE, SIDE), (SIDE, SIDE), (0, 0)), mode="symmetric")
        first, last = 1.5 * SIDE - width / 2, 1.5 * SIDE + width / 2
        expected = resized(padded, (first, first, last, last), SIDE)
        inner = slice(6, -6)  # where a reduced picture meets its mirror image the kernel sees one side only
        np.testing.assert_allclose(got[n, inner, inner], expected[inner, inner], atol=1e-3)
        assert abs(got[n] - expected).max() < 64


def test_rotation_is_scipys() -> None:
    x, draws = some(), draw()
    got = changed(x, draws, Augment(rotate=30))
    middle = (SIDE - 1) / 2
    ys, xs = np.mgrid[:SIDE, :SIDE] - middle
    for n in range(N):
        angle = np.radians(30 * (2 * draws["rotate"][n] - 1))
        at = [
            np.sin(angle) * xs + np.cos(angle) * ys + middle,
            np.cos(angle) * xs - np.sin(angle) * ys + middle,
        ]
        for c in range(3):
            plane = x[n, :, :, c].astype(np.float64)
            expected = ndimage.map_coordinates(plane, at, order=1, mode="reflect")
            np.testing.assert_allclose(got[n, :, :, c], expected, atol=0.01)


def test_a_quarter_turn_moves_every_pixel() -> None:
    x = some()
    got = changed(x, draw(rotate=0.75), Augment(rotate=180))
    np.testing.assert_allclose(got, np.rot90(x, 1, (1, 2)), atol=0.01)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint8", 1), ("uint16", 3), ("float32", 5)])
def test_colour_by_the_formulas(dtype: str, channels: int) -> None:
    x, draws = some(dtype, channels), draw()
    got = changed(x, draws, Augment(colour=0.4))
    span = float(LIMITS[dtype] - 1 or 1)
    for n in range(N):
        brightness, contrast, saturation = (
            0.4 * (2 * draws[name][n] - 1) for name in ("brightness", "contrast", "saturation")
        )
        mean = x[n].mean((0, 1), dtype=np.float64)
        expected = mean + (x[n] - mean) * (1 + contrast) + brightness * span
        if channels == 3:
            grey = expected @ [0.299, 0.587, 0.114]
            expected = grey[:, :, None] + (expected - grey[:, :, None]) * (1 + saturation)
        np.testing.assert_allclose(got[n], expected, atol=2e-6 * span)


def test_cutout_fills_a_square_with_the_mean() -> None:
    x, draws = some(), draw(cutout_y=[0.5, 0, 0.9, 0.5, 0.5, 0.5], cutout_x=[0.5, 0, 0.2, 0.5, 0.5, 0.5])
    got = changed(x, draws, Augment(cutout=0.3))
    for n in range(N):
        expected = x[n].astype(np.float32)
        for row in range(SIDE):
            for column in range(SIDE):
                far = max(
                    abs(row + 0.5 - draws["cutout_y"][n] * SIDE),
                    abs(column + 0.5 - draws["cutout_x"][n] * SIDE),
                )
                if far < 3:  # half of 0.3 * 20
                    expected[row, column] = 0.4 * 255
        np.testing.assert_allclose(got[n], expected, rtol=1e-6)
    assert np.all(
        abs(preprocess().tensor(torch.tensor(got[:1, 10:11, 10:11]).permute(0, 3, 1, 2)).numpy()) < 1e-6
    )


def test_noise_has_its_strength_and_is_each_samples_own() -> None:
    x, draws = some("uint16", side=64), draw()
    noise = changed(x, draws, Augment(noise=0.1)) - x
    assert np.all(abs(noise.std((1, 2, 3)) / 6553.5 - 1) < 0.05)
    assert np.all(abs(noise.mean((1, 2, 3))) < 6553.5 * 0.05)
    assert abs(np.corrcoef(noise.reshape(N, -1)) - np.eye(N)).max() < 0.05
    alone = changed(x[2:3], {name: values[2:3] for name, values in draws.items()}, Augment(noise=0.1))
    assert np.array_equal(alone[0], x[2] + noise[2])


def test_draws_differ_within_a_batch() -> None:
    same = np.repeat(some()[:1], N, 0)
    for augment in (
        Augment(shift=0.4),
        Augment(crop=0.3),
        Augment(scale=0.3),
        Augment(rotate=30),
        Augment(colour=0.3),
        Augment(cutout=0.3),
        Augment(noise=0.1),
    ):
        got = changed(same, draw(), augment)
        assert len({picture.tobytes() for picture in got}) == N, augment


def test_one_kind_leaves_the_draws_of_another_alone() -> None:
    begin, reach = windows(draw(), Augment(crop=0.3), SIDE)
    begin_too, reach_too = windows(draw(), Augment(crop=0.3, rotate=10, colour=0.1), SIDE)
    assert np.array_equal(begin, begin_too)
    assert np.array_equal(reach, reach_too)


def test_the_order_of_an_epoch_says_nothing_about_the_changes() -> None:
    draws = uniform(0, 0, np.arange(5000), len(COLUMNS))
    place = np.argsort(permutation(0, 0, 5000))
    for column in range(1, len(COLUMNS)):
        assert abs(np.corrcoef(place, draws[:, column])[0, 1]) < 0.08, COLUMNS[column]
    assert COLUMNS[0] == "order"


def test_mixup_keeps_the_mean_and_cutmix_the_pixels() -> None:
    x, partner = (torch.from_numpy(some()).permute(0, 3, 1, 2) + offset for offset in (0, 100))
    partner = partner.flip(0)
    both = Augment(mixup=0.4, cutmix=1)
    draws = draw(kind=[0, 0, 0, 0.9, 0.9, 0.9])
    got, share = mixed(x, partner, draws, both)
    x, partner = x.float(), partner.float()
    for n in (0, 1, 2):
        taken = (got[n] == partner[n]).all(0)
        assert ((got[n] == x[n]).all(0) | taken).all()
        assert 0 < share[n] < 1
        assert abs(float(taken.float().mean()) - (1 - float(share[n]))) < 0.02
    for n in (3, 4, 5):
        torch.testing.assert_close(got[n].mean(), share[n] * x[n].mean() + (1 - share[n]) * partner[n].mean())
        torch.testing.assert_close(got[n], share[n] * x[n] + (1 - share[n]) * partner[n])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_their_beta_distribution(alpha: float) -> None:
    draws = named(uniform(0, 0, np.arange(4000), len(COLUMNS)))
    zeros = torch.zeros(4000, 1, 2, 2)
    _, share = mixed(zeros, zeros, draws, Augment(mixup=alpha))
    assert abs(float(share.mean()) - 0.5) < 0.03
    assert abs(float(share.var()) - 1 / (4 * (2 * alpha + 1))) < 0.01
