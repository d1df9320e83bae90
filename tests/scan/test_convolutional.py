"""A classifier as convolutions: the same answers at the size of its training, and at every place of more."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.errors import ModelError
from striate.models import registry
from striate.scan import dense, difference, fully_convolutional, total_stride, windows


def lenet() -> nn.Sequential:
    """LeNet-5 for 32 pixels, without padding: total stride 4."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(120, 10),
    )  # fmt: skip


class Ending(nn.Module):
    """Two convolutions, from 1 x 12 x 12 to 6 x 4 x 4, and one of many endings."""

    def __init__(self, ending: str, features: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, stride=2)
        self.ending, self.dense = ending, nn.Linear(features, 5)
        self.pool, self.largest = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d((2, 2))
        self.norm = nn.BatchNorm1d(96)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu_(self.first(x))))
        match self.ending:
            case "view":
                x = x.view(x.size(0), -1)
            case "reshape":
                x = x.reshape(-1, 96)
            case "flatten, norm":
                x = F.relu(self.norm(torch.flatten(x, 1)))
            case "mean":
                x = x.mean((2, 3))
            case "mean, kept":
                x = x.mean([-1, -2], keepdim=True).flatten(1)
            case "maximum":
                x = x.amax((2, 3))
            case "adaptive":
                x = torch.flatten(self.pool(x), 1)
            case "adaptive function":
                x = F.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1)
            case "adaptive 2 x 2":
                x = self.largest(x).flatten(1)
            case "pooled over its size":
                x = F.avg_pool2d(x, x.shape[2:]).view(x.shape[0], -1)
            case "pooled over 4":
                x = F.max_pool2d(x, 4).flatten(1)
            case "two branches":
                x = torch.cat([self.pool(x).flatten(1), F.avg_pool2d(x, 4).flatten(1)], 1)
        return self.dense(x)  # type: ignore[no-any-return]


ENDINGS = {
    "view": 96, "reshape": 96, "flatten, norm": 96, "mean": 6, "mean, kept": 6, "maximum": 6, "adaptive": 6,
    "adaptive function": 6, "adaptive 2 x 2": 24, "pooled over its size": 6, "pooled over 4": 6,
    "two branches": 12,
}  # fmt: skip


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights and running statistics that are nobody's defaults; in evaluation mode."""
    random = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) * (1 if "running" in name else 0.4) + 0.05)
            if "running" not in name:
                value.sub_(0.2)
    return model.eval()


def equals_windows(
    model: nn.Module, shape: tuple[int, int, int], more: int, seed: int = 1
) -> tuple[int, int]:
    """Compare a map with windows that are cut by hand, one by one; give the total stride."""
    form = fully_convolutional(model, torch.zeros(1, *shape))
    down, across = total_stride(form, torch.zeros(1, *shape))
    _, high, wide = shape
    size = (shape[0], high + more, wide + more + 3)
    picture = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    found = dense(form, picture, (high, wide), (down, across))
    assert found.shape[1:] == (more // down + 1, (more + 3) // across + 1)
    with torch.no_grad():
        for i in range(found.shape[1]):
            for j in range(found.shape[2]):
                y, x = i * down, j * across
                wanted = model(picture[None, :, y : y + high, x : x + wide])[0]
                assert torch.allclose(found[:, i, j], wanted, rtol=1e-5, atol=1e-5)
    return down, across


def test_lenet_gives_its_windows_answers_at_every_multiple_of_its_stride() -> None:
    assert equals_windows(lively(lenet()), (1, 32, 32), 17) == (4, 4)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_way_of_ending_a_network_is_followed(ending: str) -> None:
    strides = equals_windows(lively(Ending(ending, ENDINGS[ending])), (1, 12, 12), 9)
    assert strides == ((4, 4) if ending == "adaptive 2 x 2" else (2, 2))


def test_a_network_without_convolutions_is_one_large_convolution() -> None:
    assert equals_windows(lively(registry.build("mlp", classes=3, channels=2, size=8)), (2, 8, 8), 5) == (
        1,
        1,
    )


def test_a_window_that_is_not_square_and_kernels_that_leave_pixels_over() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, (3, 2)), nn.MaxPool2d((2, 3)), nn.Conv2d(4, 4, 2, groups=2, dilation=2),
        nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip
    assert equals_windows(lively(model), (2, 13, 14), 8) == (2, 3)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, int]:
    """A network of a few unpadded layers and a size that leaves it something."""
    channels, size, layers = 1, draw(st.integers(14, 19)), list[nn.Module]()
    left = size
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        if (left - kernel) // stride < 2:
            break
        kind, groups = draw(st.sampled_from(["conv", "max", "mean"])), draw(st.sampled_from([1, channels]))
        if kind == "conv":
            layers += [nn.Conv2d(channels, 2 * channels, kernel, stride, groups=groups), nn.ReLU()]
            channels *= 2
        else:
            layers.append((nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(kernel, stride))
        left = (left - kernel) // stride + 1
    if draw(st.booleans()):
        ending: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)]
    else:
        ending = [nn.Flatten(), nn.Linear(channels * left * left, 4), nn.Sigmoid(), nn.Linear(4, 3)]
    return lively(nn.Sequential(*layers, *ending), draw(st.integers(0, 99))), size


@given(networks(), st.integers(0, 9))
@settings(max_examples=40)
def test_any_unpadded_network_gives_its_windows_answers(network: tuple[nn.Module, int], more: int) -> None:
    model, size = network
    equals_windows(model, (1, size, size), more)


@pytest.mark.parametrize(
    ("layers", "size", "exact"),
    [
        ((nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)), 12, True),
        ((nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)), 13, True),  # a row is left over, in every window the same
        ((nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)), 12, False),
        ((nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, ceil_mode=True)), 13, False),  # the last hangs over the edge
        ((nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, ceil_mode=True)), 12, True),
        ((nn.Conv2d(1, 4, 3), nn.MaxPool2d(3, 2, padding=1)), 12, False),
        ((nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4)), 12, False),  # the statistics of the whole map
        ((nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()), 12, False),
    ],
    ids=["fits", "left over", "padded", "hangs over", "does not hang over", "padded pool", "norm", "reflect"],
)
def test_whether_a_map_is_exact_is_measured(layers: tuple[nn.Module, ...], size: int, *, exact: bool) -> None:
    shape = (1, size, size)
    with torch.no_grad():
        features = nn.Sequential(*layers)(torch.zeros(1, *shape)).numel()
    model = lively(nn.Sequential(*copy.deepcopy(layers), nn.Flatten(), nn.Linear(features, 3)))
    off = difference(model, fully_convolutional(model, torch.zeros(1, *shape)), shape)
    assert off < 1e-5 if exact else off > 1e-3


class Deciding(nn.Module):
    """A network whose steps depend on what it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class Sorting(nn.Module):
    """A network that mixes places and channels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(x.transpose(1, 2), 1)


class Multiplying(nn.Module):
    """A dense layer that is spelled as a product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(192, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


class Twofold(nn.Module):
    """A network that gives its features as well."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x


class Gating(nn.Module):
    """Squeeze and excitation: each channel times what a dense layer makes of the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.dense(x.mean((2, 3)))
        return (x * gate[:, :, None, None]).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Deciding(), "cannot follow it"),
        (nn.Sequential(nn.Linear(8, 2), nn.Flatten()), "is given 3x8x8, not a vector"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten()), "makes 3x3x3 of 3x8x8"),
        (nn.Sequential(nn.Flatten(2), nn.Flatten()), "makes 3x64 of 3x8x8"),
        (Sorting(), "does not grow evenly"),
        (Gating(), "do not "),
        (Multiplying(), "do not fit as convolutions"),
        (Twofold(), "gives a tuple, not a tensor"),
    ],
    ids=["decides", "dense on rows", "uneven pooling", "half flat", "sorts", "gates", "multiplies", "two"],
)
def test_what_cannot_be_made_convolutional_is_refused(
    model: nn.Module, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError) as caught:
        form = fully_convolutional(lively(model), torch.rand(1, 3, 8, 8))
        total_stride(form, torch.rand(1, 3, 8, 8))
    assert "cannot be made fully convolutional" in caught.value.message
    assert reason in caught.value.message
    assert "window by window" in caught.value.hint
    assert capsys.readouterr().err == ""  # torch.fx prints what went wrong, too


def test_nothing_of_the_network_is_changed() -> None:
    model = lenet().train()
    next(model[7].parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    form = fully_convolutional(model, torch.zeros(1, 1, 32, 32))
    windows(model.eval(), torch.rand(1, 40, 40), (32, 32), (4, 4))
    model.train()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [True] * 4 + [False] + [True] * 3
    assert all(parameter.grad is None for parameter in model.parameters())
    assert isinstance(model[6], nn.Flatten)
    mine = {parameter.data_ptr() for parameter in model.parameters()}
    assert not mine & {parameter.data_ptr() for parameter in form.parameters()}
    assert all(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in form.parameters())
