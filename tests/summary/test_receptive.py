"""Receptive fields: as measured on real networks, value by value, and the known numbers of known networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.models import registry
from striate.models.resnet import Bottleneck
from striate.summary import bounds, receptive
from striate.summary.meta import unallocated, without_numbers
from striate.summary.result import ReceptiveField
from striate.summary.trace import UNKNOWN, Trace

from .does import Does
from .footprint import measured, positive, reaches_padding

Layers = Callable[[int], nn.Module]  # from the channels that come in


def picture(*shape: int) -> Tensor:
    """Give values above 0, in double precision."""
    return 0.5 + torch.rand((1, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def seen(net: nn.Module, x: Tensor) -> tuple[Any, tuple[int, ...]]:
    """Trace a network: what its output sees, value by value, and the output's shape."""
    trace = Trace(without_numbers(net))
    traced = trace.run(torch.empty(x.shape, dtype=x.dtype, device="meta"), range(2, x.dim()))
    return traced.lines[-1].sees, tuple(traced.result.shape[1:])


def field_of(net: nn.Module, *shape: int) -> ReceptiveField | None:
    """Give the receptive field of a network's last line."""
    trace = Trace(without_numbers(net.eval()))
    lines = trace.run(torch.empty(1, *shape, device="meta"), range(2, len(shape) + 1)).lines
    return receptive.field(lines[-1].sees) if lines[-1].sees is not UNKNOWN else None


def check(net: nn.Module, *shape: int) -> None:
    """Compare a trace with what changing pixels shows.

    Every value that no padding reaches sees exactly its box; all others see no more than theirs. Where there
    is a stride, the box is that of the formula, for each place over its channels.
    """
    net, x = positive(net), picture(*shape)
    axes, shape = seen(net, x)
    assert axes is not UNKNOWN
    inside = ~reaches_padding(net, x)
    boxes = []
    for axis, n in zip(axes, x.shape[2:], strict=True):
        spelled = bounds.spelled(axis)
        boxes.append(
            (
                spelled.first.expand(1, *shape)[0].clamp(min=0),
                spelled.last.expand(1, *shape)[0].clamp(max=n - 1),
            )
        )
    empty = torch.stack([low > high for low, high in boxes]).any(0)  # no column: no pixel at all
    field = receptive.field(axes)
    for i, (low, high) in enumerate(boxes):
        first, last = measured(net, x, i + 2)
        nothing = first > last
        exact = torch.where(empty, nothing, (low == first) & (high == last))
        assert exact[inside].all(), f"axis {i}: saw {first} to {last}, not {low} to {high}"
        assert ((low <= first) & (last <= high) & ~empty | nothing).all()
        # The channels of one place are one unit.
        dim, own = axes[i].dim, {axis.dim for axis in axes}
        channels = [j for j in range(-len(shape), 0) if dim is not None and j not in own]
        first = torch.where(nothing, 10**6, first)
        if channels:
            first, last = first.amin(channels, keepdim=True), last.amax(channels, keepdim=True)
        size = max(int((last - first).max()) + 1, 0)
        assert field.size[i] == size if inside.all() else field.size[i] >= size
        stride = field.stride[i]
        if stride is not None and dim is not None:
            places = [-1 if j == dim else 1 for j in range(-len(shape), 0)]
            begin = field.offset[i] + torch.arange(shape[dim]).view(places) * int(stride)
            end = begin + field.size[i] - 1
            assert ((begin <= first) & (last <= end) | (first > last)).all()
            if inside.all():  # but for the border, where a unit may see less
                is_exact = (first == begin) & (last == end)
                assert (is_exact == (last - first + 1 == size)).all()


# Networks that are drawn


@st.composite
def kernels(draw: st.DrawFn, kind: type[nn.Module], axes: int, *, largest: int = 5) -> dict[str, Any]:
    """Draw the settings of windows, another for each axis."""

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    kernel = each(1, largest)
    settings: dict[str, Any] = {"kernel_size": kernel, "stride": each(1, 3)}
    padding = each(0, 2)
    if issubclass(kind, POOLS):
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        settings["ceil_mode"] = draw(st.booleans())
    if not issubclass(kind, AVERAGES):
        settings["dilation"] = each(1, 2)
    if draw(st.booleans()):
        settings["padding"] = padding
    if axes == 1 and issubclass(kind, nn.AvgPool1d):
        settings = {key: value[0] if isinstance(value, tuple) else value for key, value in settings.items()}
    return settings


AVERAGES = (nn.AvgPool1d, nn.AvgPool2d)
POOLS = (*AVERAGES, nn.MaxPool1d, nn.MaxPool2d)
CONVOLUTION: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
MAX: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
AVERAGE: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
ADAPTIVE: dict[int, tuple[Any, Any]] = {
    1: (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
    2: (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
}
TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
C = 4  # channels throughout


def named(name: str, forward: Callable[..., Tensor], **layers: nn.Module) -> nn.Module:
    """Make a step that a failing test can tell."""
    step = Does(forward, **layers)
    step.extra_repr = lambda: name  # type: ignore[method-assign]
    return step


def convolution(draw: st.DrawFn, axes: int) -> nn.Module:
    kind = CONVOLUTION[axes]
    made: nn.Module = kind(C, C, groups=draw(st.sampled_from([1, 2, 4])), **draw(kernels(kind, axes)))
    return made


def average(draw: st.DrawFn, axes: int) -> nn.Module:
    if draw(st.booleans()):
        made: nn.Module = ADAPTIVE[axes][0](tuple(draw(st.integers(1, 5)) for _ in range(axes)))
        return made
    pool: nn.Module = AVERAGE[axes](**draw(kernels(AVERAGE[axes], axes, largest=4)))
    return pool


def transposed(draw: st.DrawFn, axes: int) -> nn.Module:
    kind = TRANSPOSED[axes]
    drawn = draw(kernels(kind, axes, largest=4)) | {
        "padding": tuple(draw(st.integers(0, 1)) for _ in range(axes))
    }
    made: nn.Module = kind(C, C, groups=draw(st.sampled_from([1, 2])), **drawn)
    return made


def sliced(draw: st.DrawFn, axes: int) -> nn.Module:
    cuts = [slice(draw(st.integers(0, 2)), None, draw(st.integers(1, 3))) for _ in range(axes)]
    return named(f"x{cuts}", lambda _, x: x[(..., *cuts)])


def padded(draw: st.DrawFn, axes: int) -> nn.Module:
    sides = [draw(st.integers(-1, 2)) for _ in range(2 * axes)]
    mode = draw(st.sampled_from(["constant", "reflect", "replicate"]))
    if mode != "constant":
        sides = [abs(n) for n in sides]
    return named(f"pad {sides} {mode}", lambda _, x: F.pad(x, sides, mode=mode))


def resized(draw: st.DrawFn, axes: int) -> nn.Module:
    smooth = draw(st.booleans())
    mode = (
        ("linear" if axes == 1 else draw(st.sampled_from(["bilinear", "bicubic"]))) if smooth else "nearest"
    )
    mode = draw(st.sampled_from([mode, "nearest-exact"]))
    corners = draw(st.booleans()) if "linear" in mode or "cubic" in mode else None
    if draw(st.booleans()):
        return nn.Upsample(
            scale_factor=draw(st.sampled_from([2, 3, 1.5, 0.5])), mode=mode, align_corners=corners
        )
    size = tuple(draw(st.integers(1, 20)) for _ in range(axes))
    return nn.Upsample(size=size, mode=mode, align_corners=corners)


def residual(draw: st.DrawFn, axes: int) -> nn.Module:
    kind, k, s = CONVOLUTION[axes], draw(st.sampled_from([3, 5])), draw(st.integers(1, 2))
    joined = draw(st.sampled_from(["add", "cat", "gate"]))

    def forward(net: Any, x: Tensor) -> Tensor:
        long, short = net.long(x), net.short(x)
        if joined == "cat":
            return torch.cat([long, short], 1)[:, ::2]
        both: Tensor = long + short if joined == "add" else long * torch.sigmoid(short)
        return both

    return named(joined, forward, long=kind(C, C, k, s, padding=k // 2), short=kind(C, C, 1, s))


def odd_branches(draw: st.DrawFn, axes: int) -> nn.Module:
    """Join branches whose units do not lie at the same places."""
    kind, shift, cut = CONVOLUTION[axes], draw(st.integers(0, 2)), draw(st.integers(0, 2))

    def forward(net: Any, x: Tensor) -> Tensor:
        long = net.long(x)
        n = long.shape[-1]
        return torch.cat([long[:, cut:], x[..., shift : shift + n].expand_as(long)[:, :cut]], 1)

    return named(f"shift {shift} cut {cut}", forward, long=kind(C, C, (1,) * (axes - 1) + (3,)))


def gated(draw: st.DrawFn, axes: int) -> nn.Module:
    """Weigh channels by what the whole picture holds."""

    def forward(net: Any, x: Tensor) -> Tensor:
        squeezed = net.fc(x.mean(tuple(range(2, axes + 2))))
        gate: Tensor = torch.sigmoid(squeezed)[(..., *[None] * axes)]
        return x * gate

    return named("gate", forward, fc=nn.Linear(C, C))


def normalised(draw: st.DrawFn, _axes: int) -> nn.Module:
    kinds: list[Callable[[], nn.Module]] = [
        lambda: nn.GroupNorm(2, C),
        lambda: Does(lambda net, x: net.norm(x.movedim(1, -1)).movedim(-1, 1), norm=nn.LayerNorm(C)),
        lambda: nn.Softmax(1),
    ]
    return draw(st.sampled_from(kinds))()


def greatest(draw: st.DrawFn, axes: int) -> nn.Module:
    kinds: list[Callable[[], nn.Module]] = [
        lambda: MAX[axes](**draw(kernels(MAX[axes], axes, largest=4))),
        lambda: ADAPTIVE[axes][1](tuple(draw(st.integers(1, 5)) for _ in range(axes))),
        lambda: Does(lambda _, x: x.amax(1, keepdim=True) + x),
        lambda: Does(lambda _, x: torch.maximum(x, x[..., :1])),
    ]
    return draw(st.sampled_from(kinds))()


def rearranged(draw: st.DrawFn, axes: int) -> nn.Module:
    """Put values elsewhere."""
    moves: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.roll(1, -1),
        lambda x: x.flip(-1),
        lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
        lambda x: x.flatten(2).view(x.shape),
        lambda x: x.transpose(1, -1).contiguous().transpose(1, -1),
        lambda x: torch.stack(x.unbind(-1), -1),
        lambda x: x.view(1, 2, 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2),
        lambda x: torch.cat(torch.split(x, 2, -1), -1),
        lambda x: x.repeat_interleave(2, -1),
        lambda x: x.repeat(*[1] * (axes + 1), 2),
        lambda x: x.cumsum(-1),
        lambda x: x.unsqueeze(2).expand(-1, -1, 3, *[-1] * axes).mean(2),
        lambda x: x.index_select(-1, torch.arange(x.shape[-1] - 1, -1, -2)),
        lambda x: F.glu(torch.cat([x, x * 2], 1), 1),
        lambda x: x.clone().mul_(2).add_(x),
    ]
    if axes == 2:
        moves += [
            lambda x: torch.cat([(y := F.pixel_shuffle(x, 2)), y.roll(1, -1), y.flip(-1), y.cumsum(-1)], 1),
            lambda x: F.pixel_unshuffle(x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2], 2)[:, 3:7],
            lambda x: torch.cat([x[..., ::2, :], x[..., ::2, :]], 1)[:, 2:6],
            lambda x: x.mT,
            lambda x: F.channel_shuffle(x, 2),
        ]
    chosen = draw(st.integers(0, len(moves) - 1))
    return named(f"move {chosen}", lambda _, x: moves[chosen](x))


STEPS = (
    convolution,
    convolution,
    average,
    greatest,
    transposed,
    sliced,
    padded,
    resized,
    residual,
    odd_branches,
    gated,
    normalised,
    rearranged,
    rearranged,
)


@st.composite
def networks(draw: st.DrawFn, steps: Any = STEPS, largest: int = 4) -> tuple[nn.Module, tuple[int, ...]]:
    """Draw a network of a few steps, with a picture or signal that it takes."""
    axes = draw(st.sampled_from([1, 2]))
    shape = (C, *(draw(st.integers(6, 14)) for _ in range(axes)))
    taken: list[nn.Module] = []
    y = picture(*shape)
    is_bounded = False
    for _ in range(draw(st.integers(1, largest))):
        kind = draw(st.sampled_from(steps))
        if is_bounded and kind is greatest:  # no change of what is bounded need be large enough to show
            continue
        step = kind(draw, axes).double().eval()
        try:
            with torch.no_grad():
                made = step(y)
        except (RuntimeError, ValueError):  # it does not fit
            continue
        # A normalisation of two values leaves but their signs.
        if made.dim() == y.dim() and 0 < made.numel() < 4000 and made[0, 0].numel() > 1:
            taken.append(step)
            is_bounded |= kind is normalised
            y = made
    assume(taken)
    return nn.Sequential(*taken), shape


@given(networks())
@settings(max_examples=200)
def test_what_values_see_is_what_changing_pixels_shows(drawn: tuple[nn.Module, tuple[int, ...]]) -> None:
    net, shape = drawn
    check(net, *shape)


@given(st.data())
def test_padding_goes_on_beyond_the_picture(data: st.DataObject) -> None:
    # On a picture that is large enough, and without padding, nothing is cut off: the formula in full.
    axes = data.draw(st.sampled_from([1, 2]))
    small, large = [], []
    size, stride, offset = [1] * axes, [1] * axes, [0] * axes
    for _ in range(data.draw(st.integers(1, 4))):
        kind: Any = data.draw(st.sampled_from([CONVOLUTION[axes], MAX[axes]]))
        drawn = {"padding": (0, 0)} | data.draw(kernels(kind, axes, largest=3))
        drawn.pop("ceil_mode", None)
        channels = () if kind is MAX[axes] else (1, 1)
        drawn["padding"] = drawn["padding"][:axes]
        small.append(kind(*channels, **drawn))
        large.append(kind(*channels, **drawn | {"padding": 0}))
        windows = zip(*(drawn[key] for key in ("kernel_size", "stride", "padding", "dilation")), strict=True)
        for i, (k, s, p, d) in enumerate(windows):
            offset[i] -= p * stride[i]
            size[i] += d * (k - 1) * stride[i]
            stride[i] *= s
    formula = ReceptiveField(tuple(size), tuple(stride), tuple(offset))
    try:
        assert field_of(nn.Sequential(*small), 1, *[9] * axes) == formula
    except RuntimeError:
        assume(False)
    x = picture(1, *(r + 2 * s for r, s in zip(size, stride, strict=True)))
    net = positive(nn.Sequential(*large))
    for i in range(axes):
        first, last = measured(net, x, i + 2)
        assert (last - first + 1 == size[i]).all()
        assert (first.diff(dim=i + 1) == stride[i]).all()
        assert first.min() == 0


# Single operators that need a network of their own


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(48, 5)),
        nn.Sequential(nn.Conv2d(4, 4, 3, 2), nn.Flatten(2), nn.LeakyReLU()),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(2), nn.Linear(12, 5)),
        nn.Sequential(nn.Conv2d(4, 4, (3, 1)), nn.Unfold((2, 3), stride=(1, 2), dilation=(2, 1))),
        Does(lambda _, x: x.unfold(2, 3, 2).unfold(3, 2, 1)),
        Does(lambda _, x: torch.einsum("nchw,ncvw->nhv", x, x)),
        Does(lambda _, x: torch.matmul(x, x.mT[..., :2])),
        Does(lambda _, x: x.flatten(1).softmax(1)),
        Does(lambda _, x: F.local_response_norm(x, 3)),
        Does(lambda _, x: F.instance_norm(x)),
        Does(lambda _, x: F.layer_norm(x, x.shape[2:])),
        Does(lambda _, x: x.std((2, 3))),
        Does(lambda _, x: x.norm(2).view(1)),
        Does(lambda _, x: x.sort(dim=2).values),
        Does(lambda _, x: x.topk(2, dim=3).values),
        Does(lambda _, x: x.mean(3).cumsum(2)),
        Does(lambda _, x: x.amin((1, 2))),
        Does(
            lambda net, x: net.layer(x.flatten(2).mT),
            layer=nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        ),
        Does(lambda net, x: net.layer(x.mean(3).mT)[0], layer=nn.LSTM(4, 3, 2, batch_first=True)),
        Does(lambda net, x: net.layer(x.mean(3).mT)[0], layer=nn.GRU(4, 3, batch_first=True)),
        Does(
            lambda net, x: net.layer(x.mean(3).mT)[0],
            layer=nn.LSTM(4, 3, batch_first=True, bidirectional=True),
        ),
        Does(lambda _, x: F.conv2d(x, x.mean((2, 3)).view(1, 4, 1, 1).expand(3, -1, -1, -1))),
        Does(lambda _, x: F.scaled_dot_product_attention(x, x.flip(2), x * 2)),
        Does(lambda _, x: torch.cat([torch.zeros(1, 4, 1, 5), x], 2)[..., :4, 1:]),
        Does(
            lambda _, x: x.view(1, 2, 2, 3, 2, 5).permute(0, 3, 5, 1, 2, 4).reshape(15, 8)[3:].flatten()[None]
        ),
    ],
)
def test_operators_of_their_own(net: nn.Module) -> None:
    check(net, 4, 6, 5)


# Known numbers


def pictured(net: nn.Module) -> ReceptiveField:
    """Give the field of the last line that still has rows and columns, for a picture of 224 pixels."""
    lines = Trace(net.eval()).run(torch.empty(1, 3, 224, 224, device="meta"), (2, 3)).lines
    maps = [line for line in lines if len(line.output) == 4 and line.kind != "AdaptiveAvgPool2d"]
    return receptive.field(maps[-1].sees)


@pytest.mark.parametrize(
    ("name", "size", "offset"),
    [("vgg16", 212, -90), ("resnet18", 435, -217), ("resnet34", 899, -449), ("resnet50", 427, -213)],
)
def test_networks_of_ours(name: str, size: int, offset: int) -> None:
    # Larger than the picture: what a unit would see of a larger one.
    with unallocated() as own:
        net = own(registry.build(name))
    assert pictured(net) == ReceptiveField((size, size), (32, 32), (offset, offset))


def test_the_stride_of_a_bottleneck_stands_where_it_stands() -> None:
    with unallocated() as own:
        net = own(registry.build("resnet50"))
    for block in net.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    assert pictured(net).size == (483, 483)


def test_alexnet() -> None:
    layers = [
        nn.Conv2d(3, 8, 11, 4, 2),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)),
        nn.MaxPool2d(3, 2),
    ]
    assert field_of(nn.Sequential(*layers), 3, 224, 224) == ReceptiveField((195, 195), (32, 32), (-66, -66))


def test_branches_are_united_and_the_widest_counts() -> None:
    def inception(net: Any, x: Tensor) -> Tensor:
        return torch.cat([net.one(x), net.three(net.one(x)), net.five(x), net.pool(x)], 1)

    block = Does(
        inception,
        one=nn.Conv2d(4, 2, 1),
        three=nn.Conv2d(2, 2, 3, padding=1),
        five=nn.Conv2d(4, 2, 5, padding=2),
        pool=nn.MaxPool2d(3, 1, 1),
    )
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), block, nn.Conv2d(10, 4, 1), nn.Conv2d(4, 4, 3, padding=1))
    assert field_of(net, 3, 32, 32) == ReceptiveField((15, 15), (2, 2), (-7, -7))
    # A 3x3 on the channels of the 1x1 branch alone does not see what the 5x5 sees.
    part = nn.Sequential(block, Does(lambda _, x: x[:, :2]), nn.Conv2d(2, 2, 3, padding=1))
    assert field_of(part, 4, 32, 32) == ReceptiveField((3, 3), (1, 1), (-1, -1))


def test_new_channels_see_nothing() -> None:
    padded = Does(lambda _, x: F.pad(x, (0, 0, 0, 0, 1, 2))[:, :1])
    assert field_of(padded, 3, 8, 8) == ReceptiveField((0, 0), (None, None), (0, 0))


def test_everything_is_seen_after_a_gate_or_a_mean() -> None:
    whole = ReceptiveField((8, 8), (None, None), (0, 0))
    assert field_of(Does(lambda _, x: x * x.mean((2, 3), keepdim=True)), 3, 8, 8) == whole
    assert field_of(nn.GroupNorm(1, 4), 4, 8, 8) == whole
    assert field_of(nn.AdaptiveAvgPool2d(1), 4, 8, 8) == whole
    assert field_of(nn.AvgPool2d(8), 4, 8, 8) == ReceptiveField((8, 8), (8, 8), (0, 0))


@pytest.mark.parametrize(
    "net",
    [
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),  # copies into slices
        nn.Bilinear(6, 6, 3),
        Does(lambda _, x: torch.fft.rfft2(x).abs()),
        Does(lambda _, x: F.grid_sample(x, torch.zeros(1, 5, 5, 2), align_corners=False)),
        Does(lambda _, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), [2, 2])),
        Does(lambda _, x: x.as_strided((1, 4, 5, 5), (0, 36, 6, 1))),
        Does(lambda _, x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        Does(lambda _, x: (x.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)).softmax(3)),
        Does(lambda _, x: (x + torch.full((6, 6), -torch.inf).triu(1)).softmax(3)),
        Does(lambda _, x: torch.where(torch.ones(6, 6).tril() > 0, x, -torch.inf).softmax(3)),
        Does(lambda _, x: x[:, :, torch.tensor([0, 1]), torch.tensor([2, 3])]),
        Does(lambda _, x: x.tril()),
    ],
)
def test_what_is_not_followed_gives_no_number(net: nn.Module) -> None:
    made = Does(lambda n, x: n.net(x, x) if isinstance(n.net, nn.Bilinear) else n.net(x), net=net)
    assert field_of(nn.Sequential(made, nn.LeakyReLU()), 4, 6, 6) is None


def test_writing_in_place_is_followed_or_said_to_be_unknown() -> None:
    def shifted(_: Any, x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, :, 1:] = x[:, :, :-1]
        return y

    def written_behind_a_view(_: Any, x: Tensor) -> Tensor:
        y = x.clone()
        view = y[:, 0]
        y += x.flip(2)
        return view * 2

    def written_beside_a_view(_: Any, x: Tensor) -> Tensor:
        one, other = x.clone().unbind(1)
        one += one.flip(1)
        return other * 2

    assert field_of(Does(shifted), 2, 6, 6) is None
    assert field_of(Does(written_behind_a_view), 2, 6, 6) is None
    assert field_of(Does(written_beside_a_view), 2, 6, 6) == ReceptiveField((1, 1), (1, 1), (0, 0))
    assert field_of(Does(lambda _, x: F.relu(x.clone()[:, 1:], inplace=True)), 2, 6, 6) is not None


def test_an_input_without_places_has_no_field() -> None:
    lines = Trace(nn.Linear(4, 2, device="meta")).run(torch.empty(1, 4, device="meta"), ()).lines
    assert receptive.field(lines[0].sees) == ReceptiveField((), (), ())


def test_bounds_that_differ_everywhere_are_given_up_before_they_fill_the_memory() -> None:
    assert field_of(Does(lambda _, x: x.flatten()), 3, 2048, 2048) is None
